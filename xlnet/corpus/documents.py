"""Documents from files: plain text, JSON lines and Parquet, also compressed, local or on Google Cloud Storage.

Plain text is the reference's format (`data_utils.py`, `_create_data`): a line is what ends in a newline (Unicode's
other line separators are whitespace), it holds a sentence or a paragraph; a line of nothing but whitespace ends the
document. Wrapped text, as books are often passed on, is told apart by the reader's `wrapped`: there the lines up to an
empty one are one paragraph, and become one line; two empty lines or more end the document.

In JSON lines every line is an object whose `text` is a document, in Parquet every row; newlines in it separate lines,
and blank lines in it end nothing. A document without a single visible character is none: it is skipped, and counted
nowhere. What cannot be a document is a dead letter, with the reason, and reading goes on behind it.

A file is never held whole; one document is, up to `LONGEST` bytes (of Parquet: some rows).

Files that can be are read in splits, each on its own. A document belongs to the split in which the empty line before
it begins, a file's first one to the first split: so the splits of a file, wherever it is cut, give what the file does.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from xlnet import storage
from xlnet.corpus import packing, parquet
from xlnet.corpus.grouping import Grouping
from xlnet.corpus.lines import Lines
from xlnet.corpus.parsing import CORRUPT, EXCERPT, DeadLetter, Document, Rejected
from xlnet.errors import UserError

__all__ = ["CORRUPT", "EXCERPT", "LONGEST", "DeadLetter", "Document", "Reading", "Split", "read", "splits"]

LONGEST = 64 << 20  # bytes of a document; a long book has 5 MB, so what is longer has lost its empty lines

JSON_LINES = (".jsonl", ".ndjson")
PARQUET = ".parquet"
REFUSED = (".bz2", ".xz", ".zip", ".7z", ".tar", ".tgz", ".tfrecord", ".pdf", ".docx")


@dataclass(frozen=True, order=True, slots=True)
class Split:
    """A part of a file that is read on its own: `start` up to `stop`, in bytes, in Parquet in row groups."""

    path: str
    start: int
    stop: int
    bytes: int  # what it has of the file


def splits(file: storage.File, *, size: int) -> list[Split]:
    """The splits of a file, each of about `size` bytes where the format allows it; packed files come whole.

    Raises UserError as `read`.
    """
    name, compression = _kind(file.path)
    if name.endswith(PARQUET):
        with storage.reading(file.path) as stream:
            return [Split(file.path, *group) for group in parquet.groups(stream, file.bytes, target=size)]
    count = 1 if compression else max(1, round(file.bytes / size))
    cuts = [file.bytes * number // count for number in range(count + 1)]
    return [Split(file.path, start, stop, stop - start) for start, stop in pairwise(cuts)]


def _kind(path: str) -> tuple[str, str]:
    """The name that tells the format, and the suffix of its packing. Raises UserError for what holds no text."""
    name, compression = packing.split(path.lower())
    if name.endswith(REFUSED) or (compression and name.endswith(PARQUET)):
        raise UserError(
            f"{path} is not text; give .txt or .jsonl files, which may be packed as .gz or .zst, or .parquet"
        )
    return name, compression


def read(place: str | Split, *, longest: int = LONGEST, wrapped: bool = False) -> "Reading":
    """The documents of a file or split in their order, and what cannot be one.

    The suffix tells the format: `.jsonl` or `.ndjson` is JSON lines, `.parquet` is Parquet, anything else plain text;
    `.gz` or `.zst` may follow the others. Lines, in Parquet rows, are numbered from 1 within the split.

    Raises UserError when the file is missing, a folder, not readable, or of a kind that holds no plain text.
    """
    return Reading(place, longest=longest, wrapped=wrapped)


class Reading(Iterator[Document | DeadLetter]):
    """Documents and dead letters; afterwards `lines` is how many lines, or rows, begin in what was read."""

    def __init__(self, place: str | Split, *, longest: int, wrapped: bool) -> None:
        self._path = place if isinstance(place, str) else place.path
        self._split = None if isinstance(place, str) else place
        self._lines = Lines(longest=longest)
        self._wrapped = wrapped
        self._items = self._read()

    def __next__(self) -> Document | DeadLetter:
        return next(self._items)

    @property
    def lines(self) -> int:
        """How many lines, or rows, begin in the file or split; to be asked when all was read."""
        return self._lines.number if self._lines.count is None else self._lines.count

    def _read(self) -> Iterator[Document | DeadLetter]:
        name, compression = _kind(self._path)
        split, lines = self._split, self._lines
        if split is not None and split.start >= split.stop:
            return
        grouping = Grouping(self._path, lines, wrapped=self._wrapped)
        with storage.reading(self._path) as stream:
            if name.endswith(PARQUET):
                yield from grouping.rows(stream, None if split is None else range(split.start, split.stop))
                return
            if compression or split is None:
                content = lines.of(packing.blocks(stream, compression))
            else:
                content = lines.within(stream, split.start, stop=split.stop)
            is_inner = split is not None and split.start > 0
            try:
                yield from (
                    grouping.json(content) if name.endswith(JSON_LINES) else grouping.text(content, skip=is_inner)
                )
            except packing.Corrupt:
                yield grouping.dead(Rejected(CORRUPT))
