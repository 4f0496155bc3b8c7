import gzip
import io

import pytest

from xlnet.errors import UserError
from xlnet.serving.rows import Format, layout_of, lines_within, read, rows


def found(content, *, path="rows.jsonl", kind="jsonl", **options):
    return list(read(io.BytesIO(content), path, Format(kind, **options)))


def test_lines_of_text_are_rows_with_their_numbers_and_places():
    seen = found("\ufeffOne é\r\n\n  \ntwo\nthree".encode(), path="a.txt", kind="text", text="sentence")
    assert [(row.line, row.offset, row.record, row.problem) for row in seen] == [
        (1, 0, {"sentence": "One é"}, ""),
        (4, 15, {"sentence": "two"}, ""),
        (5, 19, {"sentence": "three"}, ""),
    ]


def test_what_is_no_row_is_told_and_the_rows_behind_it_are_read():
    seen = found(
        b'{"text": "a", "id": 7}\nnot\n[1]\n{"text": "\\ud800"}\n{"text": "\xff"}\n{"text": ["\\u0000"]}\n'
        b'{"text": "a\\\\u0000"}\n{"text": "z"}'
    )
    assert [(row.line, row.record) for row in seen if not row.problem] == [
        (1, {"text": "a", "id": 7}),
        (7, {"text": "a\\u0000"}),
        (8, {"text": "z"}),
    ]
    assert [(row.line, row.problem.partition(":")[0]) for row in seen if row.problem] == [
        (2, "not JSON"),
        (3, "the line holds a list, wanted is a JSON object"),
        (4, "not valid Unicode"),
        (5, "not valid Unicode"),
        (6, "a NUL"),
    ]
    assert seen[1].content == "not"
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
    seen = found(content.encode(), path=f"a.{kind}", kind=kind)
    assert [(row.line, row.record, row.problem) for row in seen] == [
        (2, {"id": "1", "other": "x", "text": 'a "b'}, ""),
        (3, {}, "the row has 2 columns, the first row has 3"),
        (5, {"id": "3", "other": "x", "text": "c"}, ""),
    ]
    assert seen[0].kept(["id", "none"]) == {"id": "1", "none": None}


def test_the_columns_of_a_table_without_a_header_are_numbered():
    seen = found(b"a\tb\nc\td\n", path="a.tsv", kind="tsv", is_headed=False)
    assert [row.record for row in seen] == [{"0": "a", "1": "b"}, {"0": "c", "1": "d"}]


def test_cells_of_csv_may_be_long_also_in_files_that_are_read_side_by_side():
    content = b"text\n" + (b"x" * 200_000 + b"\n") * 2
    both = [read(io.BytesIO(content[:end]), "a.csv", Format("csv")) for end in (200_006, len(content))]
    assert [len(next(each).record["text"]) for each in both] == [200_000] * 2
    assert list(both[0]) == []
    assert [len(row.record["text"]) for row in both[1]] == [200_000]


def test_a_cell_of_csv_may_span_lines_and_a_broken_quote_is_a_dead_row():
    seen = found(b'text\n"a\nb"\nc"d\n"e"f\ng\n', path="a.csv", kind="csv")
    assert [(row.line, row.offset, row.record["text"]) for row in seen if not row.problem] == [
        (2, 5, "a\nb"),
        (4, 11, 'c"d'),
        (6, 20, "g"),
    ]
    broken = [(row.line, row.problem, row.content) for row in seen if row.problem]
    assert broken == [(5, "broken CSV: ',' expected after '\"'", '"e"f\n')]


def test_what_the_whole_file_lacks_is_an_error():
    with pytest.raises(UserError, match=r"a.tsv:1: no column 'text'; found: 'txt', 'id'"):
        found(b"txt\tid\na\tb\n", path="a.tsv", kind="tsv", wanted=("text",))
    with pytest.raises(UserError, match=r"lines of text have no column 'pair'"):
        found(b"a\n", path="a.txt", kind="text", wanted=("text", "pair"))
    with pytest.raises(UserError, match=r"a.csv:1: the header names 'a' 2 times"):
        found(b"a,a\n1,2\n", path="a.csv", kind="csv")
    assert found(b"", path="a.csv", kind="csv", wanted=("text",)) == []


def test_packed_rows_are_unpacked_and_damage_is_named():
    packed = gzip.compress(b'{"text": "a"}\n' * 3)
    assert [row.line for row in found(packed, path="a.jsonl.gz")] == [1, 2, 3]
    with pytest.raises(UserError, match=r"a.jsonl.gz:4: the packed content is damaged"):
        found(packed[:-9], path="a.jsonl.gz")


@pytest.mark.parametrize("cuts", [[], [1], [5, 6, 7], [14], list(range(1, 29))])
def test_ranges_of_a_file_give_its_rows_wherever_it_is_cut(tmp_path, cuts):
    content = b"text\tid\naa\t1\nb\t2\n\nccc\t3\nd\t4"
    (tmp_path / "a.tsv").write_bytes(content)
    known = layout_of(str(tmp_path / "a.tsv"), Format("tsv"))
    seen = []
    for start, stop in zip([0, *cuts], [*cuts, len(content)], strict=True):
        seen += list(rows(lines_within(io.BytesIO(content), start, stop), known))
    whole = [(row.offset, row.record) for row in found(content, path="a.tsv", kind="tsv")]
    assert [(row.offset, row.record) for row in seen][1:] == whole  # the header lies in the first range
    assert [(offset, record["id"]) for offset, record in whole] == [(8, "1"), (13, "2"), (18, "3"), (24, "4")]
