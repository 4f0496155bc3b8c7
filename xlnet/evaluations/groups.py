"""Groups of examples of about equal size, by a number that each has."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xlnet.evaluations.stored import Evaluation

MOST = 8
LEAST_SIZE = 20  # examples: a metric of fewer says little
LENGTHS: dict[str, tuple[str, Callable[[dict[str, Any]], int]]] = {  # unit, and how long an example is in it
    "classification": ("characters", lambda line: len(line["text"]) + len(line.get("pair", ""))),
    "regression": ("characters", lambda line: len(line["text"]) + len(line.get("pair", ""))),
    "multiple-choice": ("characters of the passage", lambda line: len(line["passage"])),
    "question-answering": ("characters of the context", lambda line: len(line["context"])),
    "token-classification": ("words", lambda line: len(line["words"])),
}


@dataclass(frozen=True)
class Group:
    """The examples whose number is from `low` to `high`, both among theirs."""

    low: float
    high: float
    rows: NDArray[np.integer]


def by_number(numbers: NDArray[Any]) -> list[Group]:
    """At most MOST groups of numbers [n]; equal numbers are in the same one."""
    count = min(MOST, max(1, len(numbers) // LEAST_SIZE))
    inner = np.quantile(numbers, np.arange(1, count) / count, method="higher")
    place = np.searchsorted(np.unique(inner), numbers, side="right")
    groups = [np.flatnonzero(place == each) for each in np.unique(place)]
    return [Group(float(numbers[rows].min()), float(numbers[rows].max()), rows) for rows in groups]


def by_length(evaluation: Evaluation) -> list[Group]:
    """Groups by the length of the text, in the unit that LENGTHS tells."""
    _, length = LENGTHS[evaluation.kind]
    return by_number(np.array([length(line) for line in evaluation.answers]))
