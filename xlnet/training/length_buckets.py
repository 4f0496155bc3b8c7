"""Batches of rows that are nearly equally long, padded to one of few lengths: every shape is compiled once.

Which rows make up which batch follows from the lengths, the batch size and the seed alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

STEP = 8  # pieces; lengths that differ by less are not worth a shape of their own


class Batch(NamedTuple):
    """Rows of a batch, int [size], and how many pieces they are padded to."""

    rows: NDArray[np.int64]
    length: int


def bucket_lengths(lengths: NDArray[np.integer], *, most: int, longest: int) -> list[int]:
    """At most so many lengths, ascending, for which the least padding is computed on when rows [n] go to the next one.

    Multiples of 8, or `longest`, which no row exceeds. With one bucket all rows are `longest`.
    """
    if most == 1:
        return [longest]
    wanted = np.minimum(-(-np.maximum(lengths, 1) // STEP) * STEP, longest)
    sizes, counts = np.unique(wanted, return_counts=True)
    before = np.concatenate([[0], np.cumsum(counts)])  # rows shorter than each size
    cheapest = sizes * before[1:]  # of the rows up to each size, all in one bucket
    chosen = [[int(size)] for size in sizes]
    for _ in range(most - 1):
        costs, ways = cheapest.copy(), [list(way) for way in chosen]
        for last in range(1, len(sizes)):
            split = cheapest[:last] + sizes[last] * (before[last + 1] - before[1 : last + 1])
            best = int(split.argmin())
            if split[best] < costs[last]:
                costs[last], ways[last] = split[best], [*chosen[best], int(sizes[last])]
        cheapest, chosen = costs, ways
    return chosen[-1]


class BatchPlan:
    """The batches of a run, by step. In each pass every row comes once, in an order of its own.

    A row waits in its bucket until a batch is full; at the end of a pass those that wait fill up batches from the
    longest down, and fewer than a batch of them wait for the next pass.
    """

    def __init__(self, lengths: NDArray[np.integer], *, size: int, seed: int, buckets: Sequence[int]):
        self.size, self.buckets = size, list(buckets)
        self._bucket = np.searchsorted(self.buckets, lengths)
        self._draw = np.random.Generator(np.random.Philox(key=seed))
        self._left: list[int] = []
        self._batches: list[Batch] = []

    def __getitem__(self, step: int) -> Batch:
        """The batch of a step, counted from 0."""
        while step >= len(self._batches):
            self._add_pass()
        return self._batches[step]

    def _add_pass(self) -> None:
        waiting: list[list[int]] = [[] for _ in self.buckets]
        for row in [*self._left, *self._draw.permutation(len(self._bucket)).tolist()]:
            bucket = waiting[self._bucket[row]]
            bucket.append(row)
            if len(bucket) == self.size:
                self._add(bucket)
                bucket.clear()
        left = [row for bucket in reversed(waiting) for row in bucket]
        while len(left) >= self.size:
            self._add(left[: self.size])
            left = left[self.size :]
        self._left = left

    def _add(self, rows: Sequence[int]) -> None:
        length = self.buckets[max(self._bucket[row] for row in rows)]
        self._batches.append(Batch(np.array(rows, np.int64), length))
