"""Rows of TSV, CSV and JSON lines files, each with its line number."""

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from xlnet import storage
from xlnet.errors import UserError

FORMATS = (".tsv", ".csv", ".jsonl")
csv.field_size_limit(sys.maxsize)  # once, as it holds for all readers: a text may be longer than csv's 128 KiB

Row = tuple[int, list[str]]  # line number, counted from 1; cells


def select(
    path: str,
    columns: Sequence[str],
    *,
    header: bool | None = None,
    ending: str | None = None,
    broken: list[int] | None = None,
) -> list[Row]:
    """The wanted columns of every row, as (line number, cells in the order of `columns`).

    The format follows the file's ending, or `ending`. TSV is unquoted, as GLUE's files are; CSV is quoted. In both
    a column is a name of the header or a 0-based index; `header` None means: there is one when a name is asked
    for. In JSON lines a column is a key. Empty lines are passed over. With a list as `broken`, rows of another
    width than the first are left out and their line numbers are added to it.

    Raises UserError, with file and line, for: invalid UTF-8, NUL, broken CSV or JSON, rows of another width
    than the first, a column that is not there, a file without rows.
    """
    text = read_text(path)
    ending = ending or path[path.rfind(".") :]
    if ending == ".jsonl":
        rows = _select_keys(path, text, columns)
    elif ending == ".csv":
        rows = _select_cells(path, _csv_rows(path, text), columns, header, broken)
    elif ending == ".tsv":
        rows = _select_cells(path, _tsv_rows(text), columns, header, broken)
    else:
        raise UserError(f"{path}: examples are read from {', '.join(FORMATS)}; name the file after its format")
    found = list(rows)
    if not found:
        raise UserError(f"{path}: no examples, only a header or empty lines; give at least one row")
    return found


def read_text(path: str) -> str:
    """A file of examples as text. Raises UserError when it is empty, holds a NUL, or is no UTF-8."""
    content = storage.read_bytes(path)
    if not content:
        raise UserError(f"{path} is empty; give a file with examples")
    if (nul := content.find(b"\0")) >= 0:
        raise UserError(
            f"{path}:{_line(content, nul)}: a NUL byte; the file is not text, or is UTF-16: save it as UTF-8"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}:{_line(error.object, error.start)}: invalid UTF-8 "
            f"(byte 0x{error.object[error.start]:02x}); save the file as UTF-8"
        ) from None


def _line(content: bytes, position: int) -> int:
    return content.count(b"\n", 0, position) + 1


def _tsv_rows(text: str) -> Iterator[Row]:
    for line, row in enumerate(text.split("\n"), start=1):
        row = row.removesuffix("\r")
        if row.strip():
            yield line, row.split("\t")


def _csv_rows(path: str, text: str) -> Iterator[Row]:
    reader = quoted(io.StringIO(text, newline=""))
    while True:
        line = reader.line_num + 1  # of the row's first line: a quoted cell may span lines
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise UserError(f"{path}:{line}: broken CSV: {error}; quote cells with double quotes") from None
        if row is None:
            return
        if any(cell.strip() for cell in row):
            yield line, row


def quoted(lines: Iterable[str]) -> Any:
    """A reader of CSV, for lines with their ends; cells may have any length."""
    return csv.reader(lines, strict=True)


def _select_cells(
    path: str, rows: Iterator[Row], columns: Sequence[str], header: bool | None, broken: list[int] | None
) -> Iterator[Row]:
    first = next(rows, None)
    if first is None:
        return
    line, names = first
    named = not all(column.isdecimal() for column in columns) if header is None else header
    places = [_place(f"{path}:{line}", column, names if named else None, len(names)) for column in columns]
    if not named:
        yield line, [names[index] for index in places]
    for line, cells in rows:
        if len(cells) != len(names):
            if broken is not None:
                broken.append(line)
                continue
            raise UserError(
                f"{path}:{line}: the row has {len(cells)} columns, the first row has {len(names)}; "
                "look for a separator inside the text or a missing cell"
            )
        yield line, [cells[index] for index in places]


def _place(where: str, column: str, names: list[str] | None, width: int) -> int:
    """The index of a column, by its name in the header (None: there is none) or by number, in rows of that width.

    Raises UserError, which begins with `where`, when it is not there, or there twice.
    """
    stripped = [name.strip() for name in names or []]
    if stripped.count(column) > 1:
        raise UserError(
            f"{where}: the header names {column!r} {stripped.count(column)} times; name the column by index"
        )
    if column in stripped:
        return stripped.index(column)
    if column.isdecimal() and int(column) < width:
        return int(column)
    found = ", ".join(repr(name) for name in stripped) if names else f"{width} columns, 0 to {width - 1}"
    raise UserError(f"{where}: no column {column!r}; found: {found}; name the columns with --text-column and the like")


def _select_keys(path: str, text: str, columns: Sequence[str]) -> Iterator[Row]:
    for line, row in enumerate(text.split("\n"), start=1):
        if not row.strip():
            continue
        try:
            keys = json.loads(row)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}:{line}: not JSON: {error}; write one object a line") from None
        if not isinstance(keys, dict):
            raise UserError(f"{path}:{line}: the line holds a {type(keys).__name__}, wanted is a JSON object")
        yield line, [value(f"{path}:{line}", column, keys) for column in columns]


def value(where: str, column: str, keys: Mapping[str, Any]) -> str:
    """A key of a JSON object as text. Raises UserError, with file and line, when it is missing or is no text."""
    if column not in keys:
        found = ", ".join(repr(key) for key in keys) or "none"
        raise UserError(f"{where}: no key {column!r}; found: {found}; name the keys with --text-column and the like")
    held = keys[column]
    if isinstance(held, str):
        require_text(where, column, held)
        return held
    if isinstance(held, int | float):
        return json.dumps(held)
    raise UserError(f"{where}: key {column!r} holds {json.dumps(held)[:40]}, wanted is a string or a number")


def require_text(where: str, column: str, value: str) -> None:
    """Raises UserError for characters that JSON can spell and no file of text can hold."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UserError(f"{where}: key {column!r} holds half a surrogate pair; remove it") from None
    if "\0" in value:
        raise UserError(f"{where}: key {column!r} holds a NUL; remove it")
