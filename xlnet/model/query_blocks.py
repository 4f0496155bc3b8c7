"""Queries in blocks: what no query of a block can see is never computed, nor are distances that none of them meets.

Of the keys, a block is given those that one of its queries may see; of the distances, those between the two. That
leaves fewer products than one block would, and the same scores.
"""

import itertools
from typing import NamedTuple

LONGEST = 256  # queries: shorter blocks save little more, and each is a set of products of its own


class Block(NamedTuple):
    """The queries from `first` to before `last`, which see none of the keys from `keys` on."""

    first: int
    last: int
    keys: int

    @property
    def distances(self) -> int:
        """How many distances lie between its queries and its keys, and one that the shift drops."""
        return self.last - self.first + self.keys


def of(length: int, *, memory: int, is_causal: bool, boundary: int = 0) -> tuple[Block, ...]:
    """The blocks of the queries at `length` positions, over the keys of the memory and of these positions.

    is_causal: no position sees a later one. boundary: no position before it sees one from it on (0: there is none).
    """
    edges = sorted({*range(0, length, LONGEST), min(boundary, length), length})
    return tuple(
        Block(first, last, memory + (last if is_causal else boundary if last <= boundary else length))
        for first, last in itertools.pairwise(edges)
    )
