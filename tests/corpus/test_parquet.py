"""Documents from Parquet files, row group by row group."""

import io
import os
from dataclasses import replace

import pyarrow
import pytest
from pyarrow import parquet as arrow

from xlnet import storage
from xlnet.corpus import documents, parquet
from xlnet.corpus.documents import DeadLetter, Document, Split
from xlnet.errors import UserError

TEXTS = ["a\r\nb\n\n c ", None, " \n", "d\0", "é", "e" * 40]


def write(folder, table: pyarrow.Table, **options) -> str:
    path = str(folder / "a.parquet")
    arrow.write_table(table, path, **options)
    return path


def brief(items) -> list:
    return [(item.lines if isinstance(item, Document) else item.reason, item.line) for item in items]


EXPECTED = [
    (["a", "b", "c"], 1),
    ("no text field", 2),
    ("NUL byte", 4),
    (["é"], 5),
    ("too long", 6),
]
KINDS = [
    *(pyarrow.string(), pyarrow.large_string(), pyarrow.string_view(), pyarrow.binary(), pyarrow.large_binary()),
    pyarrow.dictionary(pyarrow.int32(), pyarrow.string()),
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_a_row_is_a_document(tmp_path, kind, compression):
    column = pyarrow.array(TEXTS).dictionary_encode() if pyarrow.types.is_dictionary(kind) else pyarrow.array(TEXTS)
    table = pyarrow.table({"id": range(6), "text": column.cast(kind)})
    path = write(tmp_path, table, compression=compression, row_group_size=4)
    reading = documents.read(path, longest=39)
    assert brief(reading) == EXPECTED
    assert reading.lines == 6


def test_bytes_that_are_no_text_are_a_dead_letter(tmp_path):
    path = write(tmp_path, pyarrow.table({"text": pyarrow.array([b"a", b"b\xff", b"c"], pyarrow.binary())}))
    assert brief(documents.read(path)) == [(["a"], 1), ("invalid UTF-8", 2), (["c"], 3)]


@pytest.mark.parametrize("group", [1, 3, 10])
@pytest.mark.parametrize("size", [1, 200, 1 << 20])
@pytest.mark.parametrize("most_rows", [1, 2, 100])
def test_splits_give_what_the_file_gives(tmp_path, group, size, most_rows, monkeypatch):
    monkeypatch.setattr(parquet, "MOST_ROWS", most_rows)
    path = write(tmp_path, pyarrow.table({"text": [f"{n} {'x' * n}" for n in range(10)]}), row_group_size=group)
    found = documents.splits(storage.File(path, os.path.getsize(path)), size=size)
    assert len(found) == 1 if size > 10_000 else size > 1 or len(found) == -(-10 // group)
    assert sum(split.bytes for split in found) == os.path.getsize(path)
    items, lines = [], 0
    for split in found:
        reading = documents.read(split)
        items += [replace(item, line=item.line + lines) for item in reading]
        lines += reading.lines
    assert items == list(documents.read(path))
    assert [item.line for item in items] == list(range(1, 11))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a Parquet file"),
        (b"a text", "not a Parquet file"),
        (pyarrow.table({"txt": ["a"]}), "no text column"),
        (pyarrow.table({"text": [1]}), "no text column"),
        (pyarrow.table({"text": [{"a": "b"}]}), "no text column"),
        (pyarrow.table([["a"], ["b"]], ["text", "text"]), "no text column"),
    ],
)
def test_a_file_without_texts_is_one_dead_letter(tmp_path, content, reason):
    path = str(tmp_path / "a.parquet")
    if isinstance(content, bytes):
        (tmp_path / "a.parquet").write_bytes(content)
    else:
        arrow.write_table(content, path)
    size = os.path.getsize(path)
    assert list(documents.read(path)) == [DeadLetter(path, 1, reason, "")]
    [split] = documents.splits(storage.File(path, size), size=1)
    assert split.bytes == size
    assert list(documents.read(split)) == [DeadLetter(path, 1, reason, "")]


def test_a_file_without_rows_holds_nothing(tmp_path):
    path = write(tmp_path, pyarrow.table({"text": pyarrow.array([], pyarrow.string())}))
    assert list(documents.read(path)) == []
    found = documents.splits(storage.File(path, os.path.getsize(path)), size=1)
    assert [item for split in found for item in documents.read(split)] == []


def test_a_damaged_row_group_costs_only_itself(tmp_path):
    texts = [f"{n} " + "x" * 50 for n in range(9)]
    path = write(tmp_path, pyarrow.table({"text": texts}), row_group_size=3, use_dictionary=False, compression="none")
    content = (tmp_path / "a.parquet").read_bytes()
    chunk = arrow.ParquetFile(path).metadata.row_group(1).column(0)
    start = chunk.data_page_offset
    (tmp_path / "a.parquet").write_bytes(content[:start] + b"\xff" * 16 + content[start + 16 :])
    reading = documents.read(path)
    assert brief(reading) == [
        *(([text], n) for n, text in enumerate(texts[:3], 1)),
        ("corrupt compressed stream", 4),
        *(([text], n) for n, text in enumerate(texts[6:], 7)),
    ]
    assert reading.lines == 9
    assert brief(documents.read(Split(path, 1, 2, 0))) == [("corrupt compressed stream", 1)]


NETWORK = [ConnectionResetError(104, "reset"), OSError(5, "I/O error"), TimeoutError("slow"), UserError("gone")]


@pytest.mark.parametrize("error", NETWORK)
def test_a_failure_of_the_network_is_no_damage(tmp_path, error, monkeypatch):
    path = write(tmp_path, pyarrow.table({"text": ["a"]}))

    class Failing(io.BytesIO):
        def read(self, size=-1):
            raise error

    monkeypatch.setattr(storage, "reading", lambda path: Failing((tmp_path / "a.parquet").read_bytes()))
    with pytest.raises(type(error)):
        list(documents.read(path))
