"""Whether one model is better than another on the same examples: a paired bootstrap.

Source: Efron and Tibshirani 1993, chapter 16; for comparing systems on a test set, Koehn 2004 (EMNLP).
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xlnet.errors import UserError
from xlnet.evaluations.measures import measures
from xlnet.evaluations.stored import Evaluation, require_same_examples

RESAMPLES = 2000


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
    """Compare two evaluations, folders of `xlnet evaluate`, by the metric that their kind of task has.

    Raises UserError when they are not of the same examples.
    """
    return of_measures(Evaluation.read(first), Evaluation.read(second), most=1, resamples=resamples, seed=seed)[0]


def of_measures(
    first: Evaluation, second: Evaluation, *, most: int | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> list[Comparison]:
    """Two evaluations by each of their metrics, or the first `most`.

    Raises UserError when they are not of the same examples.
    """
    require_same_examples(first, second)
    pairs = list(zip(measures(first, second), measures(second, first), strict=True))
    return [
        paired_bootstrap(
            one.values, other.values, metric=one.name, statistic=one.statistic, resamples=resamples, seed=seed
        )
        for one, other in pairs[:most]
    ]


def interval(
    values: NDArray, statistic: Callable[[NDArray], float] = np.mean, *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Between what a metric of examples [n, ...] lies in 95 % of resamples: the percentile interval."""
    draw = np.random.Generator(np.random.Philox(seed))
    found = [statistic(values[draw.integers(len(values), size=len(values))]) for _ in range(resamples)]
    low, high = np.nanquantile(found, [0.025, 0.975]) if np.isfinite(found).any() else (np.nan, np.nan)
    return float(low), float(high)
