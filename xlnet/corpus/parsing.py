"""What a document is, and why bytes may be none."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

EXCERPT = 80  # characters of a dead letter that are shown

INVALID_UTF8 = "invalid UTF-8"
NUL = "NUL byte"
TOO_LONG = "too long"
BROKEN_JSON = "broken JSON"
NO_TEXT = "no text field"
CORRUPT = "corrupt compressed stream"
NO_PARQUET = "not a Parquet file"
NO_COLUMN = "no text column"

_WIDE = "\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"  # Chinese, Japanese, their punctuation
_UNSPACED = re.compile(f"[{_WIDE}][{_WIDE}“”‘’…—]|[“”‘’…—][{_WIDE}]")


@dataclass(frozen=True, slots=True)
class Document:
    """The lines of a document, none of them blank; the file and the line (from 1) where it begins."""

    lines: list[str]
    path: str
    line: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What cannot be a document: the line where the fault lies, the reason, the first characters of that line."""

    path: str
    line: int
    reason: str
    excerpt: str


class Rejected(Exception):
    """Why bytes are no document, and at which line of them (from 0)."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(reason)
        self.reason, self.line = reason, line


def decode(raw: bytes) -> str:
    """The text of bytes. Raises Rejected."""
    at = raw.find(b"\0")
    if at >= 0:
        raise Rejected(NUL, raw.count(b"\n", 0, at))
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise Rejected(INVALID_UTF8, raw.count(b"\n", 0, error.start)) from None


def json_text(line: bytes) -> str:
    """The `text` field of a line of JSON. Raises Rejected."""
    try:
        content = json.loads(decode(line))
    except (ValueError, RecursionError):
        raise Rejected(BROKEN_JSON) from None
    text = content.get("text") if isinstance(content, dict) else None
    if not isinstance(text, str):
        raise Rejected(NO_TEXT)
    if "\0" in text:
        raise Rejected(NUL)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, written as \ud800
        raise Rejected(INVALID_UTF8) from None
    return text


def unwrapped(lines: Sequence[str]) -> list[str]:
    """The paragraphs of lines that were wrapped at some width: each run without a blank line as one line."""
    runs = groupby(map(str.strip, lines), bool)
    return [_joined(list(run)) for is_visible, run in runs if is_visible]


def _joined(lines: list[str]) -> str:
    """Lines as one: nothing stands between two Chinese or Japanese characters, nor behind a word's hyphen or dash."""
    parts = [lines[0]]
    for before, line in pairwise(lines):
        is_hyphen = before[-1] in "-—" and bool(before[-2:-1].strip())
        parts += [line] if is_hyphen or _UNSPACED.match(before[-1] + line[0]) else [" ", line]
    return "".join(parts)
