"""The user's own files: each file, or each fifth of an only one, is a class; its end is held out."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from demo.library import Unit
from demo.prose import Paragraph, clean, reflow, sentences
from xlnet import storage
from xlnet.errors import UserError

HELD_OUT = 0.12  # of each part, at its end
WORDS = (40, 80)  # of an example: sentences are gathered until the first, and cut at the second
CLASSES = 12  # the largest files; with more the table of confusions is no longer readable
DOCUMENT = 60  # runs; a book in pieces spreads over several shards
FIFTHS = ("first fifth", "second fifth", "third fifth", "fourth fifth", "last fifth")


@dataclass(frozen=True)
class Part:
    """A file, or a fifth of one: the name of its class and its sentences."""

    label: str
    sentences: list[str]


def units(patterns: Sequence[str]) -> tuple[list[Unit], list[Unit]]:
    """The text to train on and the held-out ends. Raises UserError when the files cannot make a task."""
    files = [file for file in storage.match(patterns) if file.bytes]
    texts = {file.path: read(file.path) for file in files}
    parts = (
        _fifths(*texts.values())
        if len(texts) == 1
        else [Part(label, text) for label, text in zip(_labels(list(texts)), texts.values(), strict=True) if text]
    )
    if len(parts) < 2:
        raise UserError(f"{' '.join(patterns)!r} holds no text that can be told apart; give two files with text")
    largest = sorted(parts, key=lambda part: (-len(part.sentences), part.label))[:CLASSES]
    classes = {part.label for part in largest}
    train: list[Unit] = []
    held_out: list[Unit] = []
    for part in parts:
        label = part.label if part.label in classes else None
        runs = _runs(part.sentences)
        cut = len(runs) - max(1, round(HELD_OUT * len(runs)))
        train += _documents(part.label, label, runs[:cut])
        held_out += _documents(f"{part.label}, end", label, runs[cut:])
    return train, held_out


def read(path: str) -> list[str]:
    """The sentences of a text file. Raises UserError when it is not text."""
    content = storage.read_bytes(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (byte {error.start}); convert it, or leave it out") from None
    if "\0" in text:
        raise UserError(f"{path} holds NUL bytes: it is not a text file; leave it out")
    if re.search(r"<eop>\s*$", text, re.MULTILINE):  # already one sentence a line
        return [line for line in (line.strip().removesuffix("<eop>").strip() for line in text.splitlines()) if line]
    blocks = (clean(reflow(block.splitlines())) for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n")))
    return [sentence for block in blocks for sentence in sentences(block)]


def _labels(paths: Sequence[str]) -> list[str]:
    """The files' bare names, or their whole paths where two files share a name."""
    names = [PurePath(path).stem for path in paths]
    return [name if names.count(name) == 1 else path for name, path in zip(names, paths, strict=True)]


def _fifths(text: list[str]) -> list[Part]:
    bounds = [len(text) * k // 5 for k in range(6)]
    return [Part(label, text[bounds[k] : bounds[k + 1]]) for k, label in enumerate(FIFTHS)]


def _runs(text: Sequence[str]) -> list[Paragraph]:
    """Sentences in runs of about WORDS words."""
    runs: list[Paragraph] = []
    run: list[str] = []
    words = 0
    for sentence in text:
        length = len(sentence.split())
        if run and (words >= WORDS[0] or words + length > WORDS[1]):
            runs.append(tuple(run))
            run, words = [], 0
        run.append(sentence)
        words += length
    return [*runs, tuple(run)] if run else runs


def _documents(name: str, label: str | None, runs: Sequence[Paragraph]) -> list[Unit]:
    starts = range(0, len(runs), DOCUMENT)
    return [Unit(f"{name}, {k}", label, tuple(runs[start : start + DOCUMENT])) for k, start in enumerate(starts, 1)]
