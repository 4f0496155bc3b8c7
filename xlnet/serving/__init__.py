"""Trained models at work: predictions from texts, export for serving."""
