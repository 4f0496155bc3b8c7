"""The step: report tasks."""
