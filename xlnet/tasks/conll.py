"""Sentences of labelled words, from CoNLL files: a word a line with its columns, an empty line behind a sentence."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Self

from xlnet.errors import UserError
from xlnet.tasks import entities, tables

DOCUMENT = "-DOCSTART-"  # stands where a word does, between the documents of CoNLL-2003
LAST = "-1"


@dataclass(frozen=True)
class Sentences:
    """The sentences of a file; words, labels and lines are those of all sentences in a row."""

    path: str
    words: list[str]
    labels: list[str]  # BIO2, where they are of entities
    lines: list[int]
    lengths: list[int]  # words of each sentence

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def are_entities(self) -> bool:
        """Whether the labels are of entities; otherwise each stands for itself, as parts of speech do."""
        return any(map(entities.is_part, self.labels))

    @property
    def firsts(self) -> list[int]:
        """The number of the first word of each sentence."""
        return [0, *accumulate(self.lengths[:-1])]

    def split(self, values: list[str]) -> Iterator[list[str]]:
        """Values of all words, sentence by sentence."""
        end = 0
        for length in self.lengths:
            end += length
            yield values[end - length : end]

    def in_bio2(self) -> Self:
        """The same entities, with labels in one scheme."""
        made = [label for labels in self.split(self.labels) for label in entities.bio2(labels)]
        return type(self)(self.path, self.words, made, self.lines, self.lengths)


def read(path: str, *, word_column: str = "0", label_column: str = LAST) -> Sentences:
    """The sentences of a file whose columns are set apart by tabs or by spaces.

    Columns are counted from 0, or from the end: -1 is the last. Labels of entities may be in any scheme (see
    `entities`), and come as BIO2. Lines of `-DOCSTART-` are passed over, and in files with tabs those that begin with #
    and have another number of columns. Raises UserError, with file and line, for a row of another width than the first,
    a column that is not there, and a label that is none of an entity among others that are.
    """
    found = Sentences(path, [], [], [], [])
    begun = 0
    for line, cells in _rows(path):
        if cells:
            word, label = (_cell(path, line, cells, column) for column in (word_column, label_column))
            if word != DOCUMENT:
                found.words.append(word)
                found.labels.append(label)
                found.lines.append(line)
        elif len(found.words) > begun:
            found.lengths.append(len(found.words) - begun)
            begun = len(found.words)
    if not found.words:
        raise UserError(f"{path} holds no words, only empty lines; give sentences, a word a line")
    if not found.are_entities:
        return found
    _require_entities(found, label_column)
    return found.in_bio2()


def _rows(path: str) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and cells; no cells at an empty line, and at the end."""
    lines = tables.read_text(path).split("\n")
    data = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    separator = "\t" if "\t" in data else None
    width = len(data.removesuffix("\r").split(separator))
    for number, line in enumerate(lines, start=1):
        cells = line.removesuffix("\r").split(separator) if line.strip() else []
        if separator and line.startswith("#") and len(cells) != width:
            continue
        if cells and len(cells) != width:
            raise UserError(
                f"{path}:{number}: the row has {len(cells)} columns, the first row has {width}; "
                "write one word a line, with a label in every row"
            )
        yield number, cells
    yield len(lines) + 1, []


def _cell(path: str, line: int, cells: list[str], column: str) -> str:
    try:
        found = cells[int(column)]
    except (ValueError, IndexError):
        raise UserError(
            f"{path}:{line}: no column {column!r}; the file has {len(cells)}, 0 to {len(cells) - 1}, -1 is the last; "
            "choose with --text-column and --label-column"
        ) from None
    if not found.strip():
        raise UserError(f"{path}:{line}: column {column} is empty; fill it or remove the row")
    return found.strip()


def _require_entities(found: Sentences, column: str) -> None:
    for line, label in zip(found.lines, found.labels, strict=True):
        if label != entities.OUTSIDE and not entities.is_part(label):
            raise UserError(
                f"{found.path}:{line}: the label {label!r} is neither O nor part of an entity, such as B-PER, "
                f"as others are; correct the row, or choose another column than {column} with --label-column"
            )


def classes(found: Sentences) -> list[str]:
    """The labels of the training sentences: of entities, `O` and B- and I- of every type, else as they are, sorted.

    Raises UserError when there is only one.
    """
    if found.are_entities:
        kinds = sorted({label[2:] for label in found.labels if label != entities.OUTSIDE})
        return [entities.OUTSIDE, *(f"{letter}-{kind}" for kind in kinds for letter in "BI")]
    names = sorted(set(found.labels))
    if len(names) < 2:
        raise UserError(
            f"{found.path}: every word has the label {names[0]!r}; at least two are needed, check --label-column"
        )
    return names
