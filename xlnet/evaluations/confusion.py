"""What is taken for what: labels of an evaluation as truth and answer, and their confusion matrix."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from xlnet.evaluations.stored import Evaluation

MOST_CLASSES = 20
OTHERS = "all others"
ANSWERED, NULL = "an answer", "no answer"

Labels = list[tuple[str, str]]  # truth, answer


def labels(evaluation: Evaluation) -> Labels:
    """Truth and answer of all that has a class: examples, words (an entity's type), whether there is an answer.

    None are there of numbers, and of questions that always have an answer.
    """
    if evaluation.kind == "regression" or (evaluation.kind == "question-answering" and not evaluation.has_nulls):
        return []
    if evaluation.kind == "question-answering":
        return [
            (ANSWERED if any(line["truth"]) else NULL, ANSWERED if line["predicted"] else NULL)
            for line in evaluation.answers
        ]
    if evaluation.kind == "token-classification":
        pairs = [pair for line in evaluation.answers for pair in zip(line["truth"], line["predicted"], strict=True)]
        return [(_kind(one), _kind(other)) for one, other in pairs] if evaluation.are_entities else pairs
    return [(line["truth"], line["predicted"]) for line in evaluation.answers]


def _kind(label: str) -> str:
    return label.partition("-")[2] or label


def classes(evaluation: Evaluation, found: Labels) -> list[str]:
    """The classes in the task's own order, or sorted."""
    there = {name for pair in found for name in pair}
    own = [str(name) for name in evaluation.described.get("classes") or []]
    return [*own, *sorted(there - set(own))]


def matrix(found: Labels, names: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of the confusion matrix, truth down: each class's counts with their shares of the row.

    Where there are more than MOST_CLASSES classes, the rarest in the truth are counted as one.
    """
    if len(names) > MOST_CLASSES:
        frequent = {name for name, _ in Counter(truth for truth, _ in found).most_common(MOST_CLASSES - 1)}
        names = [*(name for name in names if name in frequent), OTHERS]
        found = [tuple(name if name in frequent else OTHERS for name in pair) for pair in found]  # type: ignore[misc]
    counts = Counter(found)
    return [
        {
            "class": name,
            "number": number,
            "cells": [
                {
                    "count": counts[name, other],
                    "share": counts[name, other] / max(1, sum(counts[name, n] for n in names)),
                }
                for other in names
            ],
        }
        for number, name in enumerate(names)
    ]
