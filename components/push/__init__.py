"""The step: push."""
