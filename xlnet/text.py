"""Normalisation of text, and pieces of it: ids, surfaces, and where in the text each one lies.

Both follow `prepro_utils.py` of Yang et al. 2019 (`preprocess_text`, `encode_pieces`), record for record.
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sentencepiece import SentencePieceProcessor

from xlnet import storage
from xlnet.errors import UserError

SPACE = "▁"  # SentencePiece's mark of a word's beginning, U+2581
PUNCTUATION = frozenset("!\"#$%&\"()*+,-./:;?@[\\]^_`{|}~")  # the reference's list: ' < = > are not in it
FIRST_COMBINING, LAST_PLANE = 0x300, 0x20000  # nothing below combines; above are ideographs and tags only


def normalize(text: str, *, lower: bool = False, remove_space: bool = True, keep_accents: bool = False) -> str:
    """The text as SentencePiece gets to see it: `preprocess_text` of the reference.

    Runs of whitespace become one space, `` and '' become ", compatibility characters are taken apart (NFKD) and
    what combines with the letter before it is dropped, unless `keep_accents`.
    """
    if remove_space:
        text = " ".join(text.split())
    return _replace(text, lower=lower, keep_accents=keep_accents)


def normalize_lines(lines: Sequence[str], *, lower: bool = False, keep_accents: bool = False) -> list[str]:
    """`normalize` of every line, many at once: the same strings at several times the speed."""
    collapsed = [line if _is_collapsed(line) else " ".join(line.split()) for line in lines]
    if not collapsed:
        return []
    # No rule looks across a newline, and none makes or takes one: it neither combines nor is part of a word.
    return _replace("\n".join(collapsed), lower=lower, keep_accents=keep_accents).split("\n")


def _is_collapsed(line: str) -> bool:
    # Of all whitespace only U+0020 is printable.
    return line.isprintable() and "  " not in line and line[:1] != " " and line[-1:] != " "


def _replace(text: str, *, lower: bool, keep_accents: bool) -> str:
    text = text.replace("``", '"').replace("''", '"')
    if not keep_accents and not text.isascii():
        text = combining().sub("", unicodedata.normalize("NFKD", text))
    return text.lower() if lower else text


@cache
def combining() -> re.Pattern[str]:
    """Matches runs of characters that combine with the one before them (a canonical class that is not 0)."""
    found = [code for code in range(FIRST_COMBINING, LAST_PLANE) if unicodedata.combining(chr(code))]
    return re.compile(f"[{''.join(map(re.escape, map(chr, found)))}]+")


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

    def __init__(
        self, model: str | Path | bytes, *, lower: bool = False, keep_accents: bool = False
    ) -> None:
        self._processor, self._model = load_model(model)
        self.lower, self.keep_accents = lower, keep_accents
        self.size: int = self._processor.GetPieceSize()
        self.sha256 = hashlib.sha256(self._model).hexdigest()
        self._pieces = [self._processor.IdToPiece(index) for index in range(self.size)]

    def __reduce__(self) -> tuple:
        return _rebuild, (self._model, self.lower, self.keep_accents)

    def encode(self, text: str) -> list[int]:
        """Ids of the pieces of a text."""
        return [self._processor.PieceToId(piece) for piece in self.pieces(text)]

    def encode_lines(self, lines: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Ids of all lines in a row [pieces], and how many each line has [lines]."""
        each = [self.encode(line) for line in lines]
        counts = np.array([len(ids) for ids in each], np.int32)
        return np.array([index for ids in each for index in ids], np.int32), counts

    def pieces(self, text: str) -> list[str]:
        """Surfaces of the pieces of a text: `encode_pieces` of the reference."""
        normalized = normalize(text, lower=self.lower, keep_accents=self.keep_accents)
        found = self._processor.EncodeAsPieces(normalized)
        return [part for piece in found for part in self._split_comma(piece)]

    def _split_comma(self, piece: str) -> list[str]:
        """A piece such as `1,000,` is encoded again without its last comma."""
        if not (len(piece) > 1 and piece[-1] == "," and piece[-2].isdigit()):
            return [piece]
        parts = self._processor.EncodeAsPieces(piece[:-1].replace(SPACE, ""))
        if parts and piece[0] != SPACE and parts[0][0] == SPACE:
            parts = parts[1:] if parts[0] == SPACE else [parts[0][1:], *parts[1:]]
        return [*parts, ","]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of pieces."""
        return self._processor.DecodeIds([int(index) for index in ids])

    def piece(self, index: int) -> str:
        """The surface of one piece."""
        return self._pieces[index]

    @property
    def is_word_start(self) -> NDArray[np.bool_]:
        """Which pieces begin a word [size]: `_is_start_piece` of the reference's `data_utils.py`."""
        return np.array([piece.startswith((SPACE, "<")) or piece in PUNCTUATION for piece in self._pieces])


def _rebuild(model: bytes, lower: bool, keep_accents: bool) -> Tokenizer:
    return Tokenizer(model, lower=lower, keep_accents=keep_accents)
