"""Recorded experiments: what each part of pretraining buys, and what pretraining is worth. See docs/experiments.md."""
