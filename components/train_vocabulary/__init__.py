"""The step: train vocabulary."""
