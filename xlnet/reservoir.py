"""The sentences of least priority of all that come along: a sample that can be taken in parts and joined.

A sentence's priority is an exponential variate divided by a weight (Efraimidis and Spirakis 2006, "Weighted random
sampling with a reservoir"): a sample without replacement, in which with equal weights each has the same chance. The
variate is a hash of what the sentence is, not a draw, so the sample depends on no order and no division of the work.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xlnet.splitmix import mixed


@dataclass(frozen=True, eq=False)
class Sentences:
    """Sentences in a row, with what decides whether they are kept."""

    priorities: NDArray[np.float64]  # [sentences]
    hashes: NDArray[np.uint64]  # [sentences] what priorities are made of; two of one hash are the same text
    sources: NDArray[np.int32]  # [sentences] index of each one's source
    sizes: NDArray[np.int32]  # [sentences] bytes of each
    text: bytes | bytearray | memoryview

    def __len__(self) -> int:
        return self.sizes.size

    def __iter__(self) -> Iterator[str]:
        at = 0
        for size in self.sizes.tolist():
            yield str(self.text[at : at + size], "utf-8")
            at += size

    def take(self, indices: NDArray[np.int64]) -> "Sentences":
        """The sentences with these numbers, in this order."""
        ends = np.cumsum(self.sizes, dtype=np.int64)
        spans = zip((ends - self.sizes)[indices].tolist(), ends[indices].tolist(), strict=True)
        text = b"".join([self.text[start:end] for start, end in spans])
        return Sentences(
            self.priorities[indices], self.hashes[indices], self.sources[indices], self.sizes[indices], text
        )

    def to_parts(self) -> Iterator[bytes | bytearray | memoryview]:
        """Compact bytes in parts, for transport: the text is not copied."""
        yield np.int64(len(self)).tobytes()
        for column in (self.priorities, self.hashes, self.sources, self.sizes):
            yield column.tobytes()
        yield self.text

    def to_bytes(self) -> bytes:
        """The parts in a row."""
        return b"".join(self.to_parts())

    @classmethod
    def from_bytes(cls, content: bytes) -> "Sentences":
        """What `to_bytes` wrote, and a view of it."""
        count, at = int(np.frombuffer(content, "<i8", 1)[0]), 8
        columns: list[NDArray[Any]] = []
        for kind in ("<f8", "<u8", "<i4", "<i4"):
            columns.append(np.frombuffer(content, kind, count, at))
            at += columns[-1].nbytes
        priorities, hashes, sources, sizes = columns
        return cls(priorities, hashes, sources, sizes, memoryview(content)[at:])


class Reservoir:
    """The `size` sentences of least priority of all that were added; a quarter more is held at times."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.limit = np.inf  # no sentence of a higher priority can be in the sample
        self.blocks: list[Sentences] = []
        self.held = 0

    def add(self, block: Sentences) -> None:
        """Look at more sentences."""
        fitting = np.flatnonzero(block.priorities <= self.limit)
        if fitting.size:
            self.blocks.append(block if fitting.size == len(block) else block.take(fitting))
            self.held += fitting.size
        if self.held > self.size + max(self.size // 4, 1000):
            self._prune()

    def sample(self) -> Sentences:
        """The sample, in an order that follows from the sentences alone. The reservoir is empty afterwards."""
        if self.held > self.size:
            self._prune()
        blocks, self.blocks, self.held = self.blocks, [], 0
        if not blocks:
            return Sentences.from_bytes(bytes(8))
        columns = zip(*((each.priorities, each.hashes, each.sources, each.sizes) for each in blocks), strict=True)
        priorities, hashes, sources, sizes = map(np.concatenate, columns)
        # Not by priority: a logarithm's last bit may differ between processors.
        order = np.lexsort((sources, hashes))
        places = np.empty_like(order)
        places[order] = np.cumsum(sizes[order], dtype=np.int64) - sizes[order]
        text = _placed(blocks, places, total=int(sizes.sum(dtype=np.int64)))
        return Sentences(priorities[order], hashes[order], sources[order], sizes[order], text)

    def _prune(self) -> None:
        """Leave the least, block by block, so that the text is never held twice."""
        priorities = np.concatenate([block.priorities for block in self.blocks])
        self.limit = np.partition(priorities, self.size - 1)[self.size - 1]
        is_kept = priorities < self.limit
        ties = np.flatnonzero(priorities == self.limit)  # sentences of a document that occurs more than once
        hashes, sources = (
            np.concatenate([getattr(block, name) for block in self.blocks])[ties] for name in ("hashes", "sources")
        )
        is_kept[ties[np.lexsort((sources, hashes))[: self.size - is_kept.sum()]]] = True
        start, blocks = 0, self.blocks
        self.blocks = []
        for number, block in enumerate(blocks):
            kept = np.flatnonzero(is_kept[start : start + len(block)])
            start += len(block)
            blocks[number] = block.take(kept)
        self.blocks, self.held = [block for block in blocks if len(block)], self.size


def _placed(blocks: list[Sentences], places: NDArray[np.int64], *, total: int) -> bytearray:
    """The text of all blocks with each sentence at its place; empties the list, so that the text is not held twice."""
    text = bytearray(total)
    blocks.reverse()
    done = 0
    while blocks:
        block = blocks.pop()
        at = 0
        for size, place in zip(block.sizes.tolist(), places[done : done + len(block)].tolist(), strict=True):
            text[place : place + size] = block.text[at : at + size]
            at += size
        done += len(block)
    return text


def sentence_hashes(keys: NDArray[np.uint64], counts: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A hash of every sentence, from its document's key [documents, 2] and its place among the document's `counts`."""
    places = np.arange(int(counts.sum()), dtype=np.uint64) - np.repeat(
        (np.cumsum(counts) - counts).astype(np.uint64), counts
    )
    first, second = np.repeat(keys, counts, axis=0).T
    return mixed(mixed(first + (places + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)) ^ second)


def exponential(hashes: NDArray[np.uint64]) -> NDArray[np.float64]:
    """An exponential variate of mean 1 from each hash."""
    return -np.log(((hashes >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52)  # 52 bits: never 0, never 1
