"""Whether one model is better than another on the same examples: a paired bootstrap.

Source: Efron and Tibshirani 1993, chapter 16; for comparing systems on a test set, Koehn 2004 (EMNLP).
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xlnet import runs, storage
from xlnet.errors import UserError

EVALUATION, PREDICTIONS = "evaluation.json", "predictions.jsonl"
RESAMPLES = 2000
SCORES = ("score", "f1", "accuracy", "correct")  # of one example, where an evaluation tells one


@dataclass(frozen=True)
class Comparison:
    """A metric of two models on the same examples, and what chance alone makes of the difference."""

    metric: str
    examples: int
    first: float
    second: float
    difference: float  # first - second
    low: float  # of the difference, 95 % of the resamples lie between
    high: float
    p_better: float  # share of resamples in which the first is not better: small says that it is
    p_worse: float  # share in which it is not worse

    def to_json(self) -> dict[str, Any]:
        """As it is stored."""
        return dataclasses.asdict(self)


def paired_bootstrap(
    first: NDArray,
    second: NDArray,
    *,
    metric: str = "mean",
    statistic: Callable[[NDArray], float] = np.mean,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare what two models made of the same examples, [n, ...] each; higher is better.

    The examples are drawn anew with repeats, `resamples` times, the same ones for both models. Raises UserError when
    there is nothing to compare.
    """
    if len(first) != len(second):
        raise UserError(f"{len(first)} examples cannot be compared with {len(second)}; evaluate both on the same file")
    if not len(first):
        raise UserError("there are no examples to compare models on")
    draw = np.random.Generator(np.random.Philox(seed))
    differences = np.empty(resamples)
    for number in range(resamples):
        rows = draw.integers(len(first), size=len(first))
        differences[number] = statistic(first[rows]) - statistic(second[rows])
    differences = np.nan_to_num(differences)  # a correlation of constant values: no difference can be told
    low, high = np.quantile(differences, [0.025, 0.975])
    one, other = float(statistic(first)), float(statistic(second))
    return Comparison(
        metric=metric,
        examples=len(first),
        first=one,
        second=other,
        difference=one - other,
        low=float(low),
        high=float(high),
        p_better=float(np.mean(differences <= 0)),
        p_worse=float(np.mean(differences >= 0)),
    )


def of_evaluations(first: str, second: str, *, resamples: int = RESAMPLES, seed: int = 0) -> Comparison:
    """Compare two evaluations, folders of `xlnet evaluate`. Raises UserError when they are not of the same examples."""
    described = [runs.read_object(folder, EVALUATION) for folder in (first, second)]
    digests = [entry.get("data_sha256") for entry in described]
    if digests[0] != digests[1]:
        raise UserError(f"{first} and {second} measure different examples; evaluate both on the same file")
    read = [runs.read_lines(storage.join(folder, PREDICTIONS)) for folder in (first, second)]
    with runs.intact(storage.join(first, PREDICTIONS)):
        values = [_values(lines) for lines in read]
    options: dict[str, Any] = {"resamples": resamples, "seed": seed}
    if values[0].ndim == 2:
        return paired_bootstrap(*values, metric="pearson", statistic=_pearson, **options)
    return paired_bootstrap(*values, metric=_name(read[0]), **options)


def _name(lines: list[dict[str, Any]]) -> str:
    return next((name for name in SCORES if lines and name in lines[0]), "accuracy")


def _values(lines: list[dict[str, Any]]) -> NDArray:
    """A score an example, [n]; of a regression, truth and prediction, [n, 2]."""
    scored = next((name for name in SCORES if lines and name in lines[0]), None)
    if scored is not None:
        return np.array([float(line[scored]) for line in lines])
    if lines and isinstance(lines[0]["truth"], float) and isinstance(lines[0]["predicted"], float):
        return np.array([[line["truth"], line["predicted"]] for line in lines])
    return np.array([float(line["truth"] == line["predicted"]) for line in lines])


def _pearson(values: NDArray) -> float:
    truth, predicted = values.T
    if np.ptp(truth) == 0 or np.ptp(predicted) == 0:
        return float("nan")
    return float(np.corrcoef(truth, predicted)[0, 1])
