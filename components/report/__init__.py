"""The step: report."""
