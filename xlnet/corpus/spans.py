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

Indices = NDArray[np.int64]


class Draws(Protocol):
    """Where chance comes from: numbers uniform in [0, 1), for the windows that are named [rows]."""

    def span(self, rows: Indices) -> NDArray[np.float64]:
        """What decides the length and the place of the next span [2, rows]."""

    def piece(self, rows: Indices) -> NDArray[np.float64]:
        """What decides the next single piece [rows]."""


@dataclass(frozen=True)
class RandomDraws:
    """Draws of a generator."""

    generator: np.random.Generator

    def span(self, rows: Indices) -> NDArray[np.float64]:
        """See Draws."""
        return self.generator.random((2, rows.size))

    def piece(self, rows: Indices) -> NDArray[np.float64]:
        """See Draws."""
        return self.generator.random(rows.size)


class Proposal(NamedTuple):
    """The next spans of some windows, each an array [rows]; positions count on from window to window."""

    begin: Indices
    end: Indices  # the position after the last; `begin` where nothing fits
    cursor: Indices  # where the next context begins
    exists: NDArray[np.bool_]  # False where the window has ended


def sample(
    is_start: NDArray[np.bool_],
    is_functional: NDArray[np.bool_],
    *,
    goals: Indices | None,
    settings: CorpusSettings,
    draws: Draws,
) -> NDArray[np.bool_]:
    """The pieces to be predicted in each window of one part [windows, length].

    `is_start`: the piece begins a word; `is_functional`: it is <sep> or <cls>. With `span_unit` "word" exactly
    `goals` [windows] pieces, none of them functional; with "piece" exactly as many, where a functional one is no
    target later. Spans that would exceed the goal are shortened; what is missing at the end is made up of free pieces,
    chosen uniformly. With `goals` of None the spans are taken as they come.
    """
    windows, length = is_start.shape
    by_word = settings.span_unit == "word"
    spans = _WordSpans(is_start, is_functional, settings) if by_word else _PieceSpans(is_start, settings)
    limits = np.full(windows, length) if goals is None else goals
    begin, end, missing = _draw_spans(spans, goals=limits, settings=settings, draws=draws)
    is_masked = np.zeros((windows, length + 1), np.bool_)
    sizes = end - begin
    is_masked.ravel()[np.arange(sizes.sum()) + np.repeat(begin - np.cumsum(sizes) + sizes, sizes)] = True
    is_masked = is_masked[:, :-1]
    if goals is not None:
        _fill(is_masked, missing, barred=is_functional if by_word else None, draws=draws)
    return is_masked


def _draw_spans(
    spans: "_WordSpans | _PieceSpans", *, goals: Indices, settings: CorpusSettings, draws: Draws
) -> tuple[Indices, Indices, Indices]:
    """All spans, their begins and ends, and how many pieces each window lacks after them [windows]."""
    chances = 1 / np.arange(1, settings.span_longest + 1)
    limits = np.cumsum(chances / chances.sum())[:-1]
    missing = goals.copy()
    rows, cursor, room = np.arange(goals.size), np.zeros_like(goals), goals
    begins, ends = [rows[:0]], [rows[:0]]
    while rows.size:
        which, where = draws.span(rows)
        units = np.ones(rows.size, np.int64)
        for limit in limits:  # few: faster than a search
            units += which >= limit
        begin, end, cursor, exists = spans.propose(rows, cursor, units=units, where=where, room=room)
        if not exists.all():
            rows, room, begin, end, cursor = (values[exists] for values in (rows, room, begin, end, cursor))
        begins.append(begin)
        ends.append(end)
        room = room - (end - begin)
        missing[rows] = room
        goes_on = room > 0
        if not goes_on.all():
            rows, room, cursor = rows[goes_on], room[goes_on], cursor[goes_on]
    return np.concatenate(begins), np.concatenate(ends), missing


class _WordSpans:
    """Spans of words, within contexts of words, as the paper has them.

    A word is a piece that begins one and what follows it up to the next such piece, <sep> or <cls>. Contexts follow
    each other without gap; the span lies anywhere inside its context, and ends before <sep>.
    """

    def __init__(self, is_start: NDArray[np.bool_], is_functional: NDArray[np.bool_], settings: CorpusSettings) -> None:
        windows, length = is_start.shape
        self.settings = settings
        self.contexts = np.arange(settings.span_longest + 1) * settings.span_alpha // settings.span_beta
        marks = np.ones((windows, length + 1), np.bool_)
        np.greater(is_start, is_functional, out=marks[:, :-1])
        self.words = np.count_nonzero(marks, axis=1) - 1
        self.first = np.cumsum(self.words + 1) - (self.words + 1)
        self.starts = np.flatnonzero(marks)  # of all words, window after window; each window's end closes its own
        marks[:, :-1] = is_functional
        barriers = np.flatnonzero(marks)
        before = np.searchsorted(self.starts, barriers, side="right")
        # What ends the text that a word is in; 32 bits take half the time.
        self.barriers = np.repeat(barriers.astype(np.int32), np.diff(before, prepend=0))

    def propose(
        self, rows: Indices, cursor: Indices, *, units: Indices, where: NDArray[np.float64], room: Indices
    ) -> Proposal:
        """The next span in each of `rows`: of `units` words, or of the fewer that `room` pieces hold."""
        context = self.contexts.take(units)
        word = cursor + (where * (context - units + 1)).astype(np.int64)
        words, first = self.words.take(rows), self.first.take(rows)
        at = first + np.minimum(word, words)
        begin, barrier = self.starts.take(at), self.barriers.take(at)
        end = np.minimum(self.starts.take(first + np.minimum(word + units, words)), barrier)
        exceeding = np.flatnonzero(end - begin > room)
        for fewer in range(self.settings.span_longest - 1, -1, -1):
            if not exceeding.size:
                break
            last = np.minimum(at[exceeding] + fewer, first[exceeding] + words[exceeding])
            end[exceeding] = np.minimum(end[exceeding], self.starts[last])
            exceeding = exceeding[end[exceeding] - begin[exceeding] > room[exceeding]]
        return Proposal(begin, end, cursor + context, word < words)


class _PieceSpans:
    """Spans of pieces, each begun at a word, between contexts of pieces: what the original does.

    The original means to count words. It tests the span's first piece for being a word's beginning, over and over,
    and so counts pieces; it also never reaches a part's last piece.
    """

    def __init__(self, is_start: NDArray[np.bool_], settings: CorpusSettings) -> None:
        windows, self.length = is_start.shape
        self.settings = settings
        found = np.full((windows, self.length + 1), self.length, np.int32)
        np.copyto(found[:, :-1], np.arange(self.length, dtype=np.int32), where=is_start)
        self.next_start = np.minimum.accumulate(found[:, ::-1], axis=1)[:, ::-1]  # itself, where it is one

    def propose(
        self, rows: Indices, cursor: Indices, *, units: Indices, where: NDArray[np.float64], room: Indices
    ) -> Proposal:
        """The next span in each of `rows`: of `units` pieces, or of the fewer that there is `room` for."""
        units = np.minimum(units, room)
        context = units * self.settings.span_alpha // self.settings.span_beta
        left = (where * context).astype(np.int64)
        begin = self.next_start[rows, np.minimum(cursor + left, self.length)].astype(np.int64)
        end = begin + units
        offset = rows * (self.length + 1)
        return Proposal(offset + begin, offset + end, end + context - left, end < self.length)


def _fill(is_masked: NDArray[np.bool_], missing: Indices, *, barred: NDArray[np.bool_] | None, draws: Draws) -> None:
    """Mask `missing` [windows] more pieces: any piece is drawn, and taken where it is free, until there are enough."""
    if barred is not None:
        is_masked |= barred
    rows = np.flatnonzero(missing > 0)
    left = missing[rows]
    while rows.size:
        piece = (draws.piece(rows) * is_masked.shape[1]).astype(np.int64)
        left = left - ~is_masked[rows, piece]
        is_masked[rows, piece] = True
        rows, left = rows[left > 0], left[left > 0]
    if barred is not None:
        is_masked &= ~barred
