"""Tasks to fine-tune on: files of examples to arrays of features."""
