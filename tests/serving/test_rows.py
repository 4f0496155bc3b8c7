import gzip
import io

import pytest

from xlnet.errors import UserError
from xlnet.serving.rows import first_row, layout, lines_within, read, rows


def found(content, *, path="rows.jsonl", kind="jsonl", columns=("text",), **options):
    return list(read(io.BytesIO(content), path, kind=kind, columns=columns, **options))


def test_lines_of_text_are_rows_with_their_numbers_and_places():
    seen = found("\ufeffOne é\r\n\n  \ntwo\nthree".encode(), path="a.txt", kind="text")
    assert [(row.line, row.offset, row.cells, row.problem) for row in seen] == [
        (1, 0, ("One é",), ""),
        (4, 15, ("two",), ""),
        (5, 19, ("three",), ""),
    ]


def test_what_is_no_row_is_told_and_the_rows_behind_it_are_read():
    seen = found(
        b'{"text": "a", "id": 7}\n{"text": 5, "id": [1]}\nnot\n[1]\n{"txt": "a"}\n{"text": " "}\n{"text": null}\n'
        b'{"text": "\\ud800"}\n{"text": "\xff"}\n{"text": "\\u0000"}\n{"text": "z"}',
        kept=("id",),
    )
    assert [(row.line, row.cells, dict(row.kept)) for row in seen if not row.problem] == [
        (1, ("a",), {"id": 7}),
        (2, ("5",), {"id": [1]}),
        (11, ("z",), {"id": None}),
    ]
    assert [(row.line, row.problem) for row in seen if row.problem] == [
        (3, "not JSON: Expecting value: line 1 column 1 (char 0)"),
        (4, "the line holds a list, wanted is a JSON object"),
        (5, "no key 'text'"),
        (6, "text is empty"),
        (7, "key 'text' holds null, wanted is a string"),
        (8, "text is not valid Unicode"),
        (9, "text is not valid Unicode"),
        (10, "text holds a NUL"),
    ]
    assert seen[2].content == "not"
    for row in seen:
        row.content.encode()


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("tsv", 'id\tother\ttext\n1\tx\ta "b\n2\tx\n\n3\tx\tc\n'),
        ("csv", 'id,other,text\n1,x,"a ""b"\n2,x\n\n3,x,c\n'),
    ],
)
def test_tables_are_read_by_the_names_of_their_header(kind, content):
    seen = found(content.encode(), path=f"a.{kind}", kind=kind, kept=("id",))
    assert [(row.line, row.cells, dict(row.kept), row.problem) for row in seen] == [
        (2, ('a "b',), {"id": "1"}, ""),
        (3, (), {}, "the row has 2 columns, the first row has 3"),
        (5, ("c",), {"id": "3"}, ""),
    ]


def test_a_table_without_a_header_is_read_by_index():
    seen = found(b"a\tb\nc\td\n", path="a.tsv", kind="tsv", columns=("1",))
    assert [row.cells for row in seen] == [("b",), ("d",)]
    seen = found(b"a\tb\nc\td\n", path="a.tsv", kind="tsv", columns=("1",), header=True)
    assert [row.cells for row in seen] == [("d",)]


def test_a_cell_of_csv_may_span_lines_and_a_broken_quote_is_a_dead_row():
    seen = found(b'text\n"a\nb"\nc"d\n"e"f\ng\n', path="a.csv", kind="csv")
    assert [(row.line, row.offset, row.cells) for row in seen if not row.problem] == [
        (2, 5, ("a\nb",)),
        (4, 11, ('c"d',)),
        (6, 20, ("g",)),
    ]
    assert [(row.line, row.problem) for row in seen if row.problem] == [
        (5, "broken CSV: ',' expected after '\"'"),
    ]


def test_what_the_whole_file_lacks_is_an_error():
    with pytest.raises(UserError, match=r"a.tsv: no column 'text'; found: 'txt', 'id'"):
        found(b"txt\tid\na\tb\n", path="a.tsv", kind="tsv")
    with pytest.raises(UserError, match=r"lines of text have one column, 'pair' cannot be there"):
        found(b"a\n", path="a.txt", kind="text", columns=("text", "pair"))


def test_packed_rows_are_unpacked_and_damage_is_named():
    packed = gzip.compress(b'{"text": "a"}\n' * 3)
    assert [row.line for row in found(packed, path="a.jsonl.gz")] == [1, 2, 3]
    with pytest.raises(UserError, match=r"a.jsonl.gz:4: the packed content is damaged"):
        found(packed[:-9], path="a.jsonl.gz")


@pytest.mark.parametrize("cuts", [[], [1], [5, 6, 7], [14], list(range(1, 40))])
def test_ranges_of_a_file_give_its_rows_wherever_it_is_cut(tmp_path, cuts):
    content = b"text\tid\naa\t1\nb\t2\n\nccc\t3\nd\t4"
    (tmp_path / "a.tsv").write_bytes(content)
    path = str(tmp_path / "a.tsv")
    known = layout(path, "tsv", ["text"], kept=["id"], first=first_row(path, "tsv"))
    seen = []
    for start, stop in zip([0, *cuts], [*cuts, len(content)], strict=True):
        seen += list(rows(lines_within(io.BytesIO(content), start, stop), known))
    whole = [(row.offset, row.cells) for row in found(content, path="a.tsv", kind="tsv", kept=["id"])]
    assert [(row.offset, row.cells) for row in seen][1:] == whole  # the header lies in the first range
    assert whole == [(8, ("aa",)), (13, ("b",)), (18, ("ccc",)), (24, ("d",))]
