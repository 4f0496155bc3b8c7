"""Sentence tasks: classification and regression of single texts and of pairs, as in GLUE, IMDB and Yelp."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xlnet.errors import UserError
from xlnet.tasks import tables

LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Columns:
    """Where a row's text, second text and label stand: names of the header, keys, or 0-based indices."""

    text: str = "text"  # title+text joins two columns with a space
    pair: str | None = None
    label: str = "label"
    header: bool | None = None  # None: there is a header when a column is asked for by name

    def __post_init__(self) -> None:
        chosen = self.names()
        if len(set(chosen)) < len(chosen):
            raise UserError(f"the columns {', '.join(chosen)} name one column twice; name different ones")

    def names(self, *, labelled: bool = True) -> list[str]:
        """The columns in use: those of the text, pair where there is one, label where there is one."""
        found = [*self.text.split("+"), *([] if self.pair is None else [self.pair])]
        return [*found, self.label] if labelled else found


@dataclass(frozen=True)
class Examples:
    """Texts of one file or folder; all lists are of one length."""

    path: str
    lines: Sequence[int | str]  # of a folder: the names of its files
    texts: list[str]
    pairs: list[str] | None
    labels: list[str] | None  # None: nobody has labelled them
    left_out: dict[str, int] = field(default_factory=dict)  # why -> how many; empty unless a data set is known for it

    def __len__(self) -> int:
        return len(self.texts)

    def where(self, row: int) -> str:
        """The file and line that an example stands in."""
        line = self.lines[row]
        return f"{self.path}:{line}" if isinstance(line, int) else f"{self.path}/{line}"


def read(path: str, *, columns: Columns) -> Examples:
    """The labelled examples of a TSV, CSV or JSON lines file. Raises UserError, with file and line, for a bad row."""
    return laid_out(path, tables.select(path, columns.names(), header=columns.header), columns=columns)


def parse(
    records: Sequence[Mapping[str, Any]], *, columns: Columns, path: str, first_line: int = 1, **reading: Any
) -> Examples:
    """Unlabelled examples from objects with the columns as keys; `reading` is as for `laid_out`.

    Raises UserError, with its line, for a bad one.
    """
    names = columns.names(labelled=False)
    rows = [
        (line, [tables.value(f"{path}:{line}", name, record) for name in names])
        for line, record in enumerate(records, start=first_line)
    ]
    return laid_out(path, rows, columns=columns, labelled=False, **reading)


def laid_out(
    path: str,
    rows: Sequence[tables.Row],
    *,
    columns: Columns,
    clean: Callable[[str], str] = str,
    may_be_empty: bool = False,
    labelled: bool = True,
) -> Examples:
    """Rows of `columns.names(labelled=labelled)` as examples; `clean` mends each text.

    Raises UserError, with file and line, for an empty label, and for an empty text unless it may be.
    """
    joined = columns.text.count("+") + 1
    names = [columns.text, *columns.names(labelled=labelled)[joined:]]
    count = joined + (columns.pair is not None)  # columns of texts
    found = []
    for line, cells in rows:
        label = [cells[count].strip()] if labelled else []
        texts = [clean(" ".join(cells[:joined])), *map(clean, cells[joined:count]), *label]
        for column, cell in zip(names, texts, strict=True):
            if not cell.strip() and not (may_be_empty and column != columns.label):
                raise UserError(f"{path}:{line}: column {column!r} is empty; fill it or remove the row")
        found.append(texts)
    return Examples(
        path=path,
        lines=[line for line, _ in rows],
        texts=[texts[0] for texts in found],
        pairs=None if columns.pair is None else [texts[1] for texts in found],
        labels=[texts[-1] for texts in found] if labelled else None,
    )


def classes(examples: Examples) -> list[str]:
    """The labels of the training examples, sorted. Raises UserError when there is only one."""
    found = sorted(set(examples.labels or ()))
    if len(found) < 2:
        raise UserError(
            f"{examples.path}: every example has the label {found[0]!r}; classification needs at least two "
            "classes, check --label-column"
        )
    if len(found) > max(1000, len(examples) // 2):  # a column of numbers or texts taken for one of classes
        raise UserError(
            f"{examples.path}: {len(found)} different labels in {len(examples)} examples; check "
            "--label-column, or pass --task regression"
        )
    return found


def targets(examples: Examples, classes: list[str] | None) -> NDArray[np.int32] | NDArray[np.float32]:
    """Class numbers int32 [examples], or for regression (`classes` None) the labels float32 [examples].

    Raises UserError, with file and line, for a label that is not a number or not one of the classes.
    """
    labels = examples.labels or []
    if classes is None:
        return np.array([_number(examples, row, label) for row, label in enumerate(labels)], np.float32)
    numbers = {name: number for number, name in enumerate(classes)}
    for row, label in enumerate(labels):
        if label not in numbers:
            known = ", ".join(repr(name) for name in classes[:20]) + (", ..." if len(classes) > 20 else "")
            raise UserError(
                f"{examples.where(row)}: the label {label!r} is unknown to the model; it knows {known}; "
                "correct the row, or fine-tune on data with this label"
            )
    return np.array([numbers[label] for label in labels], np.int32)


def _number(examples: Examples, row: int, label: str) -> float:
    try:
        number = float(label)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or abs(number) > LARGEST:
        raise UserError(
            f"{examples.where(row)}: the label {label!r} is not a number, "
            "as regression wants; correct the row, or pass --task classification"
        )
    return number
