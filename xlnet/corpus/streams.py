"""A stream of pieces, and the windows over it: reuse | A <sep> B <sep> <cls>.

Source: reference `data_utils.py`, `_split_a_and_b` and `create_tfrecords`; there a scan of every window's text, here
searches in the sorted array of sentence beginnings, for many windows at once.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CLS, SEP, EOD = 3, 4, 7
A, B, OF_CLS = 0, 1, 2  # segment ids


@dataclass(frozen=True)
class Stream:
    """Pieces in a row, int32 [n], and where sentences begin, int64, ascending, without the first one (at 0)."""

    pieces: NDArray[np.int32]
    boundaries: NDArray[np.int64]

    @cached_property
    def backward(self) -> "Stream":
        """The same text from its end to its beginning."""
        boundaries = self.pieces.size - self.boundaries[::-1]
        return Stream(np.ascontiguousarray(self.pieces[::-1]), np.ascontiguousarray(boundaries))

    def windows(self, sequence_length: int, reuse_length: int) -> int:
        """How many windows fit; each begins `reuse_length` pieces after the one before."""
        return max(0, (self.pieces.size - sequence_length) // reuse_length + 1)


class Splits(NamedTuple):
    """Where the segments of each window lie, and whether B follows A in the text; each an array [windows]."""

    a_begin: NDArray[np.int64]
    a_length: NDArray[np.int64]
    b_begin: NDArray[np.int64]
    b_length: NDArray[np.int64]
    label: NDArray[np.int64]  # 1: B follows A


def split(stream: Stream, begin: NDArray[np.int64], *, total: int, uniform: NDArray[np.float64]) -> Splits:
    """Segments A and B, together of `total` pieces, A from `begin` [windows] on.

    Where sentences end within the window, A ends with one of them, and with probability 1/2 B is what follows. Else B
    is text from a random place, from a sentence's beginning on. Both are then cut to `total`, the longer one first.
    `uniform` [3, windows] in [0, 1) decides whether B follows, the sentence, the place. The stream must have three more
    pieces after `begin + total`.
    """
    size, boundaries = stream.pieces.size, stream.boundaries
    first = np.searchsorted(boundaries, begin, side="right")
    last = np.searchsorted(boundaries, begin + total, side="left")
    cuts = last - first
    end = np.append(boundaries, size)[last]
    cut = np.append(boundaries, size)[np.minimum(first + (uniform[1] * cuts).astype(np.int64), last)]
    a_end = np.where(cuts > 0, cut, end)
    follows = (cuts > 0) & (uniform[0] >= 0.5)
    away_begin, away_end = _elsewhere(stream, np.maximum(1, total - (a_end - begin)), uniform[2])
    b_begin = np.where(follows, a_end, away_begin)
    b_end = np.where(follows, end, away_end)
    a_length, b_length = _trim(a_end - begin, b_end - b_begin, total)
    # A lost its end and B is the very end of the stream: no piece follows as the last target. The reference drops such
    # a window, and with it the batch; here A gets a piece back, and B gives one.
    ends = b_begin + b_length >= size
    return Splits(begin, a_length + ends, b_begin, b_length - ends, follows.astype(np.int64))


def _elsewhere(
    stream: Stream, length: NDArray[np.int64], uniform: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Random places of at least `length` pieces, extended on both sides to the bounds of sentences: begin, end."""
    last = stream.pieces.size - 1  # a piece must follow, to be the last one's target
    begin = (uniform * (last - length + 1)).astype(np.int64)
    end = begin + length
    before = np.searchsorted(stream.boundaries, begin, side="right")
    after = np.searchsorted(stream.boundaries, end, side="left")
    bounds = np.concatenate([[0], stream.boundaries, [last]])
    return bounds[before], np.minimum(bounds[after + 1], last)


def _trim(a: NDArray[np.int64], b: NDArray[np.int64], total: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lengths after taking single pieces off the longer of the two, off B where they are equal, down to `total`."""
    excess = a + b - total
    level = np.minimum(excess, np.abs(a - b))  # taken off the longer one alone
    rest = excess - level
    a_is_longer = a > b
    return (
        a - np.where(a_is_longer, level, 0) - rest // 2,
        b - np.where(a_is_longer, 0, level) - (rest + 1) // 2,
    )


class Windows(NamedTuple):
    """Training windows, all [windows, length] but `label` [windows]."""

    input: NDArray[np.int32]
    target: NDArray[np.int32]  # the piece that follows in the text
    seg_id: NDArray[np.int8]
    label: NDArray[np.int64]


def cut_windows(
    stream: Stream, windows: range, *, sequence_length: int, reuse_length: int, uniform: NDArray[np.float64]
) -> Windows:
    """The windows of a stream with these numbers; `uniform` [3, windows] as in `split`."""
    count, new = len(windows), sequence_length - reuse_length
    total = new - 3
    begin = (np.arange(windows.start, windows.stop) + 1) * reuse_length
    at = split(stream, begin, total=total, uniform=uniform)
    start, stop = windows.start * reuse_length, windows.stop * reuse_length
    pieces = np.full((count, sequence_length), SEP, np.int32)
    target = np.full((count, sequence_length), CLS, np.int32)
    pieces[:, :reuse_length] = stream.pieces[start:stop].reshape(count, reuse_length)
    target[:, :reuse_length] = stream.pieces[start + 1 : stop + 1].reshape(count, reuse_length)

    place = np.arange(total + 1)
    in_a = place < at.a_length[:, None]
    # Where <sep> ends A, the source is the piece before B: so the target there is B's first piece.
    source = place + np.where(in_a, at.a_begin[:, None], (at.b_begin - at.a_length - 1)[:, None])
    pieces[:, reuse_length:-2] = stream.pieces[source]
    target[:, reuse_length:-2] = stream.pieces[source + 1]
    pieces[np.arange(count), reuse_length + at.a_length] = SEP
    pieces[:, -1] = CLS

    seg_id = np.full((count, sequence_length), A, np.int8)
    seg_id[:, reuse_length:-2] = place > at.a_length[:, None]
    seg_id[:, -2:] = B, OF_CLS
    return Windows(pieces, target, seg_id, at.label)
