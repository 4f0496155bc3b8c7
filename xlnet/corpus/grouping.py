"""Lines, or rows, to documents and dead letters."""

from collections.abc import Iterator
from itertools import groupby
from typing import IO

from xlnet.corpus import parquet, parsing
from xlnet.corpus.lines import Lines
from xlnet.corpus.parsing import EXCERPT, DeadLetter, Document, Rejected


class Grouping:
    """The documents of one file or split, whose lines are counted by `lines`."""

    def __init__(self, path: str, lines: Lines, *, wrapped: bool) -> None:
        self.path, self.lines, self.wrapped = path, lines, wrapped
        self.gap = 2 if wrapped else 1  # empty lines that end a document
        self.blank = 0  # empty lines before the next one
        self.begin = 0  # line where the open document begins; 0: none is open

    def text(self, content: Iterator[bytes], *, skip: bool) -> Iterator[Document | DeadLetter]:
        """Documents of plain text; with `skip`, of a split that does not begin its file."""
        if skip and not self._skip(content):
            return
        lines, longest = self.lines, self.lines.longest
        group: list[bytes] = []
        size = 0  # bytes of the open document with its newlines, also of what is no longer kept
        for line in content:
            if line:
                if not self.begin:
                    self.begin = lines.number
                elif self.blank:
                    group.append(b"")
                    size += 1
                self.blank = 0
                group.append(line)
                size += len(line) + 1
                if size > longest + 1:
                    group = [group[0][: 4 * EXCERPT]]
                continue
            self.blank += 1
            if self.blank < self.gap:
                continue
            if group:
                yield from self._documents(group, size - 1)
                group, size, self.begin = [], 0, 0
            if lines.count is not None and lines.number - self.gap >= lines.count:
                return  # this gap begins behind the split, and what follows is another's
        if group:
            yield from self._documents(group, size - 1)

    def _skip(self, content: Iterator[bytes]) -> bool:
        """Reads on to the first gap that begins in the split; False when there is none."""
        lines = self.lines
        lines.is_skipping = True
        for line in content:
            self.blank = self.blank + 1 if lines.number and not line else 0
            if lines.count is not None and lines.number - self.blank >= lines.count:
                return False  # what may still become a gap begins behind the split
            if self.blank == self.gap:
                lines.is_skipping = False
                return True
        return False

    def _documents(self, group: list[bytes], size: int) -> Iterator[Document | DeadLetter]:
        try:
            if size > self.lines.longest:
                raise Rejected(parsing.TOO_LONG)
            lines = parsing.decode(b"\n".join(group)).split("\n")
        except Rejected as rejected:
            yield self.dead(rejected, self.begin + rejected.line, content=group[rejected.line])
            return
        if self.wrapped:
            paragraphs = parsing.unwrapped(lines)
            if paragraphs:
                first = next(number for number, line in enumerate(lines) if line.strip())
                yield Document(paragraphs, self.path, self.begin + first)
        elif all(map(str.strip, lines)):
            yield Document(lines, self.path, self.begin)
        else:
            yield from self._runs(lines)

    def _runs(self, lines: list[str]) -> Iterator[Document]:
        """A line of whitespace beyond ASCII alone, such as no-break spaces, ends a document too."""
        number = self.begin
        for is_visible, run in groupby(lines, lambda line: bool(line.strip())):
            part = list(run)
            if is_visible:
                yield Document(part, self.path, number)
            number += len(part)

    def json(self, content: Iterator[bytes]) -> Iterator[Document | DeadLetter]:
        """Documents of JSON lines."""
        lines = self.lines
        for line in content:
            if line and lines.number:
                yield from self._whole(line, is_json=True)
            if lines.number == lines.count:
                return

    def rows(self, stream: IO[bytes], groups: range | None) -> Iterator[Document | DeadLetter]:
        """Documents of a Parquet file, all or those of some row groups."""
        try:
            self.lines.count, cells = parquet.rows(stream, groups)
        except Rejected as rejected:
            yield self.dead(rejected)
            return
        for self.lines.number, cell in cells:
            if isinstance(cell, Rejected):
                yield self.dead(cell, self.lines.number)
            else:
                yield from self._whole(cell, is_json=False)

    def _whole(self, content: bytes | None, *, is_json: bool) -> Iterator[Document | DeadLetter]:
        """The document of one line or row, if it has a visible character."""
        try:
            if content is None:
                raise Rejected(parsing.NO_TEXT)
            if len(content) > self.lines.longest:
                raise Rejected(parsing.TOO_LONG)
            text = parsing.json_text(content) if is_json else parsing.decode(content)
        except Rejected as rejected:
            yield self.dead(rejected, self.lines.number, content=content or b"")
            return
        lines = text.split("\n")
        lines = parsing.unwrapped(lines) if self.wrapped else [line for line in map(str.strip, lines) if line]
        if lines:
            yield Document(lines, self.path, self.lines.number)

    def dead(self, rejected: Rejected, line: int | None = None, *, content: bytes = b"") -> DeadLetter:
        """What is rejected, at a line; without one, where the open document or the next line begins."""
        excerpt = content[: 4 * EXCERPT].decode(errors="replace")[:EXCERPT]
        return DeadLetter(self.path, line or self.begin or self.lines.number + 1, rejected.reason, excerpt)
