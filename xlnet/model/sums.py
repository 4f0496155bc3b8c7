"""Sums, written so that XLA in TensorFlow 2.21 makes them in a pass over memory on a CPU.

It sums what is a product, and over several axes, by windows of 32 elements: two to four times as long. A product with
ones is a sum to it that it computes where its values come from, a matrix of them a product; zero added to a product
makes that none. XLA in JAX sums well by itself.
"""

from typing import Any

import keras
from keras import ops

from xlnet import frameworks
from xlnet.model.gradients import anew


def of_rows(values: Any) -> Any:
    """[..., n] -> [..., 1]."""
    if _is_slow():
        return ops.matmul(values, ops.ones((ops.shape(values)[-1], 1), dtype=values.dtype))
    return ops.sum(values, axis=-1, keepdims=True)


def of_squares(values: Any) -> Any:
    """[...] -> [], float32."""
    squares = ops.square(ops.cast(values, "float32"))
    return ops.sum(of_rows(squares)) if len(squares.shape) > 1 else ops.sum(squares)


def of_columns(values: Any) -> Any:
    """[..., n] -> [n]."""
    if _is_slow():
        values = anew(values, after=values)
    return ops.sum(ops.reshape(values, (-1, values.shape[-1])), axis=0)


def of_positions(values: Any, *, like: Any) -> Any:
    """[..., d] -> the shape of `like`, [H, d] or [d], over all other axes."""
    *heads, columns = like.shape
    flat = ops.reshape(values, (*heads, -1, columns))
    if not _is_slow():
        return ops.sum(flat, axis=-2)
    ones = anew(ops.ones_like(flat[..., 0]), after=values)
    return ops.squeeze(ops.matmul(ones[..., None, :], flat), axis=-2)


def _is_slow() -> bool:
    return keras.backend.backend() == "tensorflow" and frameworks.is_on_cpu()
