"""Sentences of labelled words, from CoNLL files: a word a line with its columns, an empty line behind a sentence."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from xlnet.errors import UserError
from xlnet.tasks import entities, tables

Value = TypeVar("Value")
DOCUMENT = "-DOCSTART-"  # stands where a word does, between the documents of CoNLL-2003
LAST = "-1"


@dataclass(frozen=True)
class Sentences:
    """The sentences of a file; words, labels and lines are those of all sentences in a row."""

    path: str
    words: list[str]
    labels: list[str] | None  # BIO2, where they are of entities; None: nobody has labelled them
    lines: list[int]
    lengths: list[int]  # words of each sentence
    left_out: dict[str, int] = field(default_factory=dict)  # nothing ever is

    def __len__(self) -> int:
        return len(self.lengths)

    def where(self, row: int) -> str:
        """The file and line of a sentence's first word."""
        return f"{self.path}:{self.lines[self.first[row]]}"

    @functools.cached_property
    def first(self) -> list[int]:
        """The number of the first word of each sentence, and of one behind the last."""
        return list(accumulate(self.lengths, initial=0))

    def of(self, row: int, values: Sequence[Value]) -> Sequence[Value]:
        """Values of all words: those of a sentence."""
        return values[self.first[row] : self.first[row + 1]]


def read(path: str, *, word_column: str = "0", label_column: str = LAST) -> Sentences:
    """The sentences of a file whose columns are set apart by tabs or by spaces.

    Columns are counted from 0, or from the end: -1 is the last. Labels of entities may be in any scheme (see
    `entities`), and come as BIO2. Lines of `-DOCSTART-` are passed over, and in files with tabs those that begin with #
    and have another number of columns. Raises UserError, with file and line, for a row of another width than the first,
    a column that is not there, and a label that is none of an entity among others that are.
    """
    words: list[str] = []
    labels: list[str] = []
    lines: list[int] = []
    lengths = [0]
    for line, cells in _rows(path):
        if not cells:
            lengths += [0] if lengths[-1] else []
        elif (word := _cell(path, line, cells, word_column)) != DOCUMENT:
            words.append(word)
            lines.append(line)
            lengths[-1] += 1
            labels.append(_cell(path, line, cells, label_column))
    if not words:
        raise UserError(f"{path} holds no words, only empty lines; give sentences, a word a line")
    found = Sentences(path, words, labels, lines, [length for length in lengths if length])
    if are_entities(labels):
        _require_entities(path, lines, labels, column=label_column)
        every = [label for row in range(len(found)) for label in entities.bio2(found.of(row, labels))]
        return dataclasses.replace(found, labels=every)
    return found


def parse(records: Sequence[Mapping[str, Any]], *, path: str, first_line: int = 1) -> Sentences:
    """Unlabelled sentences from JSON objects with `words`, a list, or `text`, which is split at its spaces.

    The objects are lines of `path`, from `first_line` on. Raises UserError, with file and line, for a bad one.
    """
    words: list[str] = []
    lines: list[int] = []
    lengths: list[int] = []
    for line, record in enumerate(records, start=first_line):
        found = record["words"] if "words" in record else record.get("text")
        found = found.split() if isinstance(found, str) else found
        if not isinstance(found, list) or not found or not all(isinstance(w, str) and w.strip() for w in found):
            raise UserError(f"{path}:{line}: wanted is `words`, a list of texts, or `text`; found {list(record)}")
        words += found
        lines += [line] * len(found)
        lengths.append(len(found))
    return Sentences(path, words, None, lines, lengths)


def are_entities(labels: Iterable[str]) -> bool:
    """Whether labels are of entities; otherwise each stands for itself, as parts of speech do."""
    return any(map(entities.is_part, labels))


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


def _require_entities(path: str, lines: list[int], labels: list[str], *, column: str) -> None:
    for line, label in zip(lines, labels, strict=True):
        if label != entities.OUTSIDE and not entities.is_part(label):
            raise UserError(
                f"{path}:{line}: the label {label!r} is neither O nor part of an entity, such as B-PER, as others "
                f"are; correct the row, or choose another column than {column} with --label-column"
            )


def classes(found: Sentences) -> list[str]:
    """The labels of the training sentences: of entities, `O` and B- and I- of every type, else as they are, sorted.

    Raises UserError when there is only one.
    """
    names = sorted(set(found.labels or ()))
    if len(names) < 2:
        raise UserError(
            f"{found.path}: every word has the label {names[0]!r}; at least two are needed, check --label-column"
        )
    if are_entities(names):
        kinds = sorted({name[2:] for name in names if name != entities.OUTSIDE})
        return [entities.OUTSIDE, *(f"{letter}-{kind}" for kind in kinds for letter in "BI")]
    return names


def targets(found: Sentences, classes: list[str]) -> NDArray[np.int32]:
    """The numbers of the words' labels [words]. Raises UserError, with file and line, for a label that is unknown."""
    numbers = {name: number for number, name in enumerate(classes)}
    for line, label in zip(found.lines, found.labels or (), strict=True):
        if label not in numbers:
            known = ", ".join(repr(name) for name in classes[:20]) + (", ..." if len(classes) > 20 else "")
            raise UserError(
                f"{found.path}:{line}: the label {label!r} is unknown to the model; it knows {known}; "
                "correct the row, or fine-tune on data with this label"
            )
    return np.array([numbers[label] for label in found.labels or ()], np.int32)
