"""Rows of many lengths in batches of few shapes: every shape is compiled once.

Rows are sorted by length and cut into batches of one size; each batch is as long as the bucket of its longest row.
Padding stands on one side of a row, so that a shorter bucket is a slice of it.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
ALONG = ("pieces", "segments", "padding")  # arrays whose last axis is the sequence
SHORTEST = 16  # pieces; shorter buckets save nothing that a call does not cost


class Batch(NamedTuple):
    """Rows int [batch size], of which the first `wanted` are asked for, and the length that holds them all."""

    rows: NDArray[np.int64]
    wanted: int
    length: int


def buckets(longest: int) -> list[int]:
    """Lengths up to `longest`: 16, 24, 32, 48, 64, ..., so that a row is filled up by at most a half."""
    found, step = [], SHORTEST
    while step < longest:
        found += [step, step + step // 2]
        step *= 2
    return [length for length in found if length < longest] + [longest]


def bucket(length: int, *, longest: int) -> int:
    """The shortest bucket that holds `length` pieces."""
    return next(size for size in buckets(longest) if size >= length)


def batches(lengths: NDArray[np.integer], *, batch_size: int, longest: int) -> Iterator[Batch]:
    """Batches of rows of these lengths [n], longest first; the last one, of the shortest, repeats its last row."""
    known = np.array(buckets(longest))
    order = np.argsort(-lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        length = int(known[np.searchsorted(known, lengths[rows[0]])])
        filled = np.concatenate([rows, np.repeat(rows[-1:], batch_size - len(rows))])
        yield Batch(filled, len(rows), length)


def lengths_of(padding: NDArray[np.integer]) -> NDArray[np.int64]:
    """How many pieces of each row [rows, ..., length] are not padding; of a row of several sequences the longest."""
    counts = (padding == 0).sum(axis=-1)
    return counts.reshape(len(counts), -1).max(axis=1)


def trimmed(inputs: Arrays, batch: Batch, *, along: Sequence[str] = ALONG) -> Arrays:
    """The batch's rows; the arrays of these names lose the columns on the left that are padding in all of them."""
    return {
        name: values[batch.rows][..., values.shape[-1] - batch.length :] if name in along else values[batch.rows]
        for name, values in inputs.items()
    }


def answered(
    call: Callable[[Arrays], Any],
    inputs: Arrays,
    *,
    batch_size: int,
    along: Sequence[str] = ALONG,
    restored: Callable[[Any, int], Any] = lambda outputs, length: outputs,
) -> Any:
    """What `call` returns for n rows that are padded on the left, an array [n, ...] or a dict of them, in their order.

    For models to which padding is nothing: answers differ by rounding alone from those to whole rows. `restored` makes
    the answers to rows of so many columns what they would be of whole rows, where they speak of positions.
    """
    lengths = lengths_of(inputs["padding"])
    order, found = [], []
    for batch in batches(lengths, batch_size=batch_size, longest=inputs["padding"].shape[-1]):
        outputs = keras.tree.map_structure(np.asarray, call(trimmed(inputs, batch, along=along)))
        order.append(batch.rows[: batch.wanted])
        outputs = restored(outputs, batch.length)
        found.append(keras.tree.map_structure(lambda values, wanted=batch.wanted: values[:wanted], outputs))
    back = np.argsort(np.concatenate(order))
    return keras.tree.map_structure(lambda *parts: np.concatenate(parts)[back], *found)
