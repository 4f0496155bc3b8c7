"""The step: finetune."""
