"""Whether a model is as often right as it is sure.

Source: Naeini et al. 2015 (AAAI); Guo et al. 2017 (ICML), sections 2 and 4, for the bins and the expected error.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xlnet.evaluations.stored import Evaluation

BINS = 10


@dataclass(frozen=True)
class Bin:
    """Answers given with a confidence from `low` to `high`: how many, how sure in the mean, which part is right."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """The bins that hold answers, and what they come to."""

    bins: list[Bin]
    count: int
    confidence: float  # mean
    accuracy: float
    expected_error: float  # the mean of |accuracy - confidence| of the bins, weighted by their answers
    largest_error: float
    brier: float  # mean of (confidence - right)^2


def calibration(confidence: NDArray[np.floating], is_right: NDArray[np.bool_], *, bins: int = BINS) -> Calibration:
    """Of answers [n] each, in bins of equal width between 0 and 1; a bin holds its upper end."""
    number = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    found = []
    for place in range(bins):
        there = number == place
        if there.any():
            sure, right = float(confidence[there].mean()), float(is_right[there].mean())
            found.append(Bin(place / bins, (place + 1) / bins, int(there.sum()), sure, right))
    gaps = [abs(entry.accuracy - entry.confidence) for entry in found]
    return Calibration(
        bins=found,
        count=len(confidence),
        confidence=float(confidence.mean()),
        accuracy=float(is_right.mean()),
        expected_error=float(np.average(gaps, weights=[entry.count for entry in found])),
        largest_error=max(gaps),
        brier=float(np.mean((confidence - is_right) ** 2)),
    )


def of_evaluation(evaluation: Evaluation) -> Calibration | None:
    """That of an evaluation, for spans of exact matches, for labels of words; None where no confidence is told."""
    found = [pair for line in evaluation.answers for pair in _told(evaluation, line)]
    if not found:
        return None
    confidence, is_right = zip(*found, strict=True)
    return calibration(np.array(confidence, np.float64), np.array(is_right, np.bool_))


def _told(evaluation: Evaluation, line: dict[str, Any]) -> list[tuple[float, bool]]:
    """The confidence of each answer of an example, and whether it is right."""
    if evaluation.kind == "token-classification":
        told = zip(line["confidences"], line["truth"], line["predicted"], strict=True)
        return [(sure, truth == predicted) for sure, truth, predicted in told]
    sure = confidence(evaluation, line)
    is_right = line["exact"] == 1 if evaluation.kind == "question-answering" else line["truth"] == line["predicted"]
    return [] if sure is None else [(sure, is_right)]


def confidence(evaluation: Evaluation, line: dict[str, Any]) -> float | None:
    """How likely the model holds its answer to an example to be right; None where it does not tell.

    That of a span is its probability among the best ones, times that of there being an answer where there may be none.
    """
    if evaluation.kind == "question-answering":
        best = float(line["answers"][0]["probability"]) if line["answers"] else 0.0
        if not evaluation.has_nulls:
            return best
        null = float(line["null_probability"])
        return (1 - null) * best if line["predicted"] else null
    return float(max(line["probabilities"])) if "probabilities" in line else None
