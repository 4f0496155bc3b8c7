"""Exact match and F1 of answers by SQuAD's official rules, and the best threshold of having none.

Source: the evaluation scripts of SQuAD 1.1 and 2.0 (Rajpurkar et al. 2016, 2018); reference: squad_utils.py.
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)

Scores = NDArray[np.float64]


def normalized(answer: str) -> str:
    """An answer as it is compared: lower case, without punctuation, articles and needless whitespace."""
    return " ".join(ARTICLES.sub(" ", answer.lower().translate(PUNCTUATION)).split())


def exact(gold: str, predicted: str) -> float:
    """1 where the two are the same when normalised."""
    return float(normalized(gold) == normalized(predicted))


def f1(gold: str, predicted: str) -> float:
    """The overlap of the words of both; where one has none, whether neither has."""
    wanted, given = normalized(gold).split(), normalized(predicted).split()
    if not wanted or not given:
        return float(wanted == given)
    return overlap_f1((Counter(wanted) & Counter(given)).total(), len(wanted), len(given))


def overlap_f1(common: int, wanted: int, given: int) -> float:
    """F1 of two lengths that have so much in common."""
    return 2 * common / (wanted + given)


def best_of(score: Callable[[str, str], float], golds: Sequence[str], predicted: str) -> float:
    """The best score over all right answers; a question without one wants the empty text."""
    return max(score(gold, predicted) for gold in [gold for gold in golds if normalized(gold)] or [""])


@dataclass(frozen=True)
class Threshold:
    """Where a question counts as unanswerable: above `value`. `score` is the mean that this reaches."""

    score: float
    value: float


def best_threshold(
    scores: Scores, null: Scores, *, is_impossible: NDArray[np.bool_], is_empty: NDArray[np.bool_]
) -> Threshold:
    """The threshold on the scores of having no answer, `null`, that serves best; all are [questions].

    `scores` are those of the answers, `is_empty` tells which of them are empty texts. Applied to the same questions
    the threshold gives the score that is returned. In the reference it does not where answering nothing is best (the
    threshold is 0 then), nor where scores are equal.
    """
    # From answering nothing on, each question that is answered as well adds or takes something.
    gain = np.where(is_impossible, np.where(is_empty, 0.0, -1.0), scores)
    order = np.argsort(null, kind="stable")
    sums = is_impossible.sum() + np.cumsum(gain[order])
    is_last = np.append(null[order][1:] > null[order][:-1], True)  # of equal ones all are answered or none
    sums = np.where(is_last, sums, -np.inf)
    best = int(sums.argmax())
    if sums[best] > is_impossible.sum():
        return Threshold(float(sums[best]) / len(scores), float(null[order][best]))
    return Threshold(float(is_impossible.mean()), float(np.nextafter(null.min(), -np.inf)))
