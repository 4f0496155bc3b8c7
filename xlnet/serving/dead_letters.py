"""Rows that nothing could be made of, as JSON lines: where each stands, why, and its beginning."""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from typing import IO, Any

from xlnet import storage
from xlnet.errors import UserError
from xlnet.serving.rows import Row


class DeadLetters:
    """Counts dead rows, and writes them to a stream if there is one."""

    def __init__(self, stream: IO[bytes] | None = None) -> None:
        self.stream = stream
        self.count = 0
        self.reasons: Counter[str] = Counter()
        self.first: Row | None = None

    def add(self, row: Row) -> None:
        """One more."""
        self.first = self.first or row
        self.count += 1
        self.reasons[row.problem.partition(":")[0]] += 1
        if self.stream is not None:
            self.stream.write(to_line(row))

    def summary(self) -> dict[str, Any]:
        """How many, and the most frequent reasons."""
        reasons = ", ".join(f"{reason} ({count})" for reason, count in self.reasons.most_common(3))
        return {"dead letters": self.count, "reasons": reasons or None}


def to_line(row: Row, **place: Any) -> bytes:
    """A dead row as a line of JSON; its place is its line, unless another one is given."""
    content = {**(place or {"line": row.line}), "reason": row.problem, "content": row.content}
    return (json.dumps(content, ensure_ascii=False) + "\n").encode()


@contextlib.contextmanager
def collecting(path: str | None, *, beside: str) -> Iterator[DeadLetters]:
    """Dead letters, published as `path` when the block ends well; without a path they are counted alone.

    Raises UserError where the answers go to the same file, `beside`.
    """
    if path == beside:
        raise UserError(f"{path} is the output and the dead letters' file; name two")
    if path is None:
        yield DeadLetters()
        return
    with storage.writing(path) as stream:
        yield DeadLetters(stream)


def require_none(dead: DeadLetters, path: str) -> None:
    """Raises UserError where a row was not good."""
    if dead.first is not None:
        raise UserError(
            f"{path}:{dead.first.line}: {dead.first.problem}; an answer to every row is wanted, {dead.count:,} could "
            "not be used: correct them"
        )


def require_some(done: int, dead: DeadLetters, path: str) -> None:
    """Raises UserError where not one row was good."""
    if done == 0 and dead.first is None:
        raise UserError(f"{path} holds no rows; give at least one")
    if done == 0 and dead.first is not None:
        raise UserError(f"{path}:{dead.first.line}: {dead.first.problem}; none of {dead.count:,} rows could be used")
