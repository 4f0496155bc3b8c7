"""Sentence tasks: classification and regression of single texts and of pairs, as in GLUE, IMDB and Yelp."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from xlnet.errors import UserError
from xlnet.tasks import tables

TASKS = ("classification", "regression")
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

    def names(self) -> list[str]:
        """The columns in use: those of the text, pair where there is one, label."""
        return [*self.text.split("+"), *([] if self.pair is None else [self.pair]), self.label]


@dataclass(frozen=True)
class Examples:
    """Labelled texts of one file or folder; all lists are of one length."""

    path: str
    lines: Sequence[int | str]  # of a folder: the names of its files
    texts: list[str]
    pairs: list[str] | None
    labels: list[str]
    left_out: dict[str, int] = field(default_factory=dict)  # why -> how many; empty unless a data set is known for it

    def __len__(self) -> int:
        return len(self.texts)

    def where(self, row: int) -> str:
        """The file and line that an example stands in."""
        line = self.lines[row]
        return f"{self.path}:{line}" if isinstance(line, int) else f"{self.path}/{line}"


def read(path: str, *, columns: Columns) -> Examples:
    """The examples of a TSV, CSV or JSON lines file. Raises UserError, with file and line, for a bad row."""
    return laid_out(path, tables.select(path, columns.names(), header=columns.header), columns=columns)


def laid_out(
    path: str,
    rows: Sequence[tables.Row],
    *,
    columns: Columns,
    clean: Callable[[str], str] = str,
    may_be_empty: bool = False,
) -> Examples:
    """Rows of `columns.names()` as examples; `clean` mends each text.

    Raises UserError, with file and line, for an empty label, and for an empty text unless it may be.
    """
    joined = columns.text.count("+") + 1
    found = []
    for line, cells in rows:
        texts = [clean(" ".join(cells[:joined])), *map(clean, cells[joined:-1]), cells[-1].strip()]
        for column, cell in zip([columns.text, *columns.names()[joined:]], texts, strict=True):
            if not cell.strip() and not (may_be_empty and column != columns.label):
                raise UserError(f"{path}:{line}: column {column!r} is empty; fill it or remove the row")
        found.append(texts)
    return Examples(
        path=path,
        lines=[line for line, _ in rows],
        texts=[texts[0] for texts in found],
        pairs=None if columns.pair is None else [texts[1] for texts in found],
        labels=[texts[-1] for texts in found],
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
    for row, label in enumerate(examples.labels):
        if label not in numbers:
            known = ", ".join(repr(name) for name in classes[:20]) + (", ..." if len(classes) > 20 else "")
            raise UserError(
                f"{examples.where(row)}: the label {label!r} is unknown to the model; it knows {known}; "
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
            f"{examples.where(row)}: the label {examples.labels[row]!r} is not a number, "
            "as regression wants; correct the row, or pass --task classification"
        )
    return number
