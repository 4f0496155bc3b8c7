"""Relative distances as sinusoids, and the scores they give.

Encoding t of the table stands for the distance `memory + length - t` from a query back to a key (negative: ahead).
A backward stream (a row read from right to left) sees the negated distances: the same cosines, negated sines, so
that one table and one projection of each half serve both directions. Source: Dai et al. 2019, section 3.3 and
appendix B; Yang et al. 2019, section 2.3; reference modeling.py, `relative_positional_encoding`, `rel_shift`.
"""

from typing import Any

import keras
from keras import ops

from xlnet import frameworks
from xlnet.model.made_once import made_once


def distance_table(
    length: Any, memory_length: Any, model_dim: int, *, attention: str, clamp_length: int
) -> tuple[Any, Any]:
    """(sines, cosines), float32 [R, model_dim / 2] each: R = memory + 2 length, or memory + length + 1 if "uni"."""
    keys = memory_length + length
    distances = ops.cast(ops.arange(keys, -length if attention == "bi" else -1, -1), "float32")
    if clamp_length > 0:
        distances = ops.clip(distances, -clamp_length, clamp_length)
    exponents = ops.cast(ops.arange(0, model_dim, 2), "float32") / model_dim
    angles = distances[:, None] / ops.power(10000.0, exponents)[None, :]
    return ops.sin(angles), ops.cos(angles)


def position_keys(sines: Any, cosines: Any, kernel: Any, *, directions: int) -> Any:
    """[R, D/2] twice and a kernel [D, H, d] -> keys [H, X, R, d], X = 1 (forward) or 2 (forward, backward)."""
    half = ops.shape(sines)[-1]
    odd = ops.tensordot(sines, kernel[:half], axes=1)
    even = ops.tensordot(cosines, kernel[half:], axes=1)
    keys = [even + odd] if directions == 1 else [even + odd, even - odd]
    return ops.transpose(ops.stack(keys), (2, 0, 1, 3))


def shift(scores: Any, starts: Any = None, *, keys: Any) -> Any:
    """[..., L, R] -> [..., L, keys]: each row from a column on, the encoding of its distance to the first key.

    starts: the columns, int [X, C, L] for scores [H, X, C, L, R]; None: those of the positions 0, 1, 2, ..., L - i.
    """
    if starts is None:
        return _slid(scores, keys)
    ahead = ops.arange(keys, dtype="int32") + starts[..., None]
    return _gather(scores, ops.minimum(ahead, ops.shape(scores)[-1] - 1))


def unshift(scores: Any, starts: Any = None, *, encodings: Any) -> Any:
    """[..., L, keys] -> [..., L, R]: what the gradient of `shift` is: each row from its column on, between zeros."""
    length, keys = ops.shape(scores)[-2:]
    if starts is None and not frameworks.is_on_cpu():
        return _unslid(scores, encodings)
    # A gather: the scatter that a framework would derive runs one element at a time. And not the pad, into which XLA
    # puts all that leads to it, the masks of dropout with it, to be computed again for each of R columns.
    if starts is None:
        columns, inside = made_once(_columns_of_all, length, keys, encodings)
    else:
        columns, inside = _columns_back(starts, keys, encodings)
    return ops.where(inside, _gather(scores, columns), 0)


def _columns_of_all(length: Any, keys: Any, encodings: Any) -> tuple[Any, Any]:
    return _columns_back(length - ops.arange(length, dtype="int32"), keys, encodings)


def _columns_back(starts: Any, keys: Any, encodings: Any) -> tuple[Any, Any]:
    """int [..., R]: of which of so many keys each encoding is the distance; bool [..., R]: whether of any."""
    back = ops.arange(encodings, dtype="int32") - starts[..., None]
    return ops.clip(back, 0, keys - 1), ops.logical_and(back >= 0, back < keys)


def _slid(scores: Any, keys: Any) -> Any:
    *outer, length, encodings = ops.shape(scores)
    flat = ops.reshape(scores, (*outer, length * encodings))[..., length:]
    return ops.reshape(flat, (*outer, length, encodings - 1))[..., :keys]


def _unslid(scores: Any, encodings: Any) -> Any:
    *outer, length, keys = ops.shape(scores)
    still = [(0, 0)] * len(outer)
    flat = ops.reshape(ops.pad(scores, [*still, (0, 0), (0, encodings - 1 - keys)]), (*outer, length * (encodings - 1)))
    return ops.reshape(ops.pad(flat, [*still, (length, 0)]), (*outer, length, encodings))


def _gather(values: Any, columns: Any) -> Any:
    """[..., T, n] at columns that may lack leading axes, [..., T, m] -> [..., T, m]."""
    *outer, width = ops.shape(values)
    same = outer[len(outer) + 1 - len(columns.shape) :]  # one index for all leading axes: a small one
    rows = ops.reshape(ops.arange(_product(same), dtype="int32"), (*same, 1))
    index = ops.reshape(rows * width + columns, (-1,))
    found = _in_bounds(ops.reshape(values, (-1, _product(same) * width)), index)
    return ops.reshape(found, (*outer, ops.shape(columns)[-1]))


def _in_bounds(values: Any, index: Any) -> Any:
    """Columns of values [N, M]; JAX would look whether they are there, at each."""
    if keras.backend.backend() == "jax":
        return values.at[:, index].get(mode="promise_in_bounds")
    return ops.take(values, index, axis=1)


def _product(sizes: Any) -> Any:
    result = 1
    for size in sizes:
        result = result * size
    return result
