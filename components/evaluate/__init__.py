"""The step: evaluate."""
