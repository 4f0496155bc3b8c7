"""A stream of pieces, and the windows over it: reuse | A <sep> B <sep> <cls>.

Source: reference `data_utils.py`, `_split_a_and_b` and `create_tfrecords`; there a scan of every window's text, here
searches in the sorted array of sentence beginnings, for many windows at once.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from xlnet.corpus.settings import CorpusSettings
from xlnet.special_pieces import CLS, SEP

A, B, OF_CLS = 0, 1, 2  # segment ids


@dataclass(frozen=True)
class Stream:
    """Pieces in a row [n], and where sentences begin, int64, ascending, without the first one (at 0)."""

    pieces: NDArray[np.integer]  # int32, or uint16 where the vocabulary allows
    boundaries: NDArray[np.int64]

    @cached_property
    def backward(self) -> "Stream":
        """The same text from its end to its beginning; the pieces are not copied."""
        return Stream(self.pieces[::-1], self.pieces.size - self.boundaries[::-1])

    def part(self, start: int, stop: int) -> "Stream":
        """The text from one piece to another; the pieces are not copied."""
        inside = slice(*np.searchsorted(self.boundaries, [start + 1, stop]))
        return Stream(self.pieces[start:stop], self.boundaries[inside] - start)

    def windows(self, sequence_length: int, reuse_length: int) -> int:
        """How many windows fit; each begins `reuse_length` pieces after the one before."""
        return window_count(self.pieces.size, sequence_length, reuse_length)


def window_count(pieces: int, sequence_length: int, reuse_length: int) -> int:
    """How many windows fit in a stream of so many pieces."""
    return max(0, (pieces - sequence_length) // reuse_length + 1)


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
    """Training windows."""

    input: NDArray[np.integer]  # [windows, sequence_length]
    splits: Splits


def cut_windows(
    stream: Stream,
    windows: range,
    *,
    sequence_length: int,
    reuse_length: int,
    uniform: NDArray[np.float64],
    kind: DTypeLike = np.int32,
) -> Windows:
    """The windows of a stream with these numbers, as integers of a kind; `uniform` [3, windows] as in `split`."""
    count = len(windows)
    begin = (np.arange(windows.start, windows.stop) + 1) * reuse_length
    total = sequence_length - reuse_length - 3
    at = split(stream, begin, total=total, uniform=uniform)
    source = stream.pieces
    pieces = np.full((count, sequence_length), SEP, kind)
    reused = source[windows.start * reuse_length : windows.stop * reuse_length]
    pieces[:, :reuse_length] = reused.reshape(count, reuse_length)
    after = at.b_begin - at.a_length - 1
    pieces[:, reuse_length:-2] = _spliced(source, at.a_begin, after, cut=at.a_length + 1, length=total + 1)
    pieces[np.arange(count), reuse_length + at.a_length] = SEP
    pieces[:, -1] = CLS
    return Windows(pieces, at)


def following(
    stream: Stream,
    windows: range,
    splits: Splits,
    *,
    sequence_length: int,
    reuse_length: int,
    kind: DTypeLike = np.int32,
) -> NDArray[np.integer]:
    """Of each position of windows the piece that follows it in the text [windows, sequence_length].

    After the <sep> that ends A comes B's first piece; after the last two there is nothing (<cls>).
    """
    source = stream.pieces
    target = np.full((len(windows), sequence_length), CLS, kind)
    reused = source[windows.start * reuse_length + 1 : windows.stop * reuse_length + 1]
    target[:, :reuse_length] = reused.reshape(len(windows), reuse_length)
    begin, after = splits.a_begin + 1, splits.b_begin - splits.a_length
    length = sequence_length - reuse_length - 2
    target[:, reuse_length:-2] = _spliced(source, begin, after, cut=splits.a_length, length=length)
    return target


def _spliced(
    source: NDArray[np.integer],
    begin: NDArray[np.int64],
    after: NDArray[np.int64],
    *,
    cut: NDArray[np.int64],
    length: int,
) -> NDArray[np.integer]:
    """Rows of pieces [rows, length]: before the place `cut` the text at `begin`, then that at `after`.

    Whole texts are copied, and one of two taken: half the time of gathering the pieces one by one.
    """
    if not begin.size:
        return np.empty((0, length), source.dtype)
    texts = np.lib.stride_tricks.sliding_window_view(source, length)
    rows = np.where(np.arange(length) < cut[:, None], texts[begin], texts[np.maximum(after, 0)])
    for row in np.flatnonzero(after < 0):  # the text begins before the stream does, what is taken of it does not
        rows[row, cut[row] :] = source[after[row] + cut[row] : after[row] + length]
    return rows


def segment_ids(pieces: NDArray[np.integer], *, reuse_length: int) -> NDArray[np.int8]:
    """The segment of each position of windows [..., sequence_length]: it follows from where <sep> stands."""
    is_sep = pieces == SEP
    is_sep[..., :reuse_length] = False
    passed = np.cumsum(is_sep, axis=-1, dtype=np.int8)
    return passed - is_sep  # <sep> belongs to what it ends; after the second one, <cls> has OF_CLS


def rows_of_step(settings: CorpusSettings) -> int:
    """The records that one file gives to a step of training: so many rows of its batch are read side by side."""
    if settings.layout == "reference":
        return settings.reference_rows
    return 2 if settings.bidirectional else 1


def backward_rows(settings: CorpusSettings) -> NDArray[np.bool_]:
    """Which of these rows read the text backwards: the second half of those of each core."""
    rows = rows_of_step(settings)
    cores = settings.reference_cores if settings.layout == "reference" else 1
    if not settings.bidirectional:
        return np.zeros(rows, np.bool_)
    return np.tile(np.repeat([False, True], rows // cores // 2), cores)


def side_by_side(stream: Stream, settings: CorpusSettings) -> list[Stream]:
    """What each of these rows reads: the stream cut into equal parts, each forward and, in another row, backward.

    The pieces that are too few for a part each are left out. Source: reference `data_utils.py`, `batchify`.
    """
    is_backward = backward_rows(settings)
    count = len(is_backward) - int(is_backward.sum())
    size = stream.pieces.size // count
    parts = [stream] if count == 1 else [stream.part(n * size, (n + 1) * size) for n in range(count)]
    number = np.where(is_backward, np.cumsum(is_backward), np.cumsum(~is_backward)) - 1
    return [parts[n].backward if back else parts[n] for n, back in zip(number.tolist(), is_backward, strict=True)]
