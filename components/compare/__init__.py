"""The step: compare."""
