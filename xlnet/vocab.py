"""The vocabulary: special pieces at their ids, and a SentencePiece model trained on text.

The special pieces and the training are those of the reference (its README, "Data preprocessing"): a unigram model
with character coverage 0.99995, in which control symbols never come from text, and `<eop>` and some marks always do.
"""

import hashlib
import io
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import sentencepiece

from xlnet import sampling, storage
from xlnet.census import Census
from xlnet.corpus import sources
from xlnet.errors import UserError, require
from xlnet.file_names import VOCABULARY
from xlnet.reservoir import Sentences
from xlnet.sampling import LONGEST_SENTENCE, Plan
from xlnet.settings import LARGEST_SEED, setting
from xlnet.special_pieces import CLS, EOP, PARAGRAPH_END, SPECIAL_PIECES, UNK
from xlnet.text import load_model

CONTROL_SYMBOLS = SPECIAL_PIECES[CLS:EOP]
USER_DEFINED_SYMBOLS = (PARAGRAPH_END, ".", "(", ")", '"', "-", "–", "£", "€")

LARGEST = 1 << 28  # pieces; `corpus.records` encodes smaller numbers only
THREADS = 4  # a fixed number, because the sums of the threads, and so the bytes of the model, depend on it


@dataclass(frozen=True)
class VocabularySettings:
    """How a vocabulary is made."""

    size: int = setting(32_000, "pieces of the vocabulary, the special ones included")
    character_coverage: float = setting(0.99995, "share of the text's characters that have pieces; others are <unk>")
    sentences: int = setting(10_000_000, "sentences to learn from, at most; of more, so many are drawn at random")
    seed: int = setting(0, "decides which sentences are drawn", largest=LARGEST_SEED)
    lower: bool = setting(False, "put text in lower case, as preprocessing will")
    keep_accents: bool = setting(False, "leave accents on their letters, as preprocessing will")

    def __post_init__(self) -> None:
        least = len(SPECIAL_PIECES) + len(USER_DEFINED_SYMBOLS)
        if self.size < least:
            raise UserError(f"size: a vocabulary of {self.size} pieces cannot be; it needs at least {least}")
        if self.size > LARGEST:
            raise UserError(f"size is {self.size}; at most {LARGEST} pieces fit into records")
        if not 0.98 <= self.character_coverage <= 1:
            raise UserError(f"character_coverage is {self.character_coverage}; give a share from 0.98 to 1")
        if self.sentences < 1:
            raise UserError(f"sentences is {self.sentences}; at least 1 is needed")
        if not 0 <= self.seed < 1 << 63:
            raise UserError(f"seed is {self.seed}; give 0 to 2^63 - 1")


Draw = Callable[[Sequence[tuple[int, storage.File]], Plan], tuple[Sentences, list[Census]]]


def train(
    files: Sequence[str],
    output: str,
    *,
    settings: VocabularySettings,
    progress: Callable[[int], None] | None = None,
    draw: Draw | None = None,
) -> dict[str, Any]:
    """Train a vocabulary, publish `output` and `<output>.json` (the summary), and return the summary.

    `files` are sources as `xlnet.corpus.sources` reads them. The same text and settings give the same bytes, in
    whatever order the files are named. The sample is drawn in this process, and `progress` is called with the number
    of sentences read; or it is drawn by `draw`, of the files (each with its source's index) and what to sample.
    Raises UserError when the files hold no text, or too little for the size asked.
    """
    require(bool(output), "output", output, "a file")
    if os.path.isdir(output):
        raise UserError(
            f"the output {output} is a folder; name a file in it, such as {storage.join(output, VOCABULARY)}"
        )
    named = sources.parse(files)
    listed = sources.listed(named)
    for _, file in listed:
        if os.path.realpath(file.path) == os.path.realpath(output):
            raise UserError(f"the output {output} is a file of the text; name another one")
    plan = Plan(
        size=settings.sentences,
        seed=settings.seed,
        weights=tuple(source.weight for source in named),
        lower=settings.lower,
        keep_accents=settings.keep_accents,
    )
    with storage.writing(output) as stream:  # opened first, so that a place without rights costs no training
        kept, found = (draw or partial(sampling.draw, progress=progress))(listed, plan)
        if not len(kept):
            rejected = _total(found)["dead_letters"]
            raise UserError(f"{len(listed)} files hold no sentence to learn from ({rejected or 'no text'})")
        used = np.bincount(kept.sources, minlength=len(named)).tolist()
        model = _train(kept, settings)
        check(model)
        stream.write(model)
    summary = {
        "settings": asdict(settings),
        "counts": _total(found) | {"sentences_used": sum(used), "files": len(listed)},
        "sources": [
            _described(source, found[index], model)
            | {"sentences_used": used[index], "files": sum(1 for owner, _ in listed if owner == index)}
            for index, source in enumerate(named)
        ],
        "sha256": hashlib.sha256(model).hexdigest(),
    }
    storage.publish_json(f"{output}.json", summary)
    return summary


def _total(found: Sequence[Census]) -> dict[str, Any]:
    total = Census()
    for census in found:
        total.add(census)
    return total.amounts() | {"dead_letters": total.dead_letters}


def _described(source: sources.Source, census: Census, model: bytes) -> dict[str, Any]:
    """A source and what it holds; a character is outside the vocabulary when it becomes <unk>."""
    processor, _ = load_model(model)

    def is_known(character: str) -> bool:
        return UNK not in processor.EncodeAsIds(character)

    return asdict(source) | {"patterns": list(source.patterns)} | census.report(is_known)


def _train(sentences: Sentences, settings: VocabularySettings) -> bytes:
    """The bytes of a model."""
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.Train(
            sentence_iterator=iter(sentences),
            model_writer=model,
            model_type="unigram",
            vocab_size=settings.size,
            character_coverage=settings.character_coverage,
            control_symbols=list(CONTROL_SYMBOLS),
            user_defined_symbols=list(USER_DEFINED_SYMBOLS),
            max_sentence_length=LONGEST_SENTENCE,
            num_threads=THREADS,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise _explained(str(error), settings) from None
    return model.getvalue()


def _explained(message: str, settings: VocabularySettings) -> UserError:
    """What SentencePiece says of a size, as the user can mend it; its two wordings end in the size that would do."""
    if found := re.search(r"too high \(\d+\).*<= (\d+)", message):
        return UserError(
            f"size: {settings.size} pieces were asked for, this text can carry {found[1]} at most; "
            f"set the size to {found[1]} or less, or give more text"
        )
    if found := re.search(r"required_chars\. \d+ vs (\d+)", message):
        return UserError(
            f"size: {settings.size} pieces were asked for, the characters of this text alone need {found[1]}; "
            f"set the size to more than {found[1]}, or lower character_coverage ({settings.character_coverage})"
        )
    return UserError(f"SentencePiece cannot learn from this text: {' '.join(message.split())}")


def check(model: bytes) -> None:
    """Raises UserError when the bytes are no SentencePiece model, or a special piece is not at its id."""
    processor, _ = load_model(model)
    for wanted, piece in enumerate(SPECIAL_PIECES):
        found = processor.PieceToId(piece)
        if processor.IdToPiece(found) != piece:
            raise UserError(f"the vocabulary has no piece {piece}, id {wanted} is wanted; {REMEDY}")
        if found != wanted:
            raise UserError(f"the vocabulary has {piece} at id {found}, id {wanted} is wanted; {REMEDY}")


REMEDY = "make it with xlnet train-vocab, or with the reference's flags"
