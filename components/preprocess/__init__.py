"""The step: preprocess."""
