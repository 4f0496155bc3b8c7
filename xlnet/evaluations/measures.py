"""Metrics as functions of examples, so that a part of them, or a sample with repeats, can be measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from xlnet.evaluations.stored import Evaluation
from xlnet.tasks.entities import entities

Values = NDArray[Any]
LABELS = ("truth", "predicted")


@dataclass(frozen=True)
class Measure:
    """A metric: what it needs of each example, [examples, ...], and how it comes from that of some of them."""

    name: str
    values: Values
    statistic: Callable[[Values], float]
    lower_is_better: bool = False

    def of(self, rows: Any = slice(None)) -> float:
        """The metric on some of the examples."""
        return float(self.statistic(self.values[rows]))


def measures(evaluation: Evaluation, against: Evaluation | None = None) -> list[Measure]:
    """The metrics of an evaluation; models are compared by the first.

    Classes have the same numbers in those of two evaluations that are measured against each other.
    """
    lines = evaluation.answers
    if evaluation.kind == "regression":
        pairs = np.array([[line["truth"], line["predicted"]] for line in lines], np.float64)
        return [Measure("pearson", pairs, pearson), Measure("spearman", pairs, spearman)]
    if evaluation.kind == "question-answering":
        return [Measure(name, _column(lines, name), np.mean) for name in ("f1", "exact")]
    if evaluation.kind == "token-classification":
        words = np.array([[_equal(line), len(line["words"])] for line in lines], np.float64)
        accuracy = Measure("accuracy", words, _share)
        if not evaluation.are_entities:
            return [accuracy]
        return [Measure("f1", np.array([entity_counts(line) for line in lines], np.float64), _entity_f1), accuracy]
    found = [Measure("accuracy", scores(evaluation), np.mean)]
    if evaluation.kind == "classification":
        names = sorted({line[key] for one in (evaluation, against) if one for line in one.answers for key in LABELS})
        numbers = {name: number for number, name in enumerate(names)}
        pairs = np.array([[numbers[line[key]] for key in LABELS] for line in lines])
        found.append(Measure("macro_f1", pairs, lambda values: macro_f1(values, classes=len(names))))
    return found


def measure_of_parts(evaluation: Evaluation) -> Measure:
    """The metric that parts of the examples are compared by: it means the same for each.

    A correlation does not, for it falls where the truth varies less.
    """
    if evaluation.kind == "regression":
        return Measure("mean_absolute_error", -scores(evaluation), np.mean, lower_is_better=True)
    return measures(evaluation)[0]


def scores(evaluation: Evaluation) -> NDArray[np.float64]:
    """How good each answer is, [examples], more is better.

    1 or 0 of classes and choices, F1 of spans, the share of right labels of words; of numbers the error, negative.
    """
    lines = evaluation.answers
    if evaluation.kind == "regression":
        return np.array([-abs(line["truth"] - line["predicted"]) for line in lines], np.float64)
    if evaluation.kind == "question-answering":
        return _column(lines, "f1")
    if evaluation.kind == "token-classification":
        return np.array([_equal(line) / max(1, len(line["words"])) for line in lines], np.float64)
    return np.array([line["truth"] == line["predicted"] for line in lines], np.float64)


def pearson(values: Values) -> float:
    """The correlation of two columns [n, 2]; nan where one is constant."""
    truth, predicted = values.T
    if np.ptp(truth) == 0 or np.ptp(predicted) == 0:
        return float("nan")
    return float(np.corrcoef(truth, predicted)[0, 1])


def spearman(values: Values) -> float:
    """The correlation of the ranks of two columns [n, 2]; nan where one is constant."""
    return pearson(stats.rankdata(values, axis=0))


def macro_f1(values: Values, *, classes: int) -> float:
    """The mean F1 of the classes that occur in truth or predictions, numbers [n, 2]."""
    counts = np.bincount(values[:, 0] * classes + values[:, 1], minlength=classes * classes).reshape(classes, classes)
    there = counts.sum(axis=0) + counts.sum(axis=1)
    return float(np.mean(2 * counts.diagonal()[there > 0] / there[there > 0]))


def entity_counts(line: dict[str, Any]) -> tuple[int, int, int]:
    """How many entities of a sentence were found, were answered, and are there."""
    wanted, given = (set(entities(line[key])) for key in LABELS)
    return len(wanted & given), len(given), len(wanted)


def _entity_f1(values: Values) -> float:
    right, given, wanted = values.sum(axis=0)
    return 2 * right / (given + wanted) if given + wanted else 0.0


def _share(values: Values) -> float:
    right, all_of_them = values.sum(axis=0)
    return right / all_of_them if all_of_them else 0.0


def _equal(line: dict[str, Any]) -> int:
    return sum(one == other for one, other in zip(line["truth"], line["predicted"], strict=True))


def _column(lines: Sequence[dict[str, Any]], name: str) -> NDArray[np.float64]:
    return np.array([line[name] for line in lines], np.float64)
