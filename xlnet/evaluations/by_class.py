"""The scores of each class; of numbers, of each range of the truth."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xlnet.evaluations import confusion, groups
from xlnet.evaluations.stored import Evaluation


@dataclass(frozen=True)
class ByClass:
    """A table: what is counted, the names of its columns, and a row (name, count, values) for each class."""

    title: str
    columns: Sequence[str]
    rows: list[tuple[str, int, list[float]]]


def by_class(evaluation: Evaluation) -> ByClass | None:
    """The table of an evaluation; None of questions that always have an answer, which have no classes."""
    if evaluation.kind == "regression":
        return _ranges(evaluation)
    if evaluation.kind == "question-answering":
        return _answerability(evaluation) if evaluation.has_nulls else None
    scored = evaluation.described.get("per_class") or _scored(confusion.labels(evaluation))
    columns = ("precision", "recall", "f1")
    title = "entity" if evaluation.are_entities else "class"
    rows = [(str(one["class"]), int(one["support"]), [float(one[name]) for name in columns]) for one in scored]
    return ByClass(title, columns, rows)


def _scored(found: confusion.Labels) -> list[dict[str, Any]]:
    """As evaluations have it, for labels whose evaluation has it not."""
    wanted, given = (Counter(side) for side in zip(*found, strict=True))
    right = Counter(truth for truth, predicted in found if truth == predicted)
    return [
        {
            "class": name,
            "precision": right[name] / max(1, given[name]),
            "recall": right[name] / max(1, wanted[name]),
            "f1": 2 * right[name] / (given[name] + wanted[name]),
            "support": wanted[name],
        }
        for name in sorted(wanted | given)
    ]


def _ranges(evaluation: Evaluation) -> ByClass:
    pairs = np.array([[line["truth"], line["predicted"]] for line in evaluation.answers], np.float64)
    rows = []
    for group in groups.by_number(pairs[:, 0]):
        truth, predicted = pairs[group.rows].T
        values = [truth.mean(), predicted.mean(), np.abs(predicted - truth).mean()]
        rows.append((f"{group.low:g} to {group.high:g}", len(group.rows), [float(value) for value in values]))
    return ByClass("truth", ("mean truth", "mean answer", "mean absolute error"), rows)


def _answerability(evaluation: Evaluation) -> ByClass:
    rows = []
    for name, is_wanted in ((confusion.ANSWERED, True), (confusion.NULL, False)):
        lines = [line for line in evaluation.answers if any(line["truth"]) == is_wanted]
        if lines:
            values = [float(np.mean([line[key] for line in lines])) for key in ("exact", "f1")]
            rows.append((name, len(lines), values))
    return ByClass("there is", ("exact", "f1"), rows)
