"""The step: export."""
