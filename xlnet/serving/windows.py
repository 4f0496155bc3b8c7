"""Long texts as windows that overlap; each piece belongs to the window that shows most of what is around it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xlnet.serving.settings import SPECIAL
from xlnet.special_pieces import CLS, SEP
from xlnet.tasks.features import PIECE_PAD, SEGMENT_A, SEGMENT_CLS, SEGMENT_PAD


class Windows(NamedTuple):
    """Windows of n texts, text after text: all int [windows].

    A window holds the pieces `starts` up to `stops` of its text, and is to answer for `first` up to `last`.
    """

    text: NDArray[np.int64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]


def windows(lengths: NDArray[np.integer], *, room: int, stride: int) -> Windows:
    """Windows of at most `room` pieces over texts of these lengths [n], `stride` apart, 0 < stride <= room.

    The last window of a text ends with it, and is as full as the others. Where two overlap, each answers for its half.
    A text without pieces has one window.
    """
    lengths = lengths.astype(np.int64)
    counts = 1 + np.maximum(0, -(-(lengths - room) // stride))
    text = np.repeat(np.arange(len(lengths)), counts)
    number = np.arange(len(text)) - np.repeat(np.cumsum(counts) - counts, counts)
    total = lengths[text]
    starts = np.minimum(number * stride, np.maximum(total - room, 0))
    stops = np.minimum(starts + room, total)
    middle = (starts[1:] + stops[:-1] + 1) // 2  # between a window and the one before it
    is_first, is_last = number == 0, number == counts[text] - 1
    first = np.where(is_first, 0, np.concatenate([[0], middle])[: len(text)])
    last = np.where(is_last, total, np.concatenate([middle, [0]])[: len(text)])
    return Windows(text, starts, stops, first, last)


def laid_out(
    ids: NDArray[np.int32], lengths: NDArray[np.integer], cut: Windows, *, length: int
) -> dict[str, NDArray[np.int32]]:
    """Windows of texts as features `<pad>... A <sep> <cls>` [windows, length], as `tasks.features` has them."""
    sizes = cut.stops - cut.starts
    source = np.repeat((np.cumsum(lengths) - lengths)[cut.text] + cut.starts, sizes)
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    begin = length - SPECIAL - sizes
    pieces = np.full((len(sizes), length), PIECE_PAD, np.int32)
    pieces[np.repeat(np.arange(len(sizes)), sizes), np.repeat(begin, sizes) + within] = ids[source + within]
    pieces[:, -2:] = SEP, CLS
    padding = np.arange(length) < begin[:, None]
    segments = np.where(padding, SEGMENT_PAD, SEGMENT_A).astype(np.int32)
    segments[:, -1] = SEGMENT_CLS
    return {"pieces": pieces, "segments": segments, "padding": padding.astype(np.int32)}
