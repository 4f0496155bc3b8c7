"""Floating point operations of a training step, from the sizes alone: its matrix products, of which there is no choice.

A backward pass counts twice a forward one, except where nothing is learned below: the memories and the distances. What
`remat` computes again is not counted, so that a share of the peak tells how much of it went into the model.
"""

from xlnet.model import query_blocks
from xlnet.model.config import ModelConfig


def of_step(
    config: ModelConfig, *, rows: int, length: int, memory: int, predictions: int | None = None, boundary: int = 0
) -> float:
    """Of a step over `rows` windows of `length` pieces with so many positions of memory.

    `predictions`: targets of the query stream in each row; None: there is none, and every position is predicted.
    `boundary`: see `query_blocks`.
    """
    wide, inner = config.heads * config.head_dim, config.feedforward_dim
    projection = config.model_dim * wide
    keys = memory + length
    encodings = keys + (1 if predictions is None else length)

    blocks = query_blocks.of(length, memory=memory, is_causal=config.attention == "uni", boundary=boundary)
    dense = 2 * projection + 2 * config.model_dim * inner
    content = length * dense + sum(
        (block.last - block.first) * wide * (2 * block.keys + min(block.distances, encodings)) for block in blocks
    )

    fixed = config.layers * (2 * rows * memory + encodings) * projection
    learned = config.layers * 2 * rows * length * projection
    if predictions is None:
        learned += config.layers * rows * content
    else:  # the last layer has no content stream
        query = predictions * (dense + wide * (2 * keys + encodings))
        learned += rows * (config.layers * query + (config.layers - 1) * content)
    learned += rows * (predictions or length) * config.model_dim * config.vocab_size
    return 2.0 * (2 * fixed + 3 * learned)
