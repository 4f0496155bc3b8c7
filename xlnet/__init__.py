"""XLNet from raw text to a served model: corpus, model, training, tasks and serving."""

__version__ = "0.1.0"
