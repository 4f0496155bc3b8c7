"""Which pieces are predicted: spans of words (or of pieces), drawn for many windows at once.

A part is one half of each window in reading order: [windows, length]. Windows advance side by side, a span a round,
until each has reached its goal or its end. Sources: Yang et al. 2019, section 2.3 and "span-based prediction";
reference `data_utils.py`, `_sample_mask`.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from xlnet.corpus.settings import CorpusSettings

POSITION_BITS = 16
TAKEN = np.uint64((1 << 64) - 1)


class Draws(Protocol):
    """Where chance comes from; every number is uniform in [0, 1)."""

    def span(self, windows: int) -> NDArray[np.float64]:
        """For one round: what decides the length and the place of a span in each window [2, windows]."""

    def fill(self, windows: int, length: int) -> NDArray[np.float64]:
        """A number for each piece: the free pieces with the smallest are taken [windows, length]."""


@dataclass(frozen=True)
class RandomDraws:
    """Draws of a generator."""

    generator: np.random.Generator

    def span(self, windows: int) -> NDArray[np.float64]:
        """See Draws."""
        return self.generator.random((2, windows))

    def fill(self, windows: int, length: int) -> NDArray[np.float64]:
        """See Draws."""
        return self.generator.random((windows, length))


class Proposal(NamedTuple):
    """The next span of some windows, each an array [rows]."""

    begin: NDArray[np.int64]  # piece
    end: NDArray[np.int64]  # piece after the last; `begin` where nothing fits
    cursor: NDArray[np.int64]  # where the next context begins
    exists: NDArray[np.bool_]  # False at the window's end


def sample(
    is_start: NDArray[np.bool_],
    is_functional: NDArray[np.bool_],
    *,
    goal: int | None,
    settings: CorpusSettings,
    draws: Draws,
) -> NDArray[np.bool_]:
    """The pieces to be predicted in each window of one part [windows, length].

    `is_start`: the piece begins a word; `is_functional`: it is <sep> or <cls>. With `span_unit` "word" exactly `goal`
    pieces, none of them functional; with "piece" exactly `goal`, where a functional one is no target later. Spans that
    would exceed the goal are shortened; what is missing at the end is made up of free pieces, chosen uniformly. With
    a `goal` of None the spans are taken as they come.
    """
    by_word = settings.span_unit == "word"
    spans = _WordSpans(is_start, is_functional, settings) if by_word else _PieceSpans(is_start, settings)
    is_masked, taken = _draw_spans(spans, goal=goal, settings=settings, draws=draws)
    if goal is not None:
        _fill(is_masked, goal - taken, barred=is_functional if by_word else None, draws=draws)
    return is_masked


def _draw_spans(
    spans: "_WordSpans | _PieceSpans", *, goal: int | None, settings: CorpusSettings, draws: Draws
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """The pieces in spans [windows, length], and how many there are in each window [windows]."""
    chances = 1 / np.arange(1, settings.span_longest + 1)
    limits = np.cumsum(chances / chances.sum())[:-1]
    edges = np.zeros((spans.windows, spans.length + 1), np.int8)  # +1 where a span begins, -1 where it has ended
    taken, cursor = np.zeros((2, spans.windows), np.int64)
    rows = np.arange(spans.windows)
    while rows.size:
        which, where = draws.span(spans.windows)[:, rows]
        units = np.searchsorted(limits, which, side="right") + 1
        room = spans.length if goal is None else goal - taken[rows]
        proposal = spans.propose(rows, cursor[rows], units=units, where=where, room=room)
        rows = rows[proposal.exists]
        begin, end = proposal.begin[proposal.exists], proposal.end[proposal.exists]
        edges[rows, begin] += 1
        edges[rows, end] -= 1
        taken[rows] += end - begin
        cursor[rows] = proposal.cursor[proposal.exists]
        rows = rows if goal is None else rows[taken[rows] < goal]
    return np.cumsum(edges[:, :-1], axis=1, dtype=np.int8).view(np.bool_), taken


class _WordSpans:
    """Spans of words, within contexts of words, as the paper has them.

    A word is a piece that begins one and what follows it up to the next such piece, <sep> or <cls>. Contexts follow
    each other without gap; the span lies anywhere inside its context, and ends before <sep>.
    """

    def __init__(self, is_start: NDArray[np.bool_], is_functional: NDArray[np.bool_], settings: CorpusSettings) -> None:
        self.windows, self.length = is_start.shape
        self.settings = settings
        # The words' first pieces, window after window, each window's followed by its length.
        marks = np.ones((self.windows, self.length + 1), np.bool_)
        np.greater(is_start, is_functional, out=marks[:, :-1])
        flat = np.flatnonzero(marks)
        self.words = marks.sum(axis=1) - 1
        self.first = np.cumsum(self.words + 1) - (self.words + 1)
        self.starts = flat % (self.length + 1)
        self.barrier = _next(is_functional)

    def propose(
        self,
        rows: NDArray[np.int64],
        cursor: NDArray[np.int64],
        *,
        units: NDArray[np.int64],
        where: NDArray[np.float64],
        room: NDArray[np.int64] | int,
    ) -> Proposal:
        """The next span in each of `rows`: of `units` words, or of the fewer that `room` pieces hold."""
        context = units * self.settings.span_alpha // self.settings.span_beta
        word = cursor + (where * (context - units + 1)).astype(np.int64)
        words, first = self.words[rows], self.first[rows]
        begin = self.starts[first + np.minimum(word, words)]
        barrier = self.barrier[rows, begin]
        end = np.minimum(self.starts[first + np.minimum(word + units, words)], barrier)
        for fewer in range(self.settings.span_longest - 1, -1, -1):
            exceeds = end - begin > room
            if not exceeds.any():
                break
            shorter = np.minimum(self.starts[first + np.minimum(word + fewer, words)], barrier)
            end = np.where(exceeds, np.minimum(end, shorter), end)
        return Proposal(begin, end, cursor + context, word < words)


class _PieceSpans:
    """Spans of pieces, each begun at a word, between contexts of pieces: what the original does.

    The original means to count words. It tests the span's first piece for being a word's beginning, over and over,
    and so counts pieces; it also never reaches a part's last piece.
    """

    def __init__(self, is_start: NDArray[np.bool_], settings: CorpusSettings) -> None:
        self.windows, self.length = is_start.shape
        self.settings = settings
        self.next_start = _next(is_start)

    def propose(
        self,
        rows: NDArray[np.int64],
        cursor: NDArray[np.int64],
        *,
        units: NDArray[np.int64],
        where: NDArray[np.float64],
        room: NDArray[np.int64] | int,
    ) -> Proposal:
        """The next span in each of `rows`: of `units` pieces, or of the fewer that there is `room` for."""
        units = np.minimum(units, room)
        context = units * self.settings.span_alpha // self.settings.span_beta
        left = (where * context).astype(np.int64)
        begin = self.next_start[rows, np.minimum(cursor + left, self.length)].astype(np.int64)
        end = begin + units
        return Proposal(begin, end, end + context - left, end < self.length)


def _next(marks: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The first marked position from each one on, itself included; the length where there is none [rows, length + 1]."""
    rows, length = marks.shape
    found = np.full((rows, length + 1), length, np.int32)
    np.copyto(found[:, :-1], np.arange(length, dtype=np.int32), where=marks)
    return np.minimum.accumulate(found[:, ::-1], axis=1)[:, ::-1]


def _fill(
    is_masked: NDArray[np.bool_],
    missing: NDArray[np.int64],
    *,
    barred: NDArray[np.bool_] | None,
    draws: Draws,
) -> None:
    """Mask `missing` more pieces in each window, those free and not barred whose draws are smallest."""
    windows, length = is_masked.shape
    # A key carries its position, so that keys differ and sorting them is the same on every machine.
    keys = (draws.fill(windows, length) * 2.0 ** (63 - POSITION_BITS)).astype(np.uint64) << np.uint64(POSITION_BITS)
    rows = np.flatnonzero(missing > 0)
    if not rows.size:
        return
    keys = keys[rows] | np.arange(length, dtype=np.uint64)
    keys[is_masked[rows] if barred is None else is_masked[rows] | barred[rows]] = TAKEN
    keys.sort(axis=1)
    most = int(missing.max())
    chosen = np.arange(most) < missing[rows, None]
    positions = (keys[:, :most] & np.uint64((1 << POSITION_BITS) - 1)).astype(np.int64)
    is_masked[np.repeat(rows, missing[rows]), positions[chosen]] = True
