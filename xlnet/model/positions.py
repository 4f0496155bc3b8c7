"""Relative distances as sinusoids, and the scores they give.

Encoding t of the table stands for the distance `memory + length - t` from a query back to a key (negative: ahead).
A backward stream (a row read from right to left) sees the negated distances: the same cosines, negated sines, so
that one table and one projection of each half serve both directions. Source: Dai et al. 2019, section 3.3 and
appendix B; Yang et al. 2019, section 2.3; reference modeling.py, `relative_positional_encoding`, `rel_shift`.
"""

from collections.abc import Callable
from typing import Any

from keras import ops

from xlnet import frameworks
from xlnet.model.gradients import custom_gradient


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


def shift(scores: Any, *, keys: Any) -> Any:
    """[..., L, R] -> [..., L, keys]: row i starts at column L - i, the encoding of its distance to the first key."""
    if not frameworks.is_on_cpu():
        return _slid(scores, keys)
    length, encodings = ops.shape(scores)[-2:]

    @custom_gradient
    def slide(values: Any) -> tuple[Any, Callable[[Any], Any]]:
        def gradient(upstream: Any) -> Any:
            # The gradient that a framework derives is a pad, into which XLA would put all that leads to it, the masks
            # of dropout with it, to be computed again for each of R columns; and it divides for each.
            return _spread(upstream, (length - ops.arange(length, dtype="int32"))[:, None], encodings)

        return _slid(values, keys), gradient

    return slide(scores)


def shift_from(scores: Any, starts: Any, *, keys: int) -> Any:
    """[H, X, C, T, R] -> [H, X, C, T, keys]: row t begins at column `starts` (int [X, C, T])."""

    encodings = ops.shape(scores)[-1]

    @custom_gradient
    def select(values: Any, first: Any) -> tuple[Any, Callable[[Any], Any]]:
        first = ops.cast(first, "int32")[..., None]

        def gradient(upstream: Any) -> tuple[Any, Any]:
            # Reading back is a gather too: the scatter that a framework would derive runs one element at a time.
            return _spread(upstream, first, encodings), ops.zeros_like(first[..., 0], "float32")

        ahead = ops.arange(keys, dtype="int32") + first
        return _gather(values, ops.minimum(ahead, encodings - 1)), gradient

    # As a float, and not from the enclosing function: only so do both backends take it as an argument.
    return select(scores, ops.cast(starts, "float32"))


def _slid(scores: Any, keys: Any) -> Any:
    *outer, length, encodings = ops.shape(scores)
    flat = ops.reshape(scores, (*outer, length * encodings))[..., length:]
    return ops.reshape(flat, (*outer, length, encodings - 1))[..., :keys]


def _spread(values: Any, first: Any, encodings: int) -> Any:
    """[..., L, keys] -> [..., L, R]: each row from the column `first` on (int [..., L, 1]), between zeros."""
    keys = ops.shape(values)[-1]
    back = ops.arange(encodings, dtype="int32") - first
    inside = ops.logical_and(back >= 0, back < keys)
    return ops.where(inside, _gather(values, ops.clip(back, 0, keys - 1)), 0)


def _gather(values: Any, columns: Any) -> Any:
    """[..., T, n] at columns that may lack leading axes, [..., T, m] -> [..., T, m]."""
    *outer, width = ops.shape(values)
    rows = ops.reshape(ops.arange(_product(outer), dtype="int32"), (*outer, 1))
    return ops.take(ops.reshape(values, (-1,)), rows * width + columns, axis=0)


def _product(sizes: Any) -> Any:
    result = 1
    for size in sizes:
        result = result * size
    return result
