"""The rows of a file or stream of any size, one by one; what cannot be one is told, with its reason, and passed over.

Formats: `text` (a line is a row), `jsonl` (an object a line), `tsv` (unquoted, as GLUE's files are) and `csv` (quoted;
a cell may span lines). Lines of nothing but whitespace are no rows. Never more than a row is held.
"""

import csv
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from xlnet import storage
from xlnet.corpus import packing
from xlnet.errors import UserError
from xlnet.tasks import tables

KINDS = {".txt": "text", ".jsonl": "jsonl", ".ndjson": "jsonl", ".tsv": "tsv", ".csv": "csv"}
LONGEST = 64 << 20  # bytes of a line; what is longer is no text
EXCERPT = 1000  # characters of a bad row that are kept

Place = tuple[int, int]  # a line's number, from 1, and its first byte, from 0


@dataclass(frozen=True, slots=True)
class Row:
    """A row: where it stands, and its cells by name. A row with a `problem` has none; `content` is its beginning."""

    line: int
    offset: int  # bytes before its line, unpacked
    record: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""
    content: str = ""

    def dead(self, problem: str) -> "Row":
        """The row as one that nothing can be made of."""
        return Row(self.line, self.offset, problem=problem, content=self.content)

    def kept(self, names: Iterable[str]) -> dict[str, Any]:
        """The cells that are passed on; None for those that the row lacks."""
        return {name: self.record.get(name) for name in names}


@dataclass(frozen=True)
class Layout:
    """What a file's rows are: the names of the columns, of text a single one, and whether the first row tells them."""

    kind: str
    names: tuple[str, ...] = ()
    is_headed: bool = False


def kind_of(path: str, wanted: str | None = None) -> str:
    """The format of a file by its name, or the one that is wanted. Raises UserError where neither tells it."""
    if wanted is not None:
        return wanted
    name, _ = packing.split(path.lower())
    kind = next((kind for ending, kind in KINDS.items() if name.endswith(ending)), None)
    if kind is None:
        raise UserError(
            f"the name {path!r} tells no format; name it {', '.join(KINDS)} (.gz and .zst may follow), "
            "or pass --input-format"
        )
    return kind


@dataclass(frozen=True)
class Format:
    """How rows are to be read: their kind, the name that a line of text goes by, and what the columns must include."""

    kind: str
    text: str = "text"
    is_headed: bool = True
    wanted: tuple[str, ...] = ()


def read(stream: IO[bytes], path: str, asked: Format) -> Iterator[Row]:
    """The rows of a stream; `path` names it, and by its suffix tells how it is packed.

    A table that is not headed has its columns named 0, 1, ... Raises UserError for a column that the whole file lacks,
    for a broken header, and for packed content that is damaged.
    """
    found = lines(stream, path)
    first = _first(found, asked)
    known = layout(first, path, asked)
    return rows(found if first is None or known.is_headed else itertools.chain([first], found), known)


def layout_of(path: str, asked: Format) -> Layout:
    """The layout of a file. Raises UserError as `read`."""
    with storage.reading(path) as stream:
        return layout(_first(lines(stream, path), asked), path, asked)


def _first(found: Iterator[tuple[Place, bytes]], asked: Format) -> tuple[Place, bytes] | None:
    """The first line of a table that is not empty."""
    if asked.kind not in ("tsv", "csv"):
        return None
    return next(((place, line) for place, line in found if line.strip()), None)


def layout(first: tuple[Place, bytes] | None, path: str, asked: Format) -> Layout:
    """The layout of rows of which, if they are a table's, this is the first line."""
    if asked.kind == "jsonl":
        return Layout("jsonl")
    known = Layout(asked.kind, (asked.text,)) if first is None else _of_header(first, path, asked)
    for name in asked.wanted if first is not None or asked.kind == "text" else ():
        if name not in known.names:
            if asked.kind == "text":
                raise UserError(f"{path}: lines of text have no column {name!r}; give .tsv, .csv or .jsonl")
            found = ", ".join(map(repr, known.names))
            raise UserError(f"{path}:{first[0][0] if first else 1}: no column {name!r}; found: {found}")
    return known


def _of_header(first: tuple[Place, bytes], path: str, asked: Format) -> Layout:
    kind = asked.kind
    cells = next(_cells(iter([first]), kind))[1]
    where = f"{path}:{first[0][0]}"
    if isinstance(cells, Row):
        raise UserError(f"{where}: {cells.problem}; the first row must be whole, on one line")
    if not asked.is_headed:
        return Layout(kind, tuple(str(index) for index in range(len(cells))))
    names = tuple(cell.strip() for cell in cells)
    for name in names:
        if names.count(name) > 1:
            raise UserError(
                f"{where}: the header names {name!r} {names.count(name)} times; name columns by index, with --no-header"
            )
    return Layout(kind, names, is_headed=True)


def lines(stream: IO[bytes], path: str) -> Iterator[tuple[Place, bytes]]:
    """The lines of a stream, each with its place. Raises UserError when what is packed is damaged."""
    number, offset = 0, 0
    try:
        for line in _split(packing.blocks(stream, packing.split(path.lower())[1]), path):
            number += 1
            yield (number, offset), line
            offset += len(line)
    except packing.Corrupt:
        raise UserError(f"{path}:{number + 1}: the packed content is damaged from here on; copy it again") from None


def lines_within(stream: IO[bytes], start: int, stop: int) -> Iterator[tuple[Place, bytes]]:
    """The lines that begin in a range of bytes of a stream that is not packed; they are numbered from 1."""
    stream.seek(max(start - 1, 0))
    offset = start + (len(stream.readline()) - 1 if start else 0)
    number = 0
    while offset < stop and (line := stream.readline()):
        number += 1
        yield (number, offset), line
        offset += len(line)


def _split(blocks: Iterator[bytes], path: str) -> Iterator[bytes]:
    """Lines with their ends."""
    begun: list[bytes] = []
    size = 0
    for block in blocks:
        *whole, rest = block.split(b"\n")
        for line in whole:
            yield b"".join([*begun, line, b"\n"])
            begun, size = [], 0
        size += len(rest)
        if size > LONGEST:
            raise UserError(f"{path}: a line has more than {LONGEST:,} bytes; give text with line ends")
        if rest:
            begun.append(rest)
    if begun:
        yield b"".join(begun)


def rows(found: Iterable[tuple[Place, bytes]], known: Layout) -> Iterator[Row]:
    """Lines as rows of a layout; the line of a header is not among them."""
    if known.kind == "text":
        return _of_text(found, known)
    if known.kind == "jsonl":
        return _of_json(found)
    return _of_table(found, known)


def _decoded(line: bytes, place: Place) -> str:
    """The text of a line; bytes that are no UTF-8 become lone surrogates, which `_checked` finds."""
    return line.removeprefix(b"\xef\xbb\xbf" if place[1] == 0 else b"").decode("utf-8", "surrogateescape")


def _of_text(found: Iterable[tuple[Place, bytes]], known: Layout) -> Iterator[Row]:
    for place, line in found:
        text = _decoded(line, place).strip()
        if text:
            yield _checked(Row(*place, {known.names[0]: text}, content=_excerpt(text)))


def _of_json(found: Iterable[tuple[Place, bytes]]) -> Iterator[Row]:
    for place, line in found:
        text = _decoded(line, place).strip()
        if not text:
            continue
        row = Row(*place, content=_excerpt(text))
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            yield row.dead(f"not JSON: {error}")
            continue
        if isinstance(record, dict):
            yield _checked(Row(*place, record, content=row.content))
        else:
            yield row.dead(f"the line holds a {type(record).__name__}, wanted is a JSON object")


def _of_table(found: Iterable[tuple[Place, bytes]], known: Layout) -> Iterator[Row]:
    for place, cells in _cells(iter(found), known.kind):
        if isinstance(cells, Row):
            yield cells
        elif len(cells) != len(known.names):
            problem = f"the row has {len(cells)} columns, the first row has {len(known.names)}"
            yield Row(*place, problem=problem, content=_excerpt("\t".join(cells)))
        else:
            record = dict(zip(known.names, cells, strict=True))
            yield _checked(Row(*place, record, content=_excerpt("\t".join(cells))))


def _cells(found: Iterator[tuple[Place, bytes]], kind: str) -> Iterator[tuple[Place, list[str] | Row]]:
    """The cells of each row of a table, or a row with the reason why it has none."""
    if kind == "tsv":
        for place, line in found:
            text = _decoded(line, place).removesuffix("\n").removesuffix("\r")
            if text.strip():
                yield place, text.split("\t")
        return
    begun: list[tuple[Place, str]] = []  # the line with which a row begins; its cells may span more

    def fed() -> Iterator[str]:
        for place, line in found:
            text = _decoded(line, place)
            if not begun:
                begun.append((place, text))
            yield text

    reader = tables.quoted(fed())
    while True:
        begun.clear()
        try:
            cells = next(reader, None)
        except csv.Error as error:
            place, text = begun[0]
            yield place, Row(*place, problem=f"broken CSV: {error}", content=_excerpt(text))
            continue
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield begun[0][0], cells


def _excerpt(text: str) -> str:
    """The beginning of a text, as text that can be written down."""
    return text[:EXCERPT].encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _checked(row: Row) -> Row:
    """The row, or, where it holds what no file of text can, a dead one."""
    try:
        whole = json.dumps(row.record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return row.dead("not valid Unicode: a byte that is no UTF-8, or half a surrogate pair")
    return row.dead("a NUL") if b"\\u0000" in whole and _has_nul(row.record) else row


def _has_nul(value: Any) -> bool:
    """Whether a text in a JSON value holds a NUL."""
    if isinstance(value, dict):
        return any(map(_has_nul, [*value, *value.values()]))
    return any(map(_has_nul, value)) if isinstance(value, list) else isinstance(value, str) and "\0" in value
