"""A training record drawn as text: its pieces with segments, targets, and what one position may see."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xlnet.corpus import orders
from xlnet.corpus.settings import CorpusSettings
from xlnet.errors import UserError
from xlnet.special_pieces import CLS, EOD, PARAGRAPH_END, SEP, SPECIAL_PIECES
from xlnet.text import SPACE, Tokenizer

LONGEST = 2048  # pieces; a longer record is no longer looked at
NAMES = ("reuse", "A", "B")
MARKS = {PARAGRAPH_END: "¶", SPECIAL_PIECES[EOD]: "◼", SPACE: "␣"}


@dataclass(frozen=True)
class Piece:
    """One position of a record, as the page shows it."""

    text: str
    segment: str  # reuse, A or B; that of <cls> is B's, where it stands
    begins_word: bool
    functional: bool  # <sep>, <cls>
    mark: bool  # <eop>, <eod> and a space of its own: shown as ¶, ◼ and ␣
    place: int | None  # of a target: when in its half it is predicted, from 1; None: not predicted
    chosen: bool
    seen: bool  # by the chosen position


@dataclass(frozen=True)
class Drawing:
    """A record's pieces, and of the chosen position what it is and what it sees.

    A target is predicted from its query stream, which does not see the target itself; that one is drawn. All other
    positions have a content stream only, which sees them. (A target's content stream sees one more: the target.)
    """

    pieces: list[Piece]
    has_order: bool  # False: the record holds none, and the one that is drawn is one that training may draw
    b_follows_a: bool
    targets: int
    position: int
    chosen: Piece
    of: int  # targets in the half of the chosen position
    sees: int  # pieces of the record; all of the memory is seen too

    @property
    def kind(self) -> str:
        """What the chosen position is: "target", "functional" or "context"."""
        return "target" if self.chosen.place else "functional" if self.chosen.functional else "context"


def draw(
    record: Mapping[str, NDArray[np.integer]],
    *,
    tokenizer: Tokenizer,
    settings: CorpusSettings,
    position: int | None = None,
) -> Drawing:
    """A decoded record, and in it one position: `position`, or the middle one of the second half's targets.

    Raises UserError for a position outside the record, and KeyError, IndexError or ValueError when the record is not
    one of these settings and this vocabulary.
    """
    pieces = record["input"]
    if not len(pieces) == len(record["is_masked"]) == settings.sequence_length:
        raise ValueError(f"a record of {len(pieces)} pieces, the manifest says {settings.sequence_length}")
    functional = np.isin(pieces, (SEP, CLS))
    target = record["is_masked"].astype(bool) & ~functional
    order = record["order"] if "order" in record else _any_order(target | functional, settings)
    places = _places(order, target, reuse_length=settings.reuse_length)
    chosen = _middle(places, reuse_length=settings.reuse_length) if position is None else position
    if not 0 <= chosen < len(places):
        where = ", ".join(map(str, np.flatnonzero(places)))
        raise UserError(f"the record has no position {chosen}: they are 0 to {len(places) - 1}, its targets at {where}")
    sees = orders.visible(order, target, functional, reuse_length=settings.reuse_length)[chosen]
    drawn = [
        Piece(
            text=MARKS.get(surface, surface.removeprefix(SPACE)),
            segment=_segment(position, int(record["seg_id"][position]), settings.reuse_length),
            begins_word=surface.startswith((SPACE, "<")),
            functional=bool(functional[position]),
            mark=surface in MARKS,
            place=int(places[position]) or None,
            chosen=position == chosen,
            seen=bool(sees[position]),
        )
        for position, surface in enumerate(map(tokenizer.piece, pieces.tolist()))
    ]
    half = slice(settings.reuse_length, None) if chosen >= settings.reuse_length else slice(settings.reuse_length)
    return Drawing(
        pieces=drawn,
        has_order="order" in record,
        b_follows_a=bool(record["label"][0]),
        targets=int(target.sum()),
        position=chosen,
        chosen=drawn[chosen],
        of=int(target[half].sum()),
        sees=int(sees.sum()),
    )


def _any_order(is_ordered: NDArray[np.bool_], settings: CorpusSettings) -> NDArray[np.int64]:
    """An order as training draws them for records without one, the same each time [length]."""
    generator = np.random.Generator(np.random.Philox(0))
    sizes = {"reuse_length": settings.reuse_length, "permutation_size": settings.permutation_size}
    ranks = orders.draw(generator, is_ordered[None], **sizes, slots=max(1, int(is_ordered.sum())))
    return orders.dense(ranks[0], is_ordered)


def _places(order: NDArray[np.integer], target: NDArray[np.bool_], *, reuse_length: int) -> NDArray[np.int64]:
    """Of each target the place, from 1, in which its half predicts it; 0 elsewhere."""
    places = np.zeros(len(order), np.int64)
    for half in (np.arange(len(order)) < reuse_length, np.arange(len(order)) >= reuse_length):
        positions = np.flatnonzero(target & half)
        places[positions[np.argsort(order[positions])]] = np.arange(1, len(positions) + 1)
    return places


def _middle(places: NDArray[np.int64], *, reuse_length: int) -> int:
    new = places[reuse_length:]
    half, start = (new, reuse_length) if new.any() else (places[:reuse_length], 0)
    if not half.any():
        raise ValueError("a record without targets")
    return start + int(np.flatnonzero(half == (half.max() + 1) // 2)[0])


def _segment(position: int, segment: int, reuse_length: int) -> str:
    return NAMES[0] if position < reuse_length else NAMES[1 + min(segment, 1)]
