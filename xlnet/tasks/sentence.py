"""Sentence tasks: classification and regression of single texts and of pairs, as in GLUE, IMDB and Yelp."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xlnet.errors import UserError
from xlnet.tasks import tables

TASKS = ("classification", "regression")
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Columns:
    """Where a row's text, second text and label stand: names of the header, keys, or 0-based indices."""

    text: str = "text"
    pair: str | None = None
    label: str = "label"
    header: bool | None = None  # None: there is a header when a column is asked for by name

    def __post_init__(self) -> None:
        chosen = self.names()
        if len(set(chosen)) < len(chosen):
            raise UserError(f"the columns {', '.join(chosen)} name one column twice; name different ones")

    def names(self) -> list[str]:
        """The columns in use: text, pair where there is one, label."""
        return [self.text, *([] if self.pair is None else [self.pair]), self.label]


@dataclass(frozen=True)
class Examples:
    """Labelled texts of one file; all lists are of one length."""

    path: str
    lines: list[int]
    texts: list[str]
    pairs: list[str] | None
    labels: list[str]

    def __len__(self) -> int:
        return len(self.texts)


def read(path: str, *, columns: Columns) -> Examples:
    """The examples of a TSV, CSV or JSON lines file. Raises UserError, with file and line, for a bad row."""
    rows = tables.select(path, columns.names(), header=columns.header)
    for line, cells in rows:
        for column, cell in zip(columns.names(), cells, strict=True):
            if not cell.strip():
                raise UserError(f"{path}:{line}: column {column!r} is empty; fill it or remove the row")
    return Examples(
        path=path,
        lines=[line for line, _ in rows],
        texts=[cells[0] for _, cells in rows],
        pairs=None if columns.pair is None else [cells[1] for _, cells in rows],
        labels=[cells[-1].strip() for _, cells in rows],
    )


def classes(examples: Examples) -> list[str]:
    """The labels of the training examples, sorted. Raises UserError when there is only one."""
    found = sorted(set(examples.labels))
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
    if classes is None:
        return np.array([_number(examples, row) for row in range(len(examples))], np.float32)
    numbers = {name: number for number, name in enumerate(classes)}
    for line, label in zip(examples.lines, examples.labels, strict=True):
        if label not in numbers:
            known = ", ".join(repr(name) for name in classes[:20]) + (", ..." if len(classes) > 20 else "")
            raise UserError(
                f"{examples.path}:{line}: the label {label!r} is unknown to the model; it knows {known}; "
                "correct the row, or fine-tune on data with this label"
            )
    return np.array([numbers[label] for label in examples.labels], np.int32)


def _number(examples: Examples, row: int) -> float:
    try:
        number = float(examples.labels[row])
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or abs(number) > LARGEST:
        raise UserError(
            f"{examples.path}:{examples.lines[row]}: the label {examples.labels[row]!r} is not a number, "
            "as regression wants; correct the row, or pass --task classification"
        )
    return number
