"""Entities from the labels of words, and how well they are found.

A label is `O`, or a letter and a type: B-PER begins an entity, I-PER goes on. All the schemes in use are read: in BIO
(IOB1) an entity begins with I unless another of its type ends right before it, in BIO2 always with B; IOBES, BMES and
BILOU mark its end (E, L) and an entity of one word (S, U) too. Source: conlleval of the CoNLL shared tasks (Tjong Kim
Sang and Buchholz 2000), whose rules say what is an entity where labels contradict each other.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

OUTSIDE = "O"
_LABEL = re.compile(r"([BIMESLU])-(.+)")
_SAME = {"M": "I", "L": "E", "U": "S"}  # the letters of BMES and BILOU

Entity = tuple[str, int, int]  # type, first word, behind the last


def is_part(label: str) -> bool:
    """Whether a label is of a word in an entity."""
    return _LABEL.fullmatch(label) is not None


def entities(labels: Sequence[str]) -> list[Entity]:
    """The entities of a sentence, from the labels of its words in any scheme."""
    found: list[Entity] = []
    letter, kind, first = OUTSIDE, "", 0
    for word, label in enumerate([*labels, OUTSIDE]):
        before, kind_before = letter, kind
        parts = _LABEL.fullmatch(label)
        letter, kind = (_SAME.get(parts[1], parts[1]), parts[2]) if parts else (OUTSIDE, "")
        goes_on = letter in "IE" and before in "BI" and kind == kind_before
        if before != OUTSIDE and not goes_on:
            found.append((kind_before, first, word))
        if not goes_on:
            first = word
    return found


def bio2(labels: Sequence[str]) -> list[str]:
    """The labels of a sentence, of any scheme, as BIO2 has them: the entities stay what they are."""
    found = [OUTSIDE] * len(labels)
    for kind, first, end in entities(labels):
        found[first:end] = [f"B-{kind}"] + [f"I-{kind}"] * (end - first - 1)
    return found


def score(truth: Iterable[Sequence[str]], predicted: Iterable[Sequence[str]]) -> dict[str, Any]:
    """Precision, recall and F1 of entities, over all types and of each, and the accuracy over words.

    `truth` and `predicted` are the labels of the same sentences. An entity counts as found when its type and both ends
    are right. What is not defined is 0, as in conlleval.
    """
    wanted: Counter[str] = Counter()
    given: Counter[str] = Counter()
    right: Counter[str] = Counter()
    words = equal = 0
    for ours, theirs in zip(truth, predicted, strict=True):
        words += len(ours)
        equal += sum(one == other for one, other in zip(ours, theirs, strict=True))
        there, found = set(entities(ours)), set(entities(theirs))
        for counter, part in ((wanted, there), (given, found), (right, there & found)):
            counter.update(kind for kind, _, _ in part)
    kinds = sorted(wanted | given)
    return {
        "metrics": {
            **_scores(right.total(), given.total(), wanted.total()),
            "accuracy": equal / words if words else 0.0,
        },
        "entities": {"truth": wanted.total(), "predicted": given.total(), "right": right.total()},
        "per_class": [
            {"class": kind, **_scores(right[kind], given[kind], wanted[kind]), "support": wanted[kind]}
            for kind in kinds
        ],
    }


def _scores(right: int, given: int, wanted: int) -> dict[str, float]:
    return {
        "precision": right / given if given else 0.0,
        "recall": right / wanted if wanted else 0.0,
        "f1": 2 * right / (given + wanted) if given + wanted else 0.0,
    }
