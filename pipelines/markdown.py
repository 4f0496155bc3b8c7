"""Markdown for the pages that steps show; what came from outside is text there, never markup."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

MARKUP = re.compile(r"([\\`*_{}\[\]()#+!|~-])")


def text(value: Any) -> str:
    """A value as plain text on one line."""
    if isinstance(value, float):
        return f"{value:,.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    flat = " ".join(str(value).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return MARKUP.sub(r"\\\1", flat)


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *([text(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
