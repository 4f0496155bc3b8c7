"""Documents from files: plain text and JSON lines, also compressed, local or on Google Cloud Storage.

Plain text is the reference's format (`data_utils.py`, `_create_data`): a line is what ends in a newline (Unicode's
other line separators are whitespace), it holds a sentence or a paragraph; a line of nothing but whitespace ends the
document. In JSON lines every line is an object whose `text` is a document; newlines in it separate lines, and blank
lines in it end nothing. A document without a single visible character is none: it is skipped, and counted nowhere.
What cannot be a document is a dead letter, with the reason, and reading goes on behind it.

A file is never held whole; one document is, up to `LONGEST` bytes.
"""

import codecs
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from xlnet import storage
from xlnet.corpus import packing
from xlnet.errors import UserError

LONGEST = 64 << 20  # bytes of a document; a long book has 5 MB, so what is longer has lost its empty lines
EXCERPT = 80  # characters of a dead letter that are shown

INVALID_UTF8 = "invalid UTF-8"
NUL = "NUL byte"
TOO_LONG = "too long"
BROKEN_JSON = "broken JSON"
NO_TEXT = "no text field"
CORRUPT = "corrupt compressed stream"

JSON_LINES = (".jsonl", ".ndjson")
REFUSED = (".bz2", ".xz", ".zip", ".7z", ".tar", ".tgz", ".parquet", ".tfrecord", ".pdf", ".docx")


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


class _Rejected(Exception):
    """Why bytes are no document, and at which line of them (from 0)."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(reason)
        self.reason, self.line = reason, line


def read(path: str, *, longest: int = LONGEST) -> Iterator[Document | DeadLetter]:
    """The documents of a file in their order, and what cannot be one.

    The suffix tells the format: `.jsonl` or `.ndjson` is JSON lines, anything else plain text; `.gz` or `.zst` may
    follow. Raises UserError when the file is missing, a folder, not readable, or of a kind that holds no plain text.
    """
    name, compression = packing.split(path.lower())
    if name.endswith(REFUSED):
        raise UserError(f"{path} is not text; give .txt or .jsonl files, which may be packed as .gz or .zst")
    with storage.reading(path) as stream:
        reader = _Reader(path, longest)
        lines = reader.lines(packing.blocks(stream, compression))
        try:
            yield from reader.json(lines) if name.endswith(JSON_LINES) else reader.text(lines)
        except packing.Corrupt:
            yield DeadLetter(path, reader.begin or reader.line + 1, CORRUPT, "")


class _Reader:
    """How far a file was read: `line` is the last whole line, `begin` the first of the open document (0: none)."""

    def __init__(self, path: str, longest: int) -> None:
        self.path, self.longest = path, longest
        self.line = self.begin = 0

    def lines(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Lines without ASCII whitespace around them; of a line that is too long, one byte too many is kept."""
        parts: list[bytes] = []
        room = self.longest + 1
        for block in blocks:
            first, *others = block.split(b"\n")
            parts.append(first[:room])
            room -= len(parts[-1])
            if others:
                last = others.pop()[: self.longest + 1]
                for line in (b"".join(parts), *others):
                    yield self._next(line)
                parts, room = [last], self.longest + 1 - len(last)
        if any(parts):
            yield self._next(b"".join(parts))

    def _next(self, line: bytes) -> bytes:
        self.line += 1
        if self.line == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        return line if len(line) > self.longest else line.strip()

    def text(self, lines: Iterator[bytes]) -> Iterator[Document | DeadLetter]:
        """Documents of plain text."""
        group: list[bytes] = []
        size = 0  # bytes of the open document with its newlines, also of what is no longer kept
        for line in lines:
            if line:
                self.begin = self.begin or self.line
                size += len(line) + 1
                group.append(line)
                if size > self.longest + 1:
                    group = [group[0][: 4 * EXCERPT]]
            elif group:
                yield from self._plain(group, size - 1)
                group, size, self.begin = [], 0, 0
        if group:
            yield from self._plain(group, size - 1)

    def _plain(self, group: list[bytes], size: int) -> Iterator[Document | DeadLetter]:
        try:
            if size > self.longest:
                raise _Rejected(TOO_LONG)
            lines = _decode(b"\n".join(group)).split("\n")
        except _Rejected as rejected:
            yield self._dead(self.begin + rejected.line, rejected.reason, group[rejected.line])
            return
        if all(map(str.strip, lines)):
            yield Document(lines, self.path, self.begin)
            return
        # A line of whitespace beyond ASCII alone, such as no-break spaces, ends a document too.
        number = self.begin
        for is_visible, run in groupby(lines, lambda line: bool(line.strip())):
            part = list(run)
            if is_visible:
                yield Document(part, self.path, number)
            number += len(part)

    def json(self, lines: Iterator[bytes]) -> Iterator[Document | DeadLetter]:
        """Documents of JSON lines."""
        for line in filter(None, lines):
            try:
                if len(line) > self.longest:
                    raise _Rejected(TOO_LONG)
                text = [part for part in map(str.strip, _text(line).split("\n")) if part]
            except _Rejected as rejected:
                yield self._dead(self.line, rejected.reason, line)
                continue
            if text:
                yield Document(text, self.path, self.line)

    def _dead(self, line: int, reason: str, content: bytes) -> DeadLetter:
        excerpt = content[: 4 * EXCERPT].decode(errors="replace")[:EXCERPT]
        return DeadLetter(self.path, line, reason, excerpt)


def _decode(raw: bytes) -> str:
    at = raw.find(b"\0")
    if at >= 0:
        raise _Rejected(NUL, raw.count(b"\n", 0, at))
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise _Rejected(INVALID_UTF8, raw.count(b"\n", 0, error.start)) from None


def _text(line: bytes) -> str:
    """The `text` field of a line of JSON."""
    try:
        content = json.loads(_decode(line))
    except (ValueError, RecursionError):
        raise _Rejected(BROKEN_JSON) from None
    text = content.get("text") if isinstance(content, dict) else None
    if not isinstance(text, str):
        raise _Rejected(NO_TEXT)
    if "\0" in text:
        raise _Rejected(NUL)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, written as \ud800
        raise _Rejected(INVALID_UTF8) from None
    return text
