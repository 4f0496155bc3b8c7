"""The step: summarize."""
