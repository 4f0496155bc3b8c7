"""Texts to arrays of features: `<pad>... A <sep> [B <sep>] <cls>`, padded on the left.

The layout is that of the reference's classifier_utils.py, convert_single_example: a model reads the sequence
from its end, where `<cls>` always stands.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from xlnet.errors import UserError
from xlnet.special_pieces import CLS, SEP

SEGMENT_A, SEGMENT_B, SEGMENT_CLS, SEGMENT_PAD = 0, 1, 2, 4  # 3 is the <sep> of other tasks
PIECE_PAD = 0  # as in the released fine-tuning code, not <pad>; a padded piece is never looked at
SHORTEST = 8  # pieces: room for a pair and its three special pieces


Parts = tuple[NDArray[np.integer], NDArray[np.integer], NDArray[np.integer]]  # ids, first [n] of each part, kept [n]


class LineEncoder(Protocol):
    """The part of a tokenizer that features need: see `xlnet.text.Tokenizer`."""

    def encode_lines(self, lines: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Ids of all lines in a row, and how many each line has."""
        ...


def kept(
    length_a: NDArray[np.integer], length_b: NDArray[np.integer], *, room: NDArray[np.integer]
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """How many pieces of A and B remain, of so many, when the longer loses its last piece until both fit.

    All are [n]; `room` is for both texts. A tie is lost by B. Closed form of classifier_utils.py,
    _truncate_seq_pair: a text is cut only where it is longer than its half of the room and than what the other
    leaves.
    """
    half = room // 2
    kept_a = np.minimum(length_a, np.maximum(room - half, room - length_b))
    kept_b = np.minimum(length_b, np.maximum(half, room - length_a))
    return kept_a, kept_b


def features(
    tokenizer: LineEncoder, texts: Sequence[str], *, pairs: Sequence[str] | None = None, sequence_length: int
) -> dict[str, NDArray[np.int32]]:
    """Arrays `pieces`, `segments` and `padding` (1 = padding), [n, sequence_length] each, of n texts or pairs.

    A second text without pieces counts as none. Raises UserError when sequence_length is below 8.
    """
    return features_and_cut(tokenizer, texts, pairs=pairs, sequence_length=sequence_length)[0]


def features_and_cut(
    tokenizer: LineEncoder, texts: Sequence[str], *, pairs: Sequence[str] | None = None, sequence_length: int
) -> tuple[dict[str, NDArray[np.int32]], NDArray[np.bool_]]:
    """As `features`, and which texts or pairs are too long and have lost pieces [n]."""
    if sequence_length < SHORTEST:
        raise UserError(f"sequence_length is {sequence_length}, wanted is at least {SHORTEST} pieces")
    ids_a, length_a = tokenizer.encode_lines(texts)
    ids_b, length_b = (ids_a[:0], np.zeros_like(length_a)) if pairs is None else tokenizer.encode_lines(pairs)
    special = np.where(length_b > 0, 3, 2)
    kept_a, kept_b = kept(length_a, length_b, room=sequence_length - special)
    a = (ids_a, firsts(length_a), kept_a)
    arrays = laid_out(a, (ids_b, firsts(length_b), kept_b), special=special, sequence_length=sequence_length)
    return arrays, (kept_a < length_a) | (kept_b < length_b)


def firsts(lengths: NDArray[np.integer]) -> NDArray[np.integer]:
    """Where each of n texts begins, when they stand in a row; lengths [n]."""
    return np.cumsum(lengths) - lengths


def laid_out(
    a: Parts, b: Parts, *, special: NDArray[np.integer] | int, sequence_length: int
) -> dict[str, NDArray[np.int32]]:
    """The arrays of `features` of parts that fit: `special` [n] is 3 where a `<sep>` ends B, 2 where there is no B."""
    start = sequence_length - special - a[2] - b[2]
    rows = np.arange(len(start))
    pieces = np.full((len(start), sequence_length), PIECE_PAD, np.int32)
    end_a = start + a[2]
    _place(pieces, *a, start=start)
    pieces[rows, end_a] = SEP
    _place(pieces, *b, start=end_a + 1)
    pieces[:, -2] = SEP
    pieces[:, -1] = CLS
    column = np.arange(sequence_length)
    segments = np.where(column <= end_a[:, None], SEGMENT_A, SEGMENT_B).astype(np.int32)
    padding = column < start[:, None]
    segments[padding] = SEGMENT_PAD
    segments[:, -1] = SEGMENT_CLS
    return {"pieces": pieces, "segments": segments, "padding": padding.astype(np.int32)}


def _place(
    pieces: NDArray[np.int32],
    ids: NDArray[np.integer],
    first: NDArray[np.integer],
    kept: NDArray[np.integer],
    *,
    start: NDArray[np.integer],
) -> None:
    """Writes `kept` ids, from `first` on, into each row, from column `start` on."""
    within = np.arange(kept.sum()) - np.repeat(firsts(kept), kept)
    source = np.repeat(first, kept) + within
    pieces[np.repeat(np.arange(len(kept)), kept), np.repeat(start, kept) + within] = ids[source]
