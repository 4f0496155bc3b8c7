"""Where text comes from: patterns of files, grouped into sources that weigh more or less.

Written as `pattern`, `name=pattern` or `name=pattern:weight`, for example `books=gs://corpora/books/*.txt:2.0`. A
weight of 2 has every document twice in each pass, one of 0.5 every second one, the others in the next pass.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from xlnet import storage
from xlnet.errors import UserError

UNNAMED = "text"
MOST = 100.0  # times that a document stands in a pass; who asks for more has mistyped
_SPELLED = re.compile(r"(?:(?P<name>[A-Za-z][\w-]*)=)?(?P<pattern>.+?)(?::(?P<weight>\d+(?:\.\d*)?|\.\d+))?", re.DOTALL)


@dataclass(frozen=True)
class Source:
    """Files that belong together: patterns, and how often each of their documents stands in a pass."""

    name: str
    weight: float
    patterns: tuple[str, ...]


def parse(texts: Sequence[str]) -> list[Source]:
    """Sources as they are written on a command line; those of one name are one, in the order of first mention.

    Raises UserError for a weight that is no share, and for one name with two weights.
    """
    patterns: dict[str, list[str]] = {}
    weights: dict[str, float] = {}
    for text in texts:
        name, pattern, weight = _parse(text)
        patterns.setdefault(name, []).append(pattern)
        if weight is not None and weights.setdefault(name, weight) != weight:
            raise UserError(f"the source {name!r} has the weights {weights[name]:g} and {weight:g}; give one")
    return [Source(name, weights.get(name, 1.0), tuple(sorted(set(found)))) for name, found in patterns.items()]


def _parse(text: str) -> tuple[str, str, float | None]:
    found = _SPELLED.fullmatch(text)
    if found is None or os.path.exists(text):  # a file may be called a=b:2
        return UNNAMED, text, None
    if found["weight"] is None:
        return found["name"] or UNNAMED, found["pattern"], None
    if found["name"] is None:
        raise UserError(f"{text!r} has a weight and no name; write name={text}")
    weight = float(found["weight"])
    if not 0 < weight <= MOST:
        raise UserError(f"the weight in {text!r} is {weight:g}, wanted is more than 0 and at most {MOST:g}")
    return found["name"], found["pattern"], weight


def files(source: Source) -> list[storage.File]:
    """The files of a source, sorted. Raises UserError as `storage.match`."""
    return storage.match(source.patterns)


def listed(sources: Sequence[Source]) -> list[tuple[int, storage.File]]:
    """The files of all sources, each with its source's index. Raises UserError for a file of two sources."""
    owners: dict[str, int] = {}
    found = []
    for index, source in enumerate(sources):
        for file in files(source):
            owner = owners.setdefault(storage.identity(file.path), index)
            if owner != index:
                one, other = sources[owner].name, source.name
                raise UserError(f"{file.path} belongs to the sources {one!r} and {other!r}; name it once")
            found.append((index, file))
    return found
