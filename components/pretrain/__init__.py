"""The step: pretrain."""
