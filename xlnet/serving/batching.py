"""Rows of many lengths in batches of few shapes: every shape is compiled once.

Rows are sorted by length and cut into batches of one size; each batch is as long as the bucket of its longest row.
Padding stands on one side of a row, so that a shorter bucket is a slice of it.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

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


def lengths_of(inputs: dict[str, NDArray[np.int32]]) -> NDArray[np.int64]:
    """How many columns of each row [n, length] are not padding."""
    return (inputs["padding"] == 0).sum(axis=1)


def trimmed(inputs: dict[str, NDArray[np.int32]], batch: Batch) -> dict[str, NDArray[np.int32]]:
    """The batch's rows without the columns on the left that are padding in all of them; padding is on the left."""
    return {name: values[batch.rows, values.shape[1] - batch.length :] for name, values in inputs.items()}


def answered(
    call: Callable[[dict[str, NDArray[np.int32]]], Any],
    inputs: dict[str, NDArray[np.int32]],
    *,
    batch_size: int,
    report: Callable[[int], Any] | None = None,
) -> NDArray[np.float32]:
    """What `call` returns for n rows that are padded on the left, [n, ...] in their order.

    For models to which padding is nothing: answers differ by rounding alone from those to whole rows.
    """
    lengths = lengths_of(inputs)
    size = min(batch_size, len(lengths))
    found: NDArray[np.float32] | None = None
    done = 0
    for batch in batches(lengths, batch_size=size, longest=inputs["padding"].shape[1]):
        values = np.asarray(call(trimmed(inputs, batch)))[: batch.wanted]
        if found is None:
            found = np.empty((len(lengths), *values.shape[1:]), values.dtype)
        found[batch.rows[: batch.wanted]] = values
        done += batch.wanted
        if report is not None:
            report(done)
    assert found is not None
    return found
