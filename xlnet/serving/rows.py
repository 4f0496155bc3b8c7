"""The rows of a file or stream of any size, one by one; what cannot be one is told, with its reason, and passed over.

Formats: `text` (a line is a row), `jsonl` (an object a line), `tsv` (unquoted, as GLUE's files are) and `csv` (quoted;
a cell may span lines). Lines of nothing but whitespace are no rows. Never more than a line is held.
"""

import csv
import itertools
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    """A row: where it stands, the cells that were asked for, in that order, and those that are passed on by name.

    A row with a `problem` has neither; `content` is its beginning.
    """

    line: int
    offset: int  # bytes before its line, unpacked
    cells: tuple[str, ...] = ()
    kept: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""
    content: str = ""

    def dead(self, problem: str) -> "Row":
        """The row as one that nothing can be made of."""
        return Row(self.line, self.offset, problem=problem, content=self.content)


@dataclass(frozen=True)
class Layout:
    """Where the cells of a row stand: in tables at `places`, in JSON under `columns` and `kept`."""

    kind: str
    columns: tuple[str, ...]
    kept: tuple[str, ...] = ()
    places: tuple[int, ...] = ()
    width: int = 0
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


def layout(
    path: str,
    kind: str,
    columns: Sequence[str],
    *,
    kept: Sequence[str] = (),
    header: bool | None = None,
    first: Sequence[str] | None = None,
) -> Layout:
    """Where `columns` and `kept` stand in rows; of a table, `first` is its first row.

    A table's column is a name of the header or a 0-based index; `header` None means: there is one when a name is asked
    for. Raises UserError for a column that is not there.
    """
    if kind == "text":
        if len(columns) > 1 or kept:
            wanted = ", ".join(repr(name) for name in [*columns[1:], *kept])
            raise UserError(
                f"{path}: lines of text have one column, {wanted} cannot be there; give .tsv, .csv or .jsonl"
            )
        return Layout(kind, tuple(columns))
    if kind == "jsonl":
        return Layout(kind, tuple(columns), tuple(kept))
    assert first is not None
    named = [*columns, *kept]
    is_headed = not all(column.isdecimal() for column in named) if header is None else header
    places = [tables.place(path, column, list(first) if is_headed else None, len(first)) for column in named]
    return Layout(kind, tuple(columns), tuple(kept), tuple(places), len(first), is_headed)


def read(
    stream: IO[bytes],
    path: str,
    *,
    kind: str,
    columns: Sequence[str],
    kept: Sequence[str] = (),
    header: bool | None = None,
) -> Iterator[Row]:
    """The rows of a stream; `path` names it, and by its suffix tells how it is packed.

    Raises UserError for a column that no row has, and for packed content that is damaged.
    """
    found = lines(stream, path)
    if kind in ("text", "jsonl"):
        return rows(found, layout(path, kind, columns, kept=kept))
    begun = _first(found, path, kind)
    if begun is None:
        return iter(())
    line, cells = begun
    known = layout(path, kind, columns, kept=kept, header=header, first=cells)
    return rows(found if known.is_headed else itertools.chain([line], found), known)


def first_row(path: str, kind: str) -> list[str] | None:
    """The cells of the first row of a table; None where there is none. Raises UserError when it is broken."""
    with storage.reading(path) as stream:
        begun = _first(lines(stream, path), path, kind)
    return None if begun is None else begun[1]


def _first(found: Iterator[tuple[Place, bytes]], path: str, kind: str) -> tuple[tuple[Place, bytes], list[str]] | None:
    """The first line of a table that is not empty, and its cells."""
    line = next(((place, line) for place, line in found if line.strip()), None)
    if line is None:
        return None
    cells = next(_cells(iter([line]), kind))[1]
    if isinstance(cells, str):
        raise UserError(f"{path}:{line[0][0]}: {cells}; the first row must be whole, on one line")
    return line, [cell.strip() for cell in cells]


def lines(stream: IO[bytes], path: str) -> Iterator[tuple[Place, bytes]]:
    """The lines of a stream, each with its place. Raises UserError when what is packed is damaged."""
    number, offset = 0, 0
    try:
        for line in _split(packing.blocks(stream, packing.split(path.lower())[1])):
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


def _split(blocks: Iterator[bytes]) -> Iterator[bytes]:
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
            raise UserError(f"a line has more than {LONGEST:,} bytes; give text with line ends")
        if rest:
            begun.append(rest)
    if begun:
        yield b"".join(begun)


def rows(found: Iterable[tuple[Place, bytes]], known: Layout) -> Iterator[Row]:
    """Lines as rows of a layout, a header apart."""
    if known.kind == "text":
        return _of_text(found)
    if known.kind == "jsonl":
        return _of_json(found, known)
    return _of_table(found, known)


def _decoded(line: bytes, number: int) -> str:
    """The text of a line; bytes that are no UTF-8 become lone surrogates, which `_checked` finds."""
    return line.removeprefix(b"\xef\xbb\xbf" if number == 1 else b"").decode("utf-8", "surrogateescape")


def _of_text(found: Iterable[tuple[Place, bytes]]) -> Iterator[Row]:
    for place, line in found:
        text = _decoded(line, place[0]).strip()
        if text:
            yield _checked(Row(*place, (text,), content=_excerpt(text)), ("the line",))


def _of_json(found: Iterable[tuple[Place, bytes]], known: Layout) -> Iterator[Row]:
    for place, line in found:
        text = _decoded(line, place[0]).strip()
        if not text:
            continue
        row = Row(*place, content=_excerpt(text))
        try:
            keys = json.loads(text)
        except (ValueError, RecursionError) as error:
            yield row.dead(f"not JSON: {error}")
            continue
        yield _of_keys(row, keys, known)


def _of_keys(row: Row, keys: Any, known: Layout) -> Row:
    if not isinstance(keys, dict):
        return row.dead(f"the line holds a {type(keys).__name__}, wanted is a JSON object")
    cells = []
    for name in known.columns:
        if name not in keys:
            return row.dead(f"no key {name!r}")
        value = keys[name]
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return row.dead(f"key {name!r} holds {json.dumps(value)[:40]}, wanted is a string")
        cells.append(value if isinstance(value, str) else json.dumps(value))
    kept = {name: keys.get(name) for name in known.kept}
    return _checked(Row(row.line, row.offset, tuple(cells), kept, content=row.content), known.columns)


def _of_table(found: Iterable[tuple[Place, bytes]], known: Layout) -> Iterator[Row]:
    count = len(known.columns)
    for place, cells in _cells(iter(found), known.kind):
        row = Row(*place)
        if isinstance(cells, str):
            yield row.dead(cells)
            continue
        row = Row(*place, content=_excerpt("\t".join(cells)))
        if len(cells) != known.width:
            yield row.dead(f"the row has {len(cells)} columns, the first row has {known.width}")
            continue
        chosen = [cells[index] for index in known.places]
        kept = dict(zip(known.kept, chosen[count:], strict=True))
        yield _checked(Row(*place, tuple(chosen[:count]), kept, content=row.content), known.columns)


def _cells(found: Iterator[tuple[Place, bytes]], kind: str) -> Iterator[tuple[Place, list[str] | str]]:
    """The cells of each row of a table, or why it has none."""
    if kind == "tsv":
        for place, line in found:
            text = _decoded(line, place[0]).removesuffix("\n").removesuffix("\r")
            if text.strip():
                yield place, text.split("\t")
        return
    places: list[Place] = []

    def fed() -> Iterator[str]:
        for place, line in found:
            places.append(place)
            yield _decoded(line, place[0])

    reader = csv.reader(fed(), strict=True)
    previous = csv.field_size_limit(sys.maxsize)  # a text may be longer than the 128 KiB that csv allows
    try:
        while True:
            places.clear()
            try:
                cells = next(reader, None)
            except csv.Error as error:
                yield places[0], f"broken CSV: {error}"
                continue
            if cells is None:
                return
            if any(cell.strip() for cell in cells):
                yield places[0], cells
    finally:
        csv.field_size_limit(previous)


def _excerpt(text: str) -> str:
    """The beginning of a text, as text that can be written down."""
    return text[:EXCERPT].encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _checked(row: Row, names: Sequence[str]) -> Row:
    """The row, or, where a cell is no text, a dead one."""
    for name, cell in zip([*names, *row.kept], [*row.cells, *map(str, row.kept.values())], strict=True):
        if name in names and not cell.strip():
            return row.dead(f"{name} is empty")
        if "\0" in cell:
            return row.dead(f"{name} holds a NUL")
        try:
            cell.encode()
        except UnicodeEncodeError:
            return row.dead(f"{name} is not valid Unicode")
    return row
