import pytest

from xlnet.errors import UserError
from xlnet.tasks import tables


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def test_tsv_is_unquoted_and_read_by_name(tmp_path):
    path = write(tmp_path, "a.tsv", 'sentence\tlabel\r\n"a" said\t1\r\n\nsay "\t0\n')
    assert tables.select(path, ["label", "sentence"]) == [(2, ["1", '"a" said']), (4, ["0", 'say "'])]


def test_columns_by_index_mean_no_header_unless_said_otherwise(tmp_path):
    path = write(tmp_path, "a.tsv", "x\ty\nu\tv\n")
    assert tables.select(path, ["1"]) == [(1, ["y"]), (2, ["v"])]
    assert tables.select(path, ["1"], header=True) == [(2, ["v"])]
    assert tables.select(path, ["y", "0"]) == [(2, ["v", "u"])]


def test_csv_cells_may_hold_separators_quotes_and_line_breaks(tmp_path):
    path = write(tmp_path, "a.csv", 'label,text\n5,"one, ""two""\nthree"\n1,four\n')
    assert tables.select(path, ["text", "label"]) == [(2, ['one, "two"\nthree', "5"]), (4, ["four", "1"])]


def test_csv_cells_may_be_long(tmp_path):
    path = write(tmp_path, "a.csv", "a," + "x" * 200_000 + "\n")
    assert len(tables.select(path, ["1"])[0][1][0]) == 200_000


def test_json_lines_take_strings_and_numbers(tmp_path):
    path = write(tmp_path, "a.jsonl", '{"t": "a\\tb", "l": 3}\n\n{"l": 0.5, "t": "caf\u00e9"}\n{"l": true, "t": ""}')
    assert tables.select(path, ["t", "l"]) == [
        (1, ["a\tb", "3"]),
        (3, ["caf\u00e9", "0.5"]),
        (4, ["", "true"]),
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    path = write(tmp_path, "a.csv", b"\xef\xbb\xbftext,label\na,b\n")
    assert tables.select(path, ["text"]) == [(2, ["a"])]


def test_unicode_line_separators_do_not_end_a_row(tmp_path):
    path = write(tmp_path, "a.tsv", "text\tlabel\na\u2028b\x0bc\t1\n")
    assert tables.select(path, ["text", "label"]) == [(2, ["a\u2028b\x0bc", "1"])]


BAD = {
    "missing column": (
        "a.tsv",
        "sentence\tgold\na\t1\n",
        r"a\.tsv:1: no column 'label'; found: 'sentence', 'gold'",
    ),
    "index beyond the width": ("a.csv", "a,1\n", r"a\.csv:1: no column 'label'; found: 'a', '1'"),
    "missing key": ("a.jsonl", '{"label": 1}\n{"text": "x"}\n', r"a\.jsonl:2: no key 'label'; found: 'text'"),
    "empty object": ("a.jsonl", "{}\n", r"a\.jsonl:1: no key 'label'; found: none"),
    "broken JSON": ("a.jsonl", '{"label": 1}\n{"label": \n', r"a\.jsonl:2: not JSON"),
    "deep JSON": ("a.jsonl", "[" * 100_000, r"a\.jsonl:1: not JSON"),
    "not an object": ("a.jsonl", "[1]\n", r"a\.jsonl:1: the line holds a list"),
    "null": ("a.jsonl", '{"label": null}\n', r"a\.jsonl:1: key 'label' holds null"),
    "half a surrogate pair": (
        "a.jsonl",
        '{"label": "\\ud800"}\n',
        r"a\.jsonl:1: key 'label' holds half",
    ),
    "escaped NUL": ("a.jsonl", '{"label": "a\\u0000"}\n', r"a\.jsonl:1: key 'label' holds a NUL"),
    "invalid UTF-8": ("a.tsv", b"label\na\n\xff\n", r"a\.tsv:3: invalid UTF-8 \(byte 0xff\)"),
    "invalid UTF-8 after a mark": (
        "a.tsv",
        b"\xef\xbb\xbflabel\n\xfe\n",
        r"a\.tsv:2: invalid UTF-8 \(byte 0xfe\)",
    ),
    "NUL": ("a.csv", b"label\na\0\n", r"a\.csv:2: a NUL byte"),
    "UTF-16": ("a.csv", "label\na\n".encode("utf-16"), r"a\.csv:1: invalid UTF-8|a\.csv:1: a NUL byte"),
    "empty file": ("a.tsv", "", r"a\.tsv is empty"),
    "only empty lines": ("a.tsv", "\n \n", r"a\.tsv: no examples"),
    "header only": ("a.csv", "text,label\n", r"a\.csv: no examples, only a header"),
    "short row": ("a.tsv", "text\tlabel\na\n", r"a\.tsv:2: the row has 1 columns, the first row has 2"),
    "long row": ("a.tsv", "text\tlabel\na\tb\tc\n", r"a\.tsv:2: the row has 3 columns, the first row has 2"),
    "open quote": ("a.csv", 'label\nx\n"a\nb\n', r"a\.csv:3: broken CSV: unexpected end of data"),
    "text after a quote": ("a.csv", 'label\n"a"b\n', r"a\.csv:2: broken CSV"),
    "column named twice": ("a.tsv", "label\tlabel\n1\t2\n", r"a\.tsv:1: the header names 'label' 2 times"),
    "unknown format": ("a.xlsx", "label\n1\n", r"a\.xlsx: examples are read from \.tsv, \.csv, \.jsonl"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_with_file_and_line(tmp_path, case):
    name, content, message = BAD[case]
    with pytest.raises(UserError, match=message) as caught:
        tables.select(write(tmp_path, name, content), ["label"])
    assert "\n" not in str(caught.value)


def test_an_index_beyond_the_width_tells_the_width(tmp_path):
    with pytest.raises(UserError, match=r"a\.csv:1: no column '2'; found: 2 columns, 0 to 1"):
        tables.select(write(tmp_path, "a.csv", "a,1\n"), ["2"])


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        tables.select(str(tmp_path / "none.tsv"), ["label"])
    (tmp_path / "folder.tsv").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        tables.select(str(tmp_path / "folder.tsv"), ["label"])
