"""The vocabulary: special pieces at their ids, and a SentencePiece model trained on text.

The special pieces and the training are those of the reference (its README, "Data preprocessing"): a unigram model
with character coverage 0.99995, in which control symbols never come from text, and `<eop>` and some marks always do.
"""

import hashlib
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import sentencepiece

from xlnet import storage
from xlnet.corpus import documents
from xlnet.errors import UserError
from xlnet.text import load_model, normalize_lines

UNK, BOS, EOS, CLS, SEP, PAD, MASK, EOD, EOP = range(9)
SPECIAL_PIECES = ("<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>", "<eod>", "<eop>")  # by id
CONTROL_SYMBOLS = SPECIAL_PIECES[CLS:EOP]
USER_DEFINED_SYMBOLS = ("<eop>", ".", "(", ")", '"', "-", "–", "£", "€")

MODEL = "spiece.model"  # the customary name
LONGEST_SENTENCE = 4192  # bytes; SentencePiece leaves out longer ones
CUT = LONGEST_SENTENCE // 4  # characters, of 4 bytes at most
LARGEST = 1 << 28  # pieces; `corpus.records` encodes smaller numbers only
THREADS = 4  # a fixed number, because the sums of the threads, and so the bytes of the model, depend on it


@dataclass(frozen=True)
class VocabularySettings:
    """How a vocabulary is made; `lower` and `keep_accents` as in the preprocessing that will use it."""

    size: int = 32_000
    character_coverage: float = 0.99995
    sentences: int = 10_000_000  # at most as many are learned from, drawn uniformly
    seed: int = 0
    lower: bool = False
    keep_accents: bool = False

    def __post_init__(self) -> None:
        least = len(SPECIAL_PIECES) + len(USER_DEFINED_SYMBOLS)
        if self.size < least:
            raise UserError(f"size: a vocabulary of {self.size} pieces cannot be; it needs at least {least}")
        if self.size > LARGEST:
            raise UserError(f"size is {self.size}; at most {LARGEST} pieces fit into records")
        if not 0.9 <= self.character_coverage <= 1:
            raise UserError(f"character_coverage is {self.character_coverage}; give a share from 0.9 to 1")
        if self.sentences < 1:
            raise UserError(f"sentences is {self.sentences}; at least 1 is needed")
        if self.seed < 0:
            raise UserError(f"seed is {self.seed}; give 0 or more")


@dataclass
class _Counts:
    documents: int = 0
    sentences: int = 0
    characters: int = 0
    left_out: int = 0  # sentences with a word of more than LONGEST_SENTENCE bytes
    dead_letters: dict[str, int] = field(default_factory=dict)


def train(
    files: Sequence[str],
    output: str,
    *,
    settings: VocabularySettings,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Train a vocabulary, publish `output` and `<output>.json` (the summary), and return the summary.

    The same text and settings give the same bytes, in whatever order the files are named. `progress` is called with
    the number of sentences read. Raises UserError when the files hold no text, or too little for the size asked.
    """
    if os.path.isdir(output):
        raise UserError(f"the output {output} is a folder; name a file in it, such as {storage.join(output, MODEL)}")
    paths = [file.path for file in storage.match(files)]
    counts = _Counts()
    with storage.writing(output) as stream:  # opened first, so that a place without rights costs no training
        generator = np.random.Generator(np.random.Philox(settings.seed))
        batches = _reported(_sentences(paths, settings, counts), progress)
        kept = sample(batches, settings.sentences, generator=generator)
        if not kept:
            raise UserError(f"{len(paths)} files hold no sentence to learn from ({counts.dead_letters or 'no text'})")
        used = len(kept)
        model = _train(kept, settings)
        check(model)
        stream.write(model)
    summary = {
        "settings": asdict(settings),
        "counts": asdict(counts) | {"sentences_used": used, "files": len(paths)},
        "sha256": hashlib.sha256(model).hexdigest(),
    }
    storage.publish_json(f"{output}.json", summary)
    return summary


def _sentences(paths: Sequence[str], settings: VocabularySettings, counts: _Counts) -> Iterator[list[str]]:
    """The sentences of each document, as preprocessing will normalise them."""
    for path in paths:
        for item in documents.read(path):
            if isinstance(item, documents.DeadLetter):
                counts.dead_letters[item.reason] = counts.dead_letters.get(item.reason, 0) + 1
                continue
            lines = normalize_lines(item.lines, lower=settings.lower, keep_accents=settings.keep_accents)
            parts = [part for line in lines for part in ([line] if len(line) <= CUT else cut(line))]
            fitting = [part for part in parts if part and len(part.encode()) <= LONGEST_SENTENCE]
            counts.documents += 1
            counts.sentences += len(fitting)
            counts.characters += sum(map(len, fitting))
            counts.left_out += len(parts) - len(fitting)
            yield fitting


def cut(line: str) -> list[str]:
    """A long line in parts of at most `CUT` characters, cut at spaces; only a longer word makes a longer part.

    Nothing is lost by it: pieces never reach across a space.
    """
    parts, start = [], 0
    while len(line) - start > CUT:
        end = line.rfind(" ", start + 1, start + CUT + 1)
        if end < 0:
            end = line.find(" ", start + CUT)
        if end < 0:
            break
        parts.append(line[start:end])
        start = end + 1
    return [*parts, line[start:]]


def _reported(batches: Iterable[list[str]], progress: Callable[[int], None] | None) -> Iterator[list[str]]:
    read = 0
    for batch in batches:
        yield batch
        read += len(batch)
        if progress is not None:
            progress(read)


def sample(batches: Iterable[list[str]], size: int, *, generator: np.random.Generator) -> list[str]:
    """At most `size` items, each with the same chance (Vitter 1985, algorithm R), whatever the batches are."""
    kept: list[str] = []
    seen = 0
    for batch in batches:
        fresh = batch[: size - len(kept)]
        kept += fresh
        others = batch[len(fresh) :]
        seen += len(fresh)
        if others:
            places = np.floor(generator.random(len(others)) * np.arange(seen + 1, seen + len(others) + 1))
            for index in np.flatnonzero(places < size):
                kept[int(places[index])] = others[index]
            seen += len(others)
    return kept


def _train(sentences: list[str], settings: VocabularySettings) -> bytes:
    """The bytes of a model; empties the list on its way, so that the text is in memory once only."""
    model = io.BytesIO()
    sentences.reverse()
    try:
        sentencepiece.SentencePieceTrainer.Train(
            sentence_iterator=_drained(sentences),
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


def _drained(sentences: list[str]) -> Iterator[str]:
    while sentences:
        yield sentences.pop()


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
