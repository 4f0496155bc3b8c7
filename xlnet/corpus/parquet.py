"""Parquet files: the column `text`, row group by row group, in batches of rows."""

from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import IO, TYPE_CHECKING, Any

from xlnet.corpus.parsing import CORRUPT, NO_COLUMN, NO_PARQUET, Rejected

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

COLUMN = "text"
BATCH = 4 << 20  # bytes of text that are held as rows at once, if all rows are alike
MOST_ROWS = 1 << 14
BUFFER = 1 << 20  # bytes read at once


def groups(stream: IO[bytes], size: int, *, target: int) -> list[tuple[int, int, int]]:
    """Row groups of about `target` bytes together: the first, the end, and their part of the file's `size` in bytes."""
    try:
        metadata = _open(stream).metadata
    except Rejected:
        return [(0, 1, size)]  # for whoever reads it to say so
    weights = [metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups)]
    total = max(1, sum(weights))
    done = [size * part // total for part in accumulate(weights, initial=0)]  # bytes of the file before each group
    cuts = [0]
    for number in range(1, len(weights) + 1):
        if done[number] - done[cuts[-1]] >= target or number == len(weights):
            cuts.append(number)
    return [(start, stop, done[stop] - done[start]) for start, stop in pairwise(cuts)]


def rows(stream: IO[bytes], span: range | None) -> tuple[int, Iterator[tuple[int, bytes | Rejected | None]]]:
    """How many rows the row groups have, all or those of a range, and each row's number, from 1, and its text.

    The text is None where it is missing. A damaged row group ends in a Rejected, for all of its rows that are left.
    Raises Rejected when this is no Parquet file, or has no column of texts.
    """
    file = _open(stream)
    chosen = range(file.metadata.num_row_groups) if span is None else span
    return sum(file.metadata.row_group(number).num_rows for number in chosen), _rows(file, chosen)


def _rows(file: "ParquetFile", chosen: range) -> Iterator[tuple[int, bytes | Rejected | None]]:
    import pyarrow

    before = 0
    for group in chosen:
        metadata = file.metadata.row_group(group)
        average = metadata.total_byte_size // max(1, metadata.num_rows)
        batch_size = max(1, min(BATCH // max(1, average), MOST_ROWS))
        number = before
        try:
            for batch in file.iter_batches(batch_size, row_groups=[group], columns=[COLUMN], use_threads=False):
                column = batch.column(0)
                plain = column.dictionary_decode() if pyarrow.types.is_dictionary(column.type) else column
                for text in plain.cast(pyarrow.large_binary()).to_pylist():
                    number += 1
                    yield number, text
        except (OSError, pyarrow.ArrowException) as error:
            _require_damage(error)
            yield number + 1, Rejected(CORRUPT)
        before += metadata.num_rows


def _open(stream: IO[bytes]) -> "ParquetFile":
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        # Without pre_buffer the pages of a row group are read one by one, not all at once.
        file = ParquetFile(stream, pre_buffer=False, buffer_size=BUFFER)
        schema = file.schema_arrow
    except (OSError, pyarrow.ArrowException) as error:
        _require_damage(error)
        raise Rejected(NO_PARQUET) from None
    at = schema.get_field_index(COLUMN)  # -1: there is none, or more than one
    if at < 0 or not _is_text(schema.field(at).type):
        raise Rejected(NO_COLUMN)
    return file


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    value = kind.value_type if types.is_dictionary(kind) else kind
    checks = (types.is_string, types.is_large_string, types.is_string_view, types.is_binary, types.is_large_binary)
    return any(check(value) for check in checks)


def _require_damage(error: Exception) -> None:
    """Raises an error of the disk or the network again: those have a number or a type of their own."""
    if isinstance(error, OSError) and (type(error) is not OSError or error.errno is not None):
        raise error
