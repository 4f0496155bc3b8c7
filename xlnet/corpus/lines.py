"""Lines of bytes: of a whole file, or of a range of it, however long they are.

A line belongs to the range in which its first byte lies. Nothing is done for each line that could be done for a block.
"""

import codecs
from collections.abc import Iterator
from typing import IO

from xlnet.corpus import packing


class Lines:
    """The lines of blocks of bytes; `number` is the last one that was given, from 1.

    Of a range, the lines that begin in it and those behind it are given, and `count` of them begin in it (None: not
    known yet). Where a range begins within a file, the end of the line before it comes first, as number 0.
    """

    def __init__(self, *, longest: int) -> None:
        self.longest = longest
        self.number = 0
        self.count: int | None = None
        self.is_skipping = False  # set by who waits for a blank line that begins in the range
        self._is_file_start = True
        self._open: list[bytes] = []  # what is known of the line that has not ended yet

    def within(self, stream: IO[bytes], start: int, *, stop: int) -> Iterator[bytes]:
        """The lines from a range [start, stop) of bytes on, to the end of the file."""
        before = max(start - 1, 0)  # the byte before the range tells whether a line begins with it
        if start:
            self.number, self._is_file_start = -1, False
        stream.seek(before)
        return self.of(self._range(stream, stop - 1 - before))

    def _range(self, stream: IO[bytes], size: int) -> Iterator[bytes]:
        yield from packing.plain_blocks(stream, size)
        self.count = self.number + 1  # a line is open, for the last byte of the range is still to come
        while self.count and not self._is_in_vain() and (block := stream.read(max(1, packing.BLOCK // 16))):
            yield block

    def _is_in_vain(self) -> bool:
        """Whether who waits for a blank line will not find one, as the open line is none; it may have a gigabyte."""
        is_long = sum(map(len, self._open)) > self.longest
        return self.is_skipping and (is_long or any(map(bytes.strip, self._open)))

    def of(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Lines without ASCII whitespace around them; of a line that is too long, one byte too many is kept."""
        room = self.longest + 1
        for block in blocks:
            first, *others = block.split(b"\n")
            if room and first:
                self._open.append(first[:room])
                room -= len(self._open[-1])
            if others:
                last = others.pop()[: self.longest + 1]
                for line in (b"".join(self._open), *others):
                    yield self._next(line)
                self._open, room = [last], self.longest + 1 - len(last)
        if any(self._open):
            yield self._next(b"".join(self._open))

    def _next(self, line: bytes) -> bytes:
        self.number += 1
        if self._is_file_start:
            self._is_file_start = False
            line = line.removeprefix(codecs.BOM_UTF8)
        return line[: self.longest + 1] if len(line) > self.longest else line.strip()
