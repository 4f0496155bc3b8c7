"""Questions to windows over their contexts: `<pad>... context <sep> question <sep> <cls>`.

The layout is that of the reference's run_squad.py, convert_examples_to_features, but padded on the left as that of all
other tasks: which side it is does not move an answer. Where a piece lies in its context is told by the tokenizer; the
reference looks for a longest common subsequence.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from xlnet.errors import UserError
from xlnet.special_pieces import CLS, SEP
from xlnet.tasks.features import PIECE_PAD, Parts
from xlnet.tasks.span_questions import NOWHERE, Questions

SEGMENT_CONTEXT, SEGMENT_QUESTION, SEGMENT_CLS, SEGMENT_PAD = 0, 1, 2, 3
SPECIAL = 3  # two <sep> and a <cls>

Integers = NDArray[np.integer]


class OffsetEncoder(Protocol):
    """The part of a tokenizer that windows need: see `xlnet.text.Tokenizer`."""

    def encode_lines(self, lines: list[str]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Ids of all lines in a row, and how many each line has."""
        ...

    def encode_with_offsets(self, text: str) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
        """Ids of a text, and where in it each piece starts and ends."""
        ...


@dataclass(frozen=True)
class WindowSettings:
    """How contexts are cut into windows, in pieces."""

    sequence_length: int = 512
    stride: int = 128  # from a window's first piece to that of the next
    question_length: int = 64  # what is longer is cut

    def __post_init__(self) -> None:
        if self.stride < 1 or self.question_length < 1:
            raise UserError(
                f"stride is {self.stride} and question_length {self.question_length}, wanted is 1 or more of each"
            )
        if self.sequence_length <= self.question_length + SPECIAL:
            raise UserError(
                f"sequence_length is {self.sequence_length}, wanted is more than question_length + {SPECIAL} = "
                f"{self.question_length + SPECIAL}: the context needs room"
            )


@dataclass(frozen=True)
class Pieces:
    """The pieces of all contexts in a row, with the place of each in its context."""

    ids: NDArray[np.int32]  # [pieces]
    starts: NDArray[np.int32]  # characters [pieces]
    ends: NDArray[np.int32]  # [pieces]
    first: NDArray[np.int64]  # which piece each context begins with [contexts]
    counts: NDArray[np.int64]  # how many pieces it has [contexts]

    @classmethod
    def of(cls, tokenizer: OffsetEncoder, contexts: list[str]) -> "Pieces":
        """Each context once, however many questions it has."""
        ids, starts, ends = zip(*map(tokenizer.encode_with_offsets, contexts), strict=True)
        counts = np.array([len(each) for each in ids])
        first = np.cumsum(counts) - counts
        return cls(np.concatenate(ids), np.concatenate(starts), np.concatenate(ends), first, counts)

    def within(self, spans: Integers, *, context: Integers, lengths: Integers) -> NDArray[np.int64]:
        """The first and last piece of spans of characters [n, 2] in contexts [n], counted within the context.

        `lengths` are the characters of all contexts. A span without characters of its own gives NOWHERE.
        """
        before = np.cumsum(lengths + 1) - lengths - 1  # contexts one behind the other, none touching the next
        shift = np.repeat(before, self.counts)
        first = np.searchsorted(self.ends + shift, spans[:, 0] + before[context], side="right")
        last = np.searchsorted(self.starts + shift, spans[:, 1] + before[context], side="left") - 1
        found = np.stack([first, last], axis=1) - self.first[context][:, None]
        found[(spans[:, 0] == NOWHERE) | (first > last)] = NOWHERE
        return found


@dataclass(frozen=True)
class Windows:
    """Windows over the contexts of questions; those of a question stand in a row, from left to right."""

    inputs: dict[str, NDArray[np.int32]]  # pieces, segments, padding, excluded [w, sequence_length]
    answers: NDArray[np.int64]  # the first and last piece of the answer, from the window's first on [w, 2], or NOWHERE
    question: NDArray[np.int64]  # which question each window is of [w]
    context: NDArray[np.int64]  # which context [w]
    first: NDArray[np.int64]  # the piece of the context that the window begins with [w]
    length: NDArray[np.int64]  # how many pieces of the context it has [w]
    begin: NDArray[np.int64]  # the column that they begin in [w]
    pieces: Pieces

    def __len__(self) -> int:
        return len(self.question)

    def characters(self, window: Integers, start: Integers, end: Integers) -> tuple[Integers, Integers]:
        """The characters of spans of pieces, both ends in: starts and ends in the context, half open."""
        at = self.pieces.first[self.context[window]] + self.first[window]
        return self.pieces.starts[at + start], self.pieces.ends[at + end]

    def has_most_context(self, window: Integers, piece: Integers) -> NDArray[np.bool_]:
        """Whether no window of its question shows more around a piece of a window; all are of one shape.

        More is: the shorter side is longer; a longer window counts a hundredth a piece. The first of equals wins.
        Source: run_squad.py, _check_is_max_context.
        """
        window, piece = np.broadcast_arrays(window, piece)
        position = self.first[window] + piece
        own = self._context_around(window, position)
        best = np.ones(window.shape, bool)
        counts = np.bincount(self.question)
        ordinal = np.arange(len(self)) - (np.cumsum(counts) - counts)[self.question]
        for distance in range(1, int(counts.max())):
            before, after = window - distance, window + distance
            is_there = ordinal[window] >= distance
            best &= ~is_there | (self._context_around(np.maximum(before, 0), position) < own)
            is_there = ordinal[window] + distance < counts[self.question[window]]
            best &= ~is_there | (self._context_around(np.minimum(after, len(self) - 1), position) <= own)
        return best

    def _context_around(self, window: Integers, position: Integers) -> NDArray[np.float64]:
        left = position - self.first[window]
        right = self.length[window] - 1 - left
        side = np.minimum(left, right)
        return np.where(side < 0, -np.inf, side + 0.01 * self.length[window])


def windows(tokenizer: OffsetEncoder, questions: Questions, *, settings: WindowSettings) -> Windows:
    """The windows of all questions.

    A window without the whole answer is one that cannot be answered, as in the reference. Raises UserError when a
    context has no piece.
    """
    pieces = Pieces.of(tokenizer, questions.contexts)
    if not pieces.counts.all():
        empty = int(np.flatnonzero(pieces.counts == 0)[0])
        about_it = np.flatnonzero(questions.context == empty)
        whose = f"question {questions.ids[about_it[0]]!r}" if len(about_it) else f"paragraph {empty + 1}"
        raise UserError(f"{questions.path}: the context of {whose} has nothing to read; remove the paragraph")
    asked, asked_counts = tokenizer.encode_lines(questions.texts)
    kept = np.minimum(asked_counts, settings.question_length).astype(np.int64)
    total = pieces.counts[questions.context]
    room = settings.sequence_length - SPECIAL - kept
    step = np.minimum(room, settings.stride)
    counts = 1 + -(-np.maximum(total - room, 0) // step)
    question = np.repeat(np.arange(len(questions)), counts)
    ordinal = np.arange(len(question)) - np.repeat(np.cumsum(counts) - counts, counts)
    first = ordinal * step[question]
    length = np.minimum(room[question], total[question] - first)
    context = questions.context[question].astype(np.int64)
    begin = settings.sequence_length - SPECIAL - kept[question] - length
    inputs = _laid_out(
        (pieces.ids, pieces.first[context] + first, length),
        (asked, (np.cumsum(asked_counts) - asked_counts)[question], kept[question]),
        begin=begin,
        sequence_length=settings.sequence_length,
    )
    within = pieces.within(
        questions.spans, context=questions.context, lengths=np.array([len(text) for text in questions.contexts])
    )
    answers = within[question] - first[:, None]
    answers[(answers[:, 0] < 0) | (answers[:, 1] >= length)] = NOWHERE
    return Windows(inputs, answers, question, context, first, length, begin, pieces)


def _laid_out(
    context: Parts, question: Parts, *, begin: Integers, sequence_length: int
) -> dict[str, NDArray[np.int32]]:
    column = np.arange(sequence_length) - begin[:, None]
    separator = context[2][:, None]
    cls = separator + question[2][:, None] + 2
    from_context = (column >= 0) & (column < separator)
    from_question = (column > separator) & (column < cls - 1)
    found = np.full(column.shape, PIECE_PAD, np.int32)
    found[from_context] = context[0][(context[1][:, None] + column)[from_context]]
    found[from_question] = question[0][(question[1][:, None] + column - separator - 1)[from_question]]
    found[(column == separator) | (column == cls - 1)] = SEP
    found[:, -1] = CLS
    segments = np.where(column <= separator, SEGMENT_CONTEXT, SEGMENT_QUESTION).astype(np.int32)
    segments[:, -1] = SEGMENT_CLS
    segments[column < 0] = SEGMENT_PAD
    excluded = ~from_context
    excluded[:, -1] = False
    return {
        "pieces": found,
        "segments": segments,
        "padding": (column < 0).astype(np.int32),
        "excluded": excluded.astype(np.int32),
    }
