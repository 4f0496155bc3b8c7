"""Pieces of text: ids, surfaces, and where in the text each one lies.

As in `prepro_utils.py` of Yang et al. 2019 (`encode_pieces`, `encode_ids`), record for record.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sentencepiece import SentencePieceProcessor

from xlnet import storage
from xlnet.errors import UserError
from xlnet.normalization import align, normalize, normalize_lines

__all__ = ["Tokenizer", "align", "load_model", "normalize", "normalize_lines"]

SPACE = "▁"  # SentencePiece's mark of a word's beginning, U+2581
PUNCTUATION = frozenset('!"#$%&"()*+,-./:;?@[\\]^_`{|}~')  # the reference's list: ' < = > are not in it
BLOCK = 1000  # lines encoded at once: more and the memory of their ids costs more than the calls


def load_model(model: str | Path | bytes) -> tuple[SentencePieceProcessor, bytes]:
    """A SentencePiece model and its bytes. Raises UserError when the file is missing or is something else."""
    name = "the vocabulary" if isinstance(model, bytes) else str(model)
    content = model if isinstance(model, bytes) else storage.read_bytes(str(model))
    processor = SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(content)
    except RuntimeError:
        raise UserError(
            f"{name} is not a SentencePiece model ({len(content)} bytes); give the .model file of train-vocab"
        ) from None
    return processor, content


class Tokenizer:
    """Text to pieces and back, with one SentencePiece model. Can be pickled; starts no threads.

    Raises UserError when `model` (a path, local or gs://, or the bytes) is not a SentencePiece model.
    """

    def __init__(self, model: str | Path | bytes, *, lower: bool = False, keep_accents: bool = False) -> None:
        self._processor, self._model = load_model(model)
        self.lower, self.keep_accents = lower, keep_accents
        self.size: int = self._processor.GetPieceSize()
        self.sha256 = hashlib.sha256(self._model).hexdigest()
        self._surfaces = [self._processor.IdToPiece(index) for index in range(self.size)]
        #: Which pieces begin a word [size]: `_is_start_piece` of the reference's `data_utils.py`.
        self.is_word_start: NDArray[np.bool_] = np.array(
            [piece.startswith((SPACE, "<")) or piece in PUNCTUATION for piece in self._surfaces]
        )
        self._shown = np.array([_shown(surface) for surface in self._surfaces], np.int64)
        # Pieces such as `1,000,` never leave the tokenizer: the parts that stand for them, -1 behind the last.
        commas = {index: self._ids(self._split_comma(piece)) for index, piece in self._comma_pieces()}
        self._row = np.full(self.size, -1, np.int32)
        self._row[list(commas)] = np.arange(len(commas))
        width = max(map(len, commas.values()), default=0)
        self._parts = np.array([ids + [-1] * (width - len(ids)) for ids in commas.values()], np.int32)
        # Without a piece for it a comma joins the unknown character before it, whose surface then decides.
        self._is_comma_unknown = self._processor.PieceToId(",") == self._processor.unk_id()

    def __reduce__(self) -> tuple[Callable[[bytes, bool, bool], "Tokenizer"], tuple[bytes, bool, bool]]:
        return _rebuild, (self._model, self.lower, self.keep_accents)

    @property
    def model(self) -> bytes:
        """The SentencePiece model."""
        return self._model

    def stand_ins(self) -> list[list[int]]:
        """The ids that stand for each piece that SentencePiece gives: itself, or the parts of one such as `1,000,`.

        Raises UserError where they depend on the text, as with a vocabulary without a comma.
        """
        if self._is_comma_unknown:
            raise UserError("the vocabulary has no piece for a comma, so pieces depend on the text; export ids instead")
        return [
            [index] if row < 0 else [part for part in self._parts[row].tolist() if part >= 0]
            for index, row in enumerate(self._row)
        ]

    def encode(self, text: str) -> list[int]:
        """Ids of the pieces of a text: `encode_ids` of the reference."""
        return self.encode_lines([text])[0].tolist()

    def encode_lines(self, lines: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Ids of all lines in a row [pieces], and how many each line has [lines]."""
        blocks = [self._encode_block(lines[start : start + BLOCK]) for start in range(0, len(lines), BLOCK)]
        if len(blocks) == 1:
            return blocks[0]
        empty = np.zeros(0, np.int32)
        return np.concatenate([empty, *(ids for ids, _ in blocks)]), np.concatenate(
            [empty, *(counts for _, counts in blocks)]
        )

    def _encode_block(self, lines: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        normalized = normalize_lines(lines, lower=self.lower, keep_accents=self.keep_accents)
        if self._is_comma_unknown:
            each = [self._ids(self._pieces(line)) for line in normalized]
        else:
            each = self._processor.EncodeAsIds(normalized, num_threads=1)
        counts = np.fromiter(map(len, each), np.int32, len(each))
        ids = np.fromiter(chain.from_iterable(each), np.int32, int(counts.sum()))
        return (ids, counts) if self._is_comma_unknown else self._split_commas(ids, counts)

    def _split_commas(
        self, ids: NDArray[np.int32], counts: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        is_comma = self._row[ids] >= 0
        if not is_comma.any():
            return ids, counts
        parts = self._parts[self._row[ids[is_comma]]]
        lengths = np.ones(len(ids), np.int32)
        lengths[is_comma] = (parts >= 0).sum(axis=1)
        line = np.repeat(np.arange(len(counts)), counts)
        split = np.repeat(ids, lengths)
        split[np.repeat(is_comma, lengths)] = parts[parts >= 0]
        return split, np.bincount(line, weights=lengths, minlength=len(counts)).astype(np.int32)

    def pieces(self, text: str) -> list[str]:
        """Surfaces of the pieces of a text: `encode_pieces` of the reference."""
        return self._pieces(normalize(text, lower=self.lower, keep_accents=self.keep_accents))

    def _pieces(self, normalized: str) -> list[str]:
        found = self._processor.EncodeAsPieces(normalized)
        return [part for piece in found for part in self._split_comma(piece)]

    def _ids(self, pieces: Sequence[str]) -> list[int]:
        return [self._processor.PieceToId(piece) for piece in pieces]

    def _split_comma(self, piece: str) -> list[str]:
        if not _ends_number(piece):
            return [piece]
        parts = self._processor.EncodeAsPieces(piece[:-1].replace(SPACE, ""))
        if parts and piece[0] != SPACE and parts[0][0] == SPACE:
            parts = parts[1:] if parts[0] == SPACE else [parts[0][1:], *parts[1:]]
        return [*parts, ","]

    def _comma_pieces(self) -> Iterator[tuple[int, str]]:
        return ((index, piece) for index, piece in enumerate(self._surfaces) if _ends_number(piece))

    def encode_with_offsets(self, text: str) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
        """Ids of a text, and where each piece lies in `text`: starts and ends [pieces], half open, in characters.

        Whitespace is part of no piece: a piece that is only a word's beginning is empty, where the word begins.
        Pieces that share a character (a ligature, a fraction) each have all of it. Neither starts nor ends fall.
        """
        normalized, starts, ends = align(text, lower=self.lower, keep_accents=self.keep_accents)
        ids, lengths = self._visible_pieces(normalized)
        # SentencePiece normalises once more; its pieces in a row are what it sees, but for marks of words.
        seen, sources = self._processor.Normalize(normalized, with_offsets=True)
        is_visible = np.frombuffer(seen.encode("utf-32-le", "surrogatepass"), np.uint32) != ord(SPACE)
        begins = np.array(sources[:-1], np.int32)
        follows = np.append(begins, len(normalized))[np.searchsorted(begins, begins, side="right")]
        starts = np.append(starts[begins[is_visible]], len(text)).astype(np.int32)
        ends = np.append(ends[follows[is_visible] - 1], len(text)).astype(np.int32)
        last = np.minimum(np.cumsum(lengths), is_visible.sum())
        first = np.maximum(last - lengths, 0)
        starts, ends = starts[first], np.where(lengths > 0, ends[last - 1], starts[first])
        return ids, starts, np.maximum.accumulate(ends)

    def _visible_pieces(self, normalized: str) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Ids of pieces, and how many characters each shows [pieces]."""
        found = np.array(self._processor.EncodeAsIds(normalized), np.int32)
        unknown = self._processor.unk_id()
        ids, _ = self._split_commas(found, np.array([len(found)], np.int32))
        lengths, surfaces = self._shown[ids], []
        if (is_unknown := found == unknown).any():  # then its surface is the text's own
            pieces = self._processor.EncodeAsPieces(normalized)
            surfaces = [pieces[row] for row in np.flatnonzero(is_unknown)]
        if self._is_comma_unknown or (ids == unknown).sum() > len(surfaces):
            pieces = self._pieces(normalized)
            return np.array(self._ids(pieces), np.int32), np.array([_shown(piece) for piece in pieces], np.int64)
        lengths[ids == unknown] = [_shown(surface) for surface in surfaces]
        return ids, lengths

    def decode(self, ids: Sequence[int] | NDArray[np.int32]) -> str:
        """The text of pieces."""
        return self._processor.DecodeIds([int(index) for index in ids])

    def piece(self, index: int) -> str:
        """The surface of one piece."""
        return self._surfaces[index]


def _shown(surface: str) -> int:
    """How many characters a piece shows: the mark of a word's beginning is none."""
    return len(surface) - surface.count(SPACE)


def _ends_number(piece: str) -> bool:
    """Whether a piece such as `1,000,` is encoded again without its last comma."""
    return len(piece) > 1 and piece[-1] == "," and piece[-2].isdigit()


def _rebuild(model: bytes, lower: bool, keep_accents: bool) -> Tokenizer:
    return Tokenizer(model, lower=lower, keep_accents=keep_accents)
