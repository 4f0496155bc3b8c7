"""Documents and dead letters from every format, in blocks of any size."""

import gzip
import json
import tracemalloc
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from xlnet.corpus import documents, packing
from xlnet.corpus.documents import DeadLetter, Document
from xlnet.errors import UserError

TEXT = "One. é\nTwo <eop>\n\n\nThree\n \t\nFour\n"
DOCUMENTS = [(["One. é", "Two <eop>"], 1), (["Three"], 5), (["Four"], 7)]
PACKED: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress}


def write(folder, name: str, content: bytes) -> str:
    path = folder / name
    path.write_bytes(content)
    return str(path)


def read(folder, content: bytes, name: str = "a.txt", **options) -> list:
    found = list(documents.read(write(folder, name, content), **options))
    return [
        (item.lines, item.line) if isinstance(item, Document) else (item.reason, item.line, item.excerpt)
        for item in found
    ]


@pytest.mark.parametrize("suffix", PACKED)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_text_in_every_packing(tmp_path, suffix, newline, mark):
    content = (mark + TEXT.replace("\n", newline)).encode()
    assert read(tmp_path, PACKED[suffix](content), f"a.txt{suffix}") == DOCUMENTS


@pytest.mark.parametrize("suffix", PACKED)
def test_json_lines_in_every_packing(tmp_path, suffix):
    rows = [{"text": "a\r\n\n  b\n"}, {"id": 1, "text": "é"}, {"text": " \n "}]
    content = "\n".join(json.dumps(row) for row in rows).replace("\n", "\n\n").encode()
    found = read(tmp_path, PACKED[suffix](content), f"a.jsonl{suffix}")
    assert found == [(["a", "b"], 1), (["é"], 3)]


def test_a_document_knows_its_file(tmp_path):
    path = write(tmp_path, "a.txt", b"\nx")
    assert list(documents.read(path)) == [Document(["x"], path, 2)]


def test_only_a_newline_ends_a_line(tmp_path):
    content = "a\u2028b\x0bc\x85d\re\nf".encode()
    assert read(tmp_path, content) == [(["a\u2028b\x0bc\x85d\re", "f"], 1)]


def test_a_line_of_any_whitespace_ends_a_document(tmp_path):
    content = "a\n\u00a0\u3000\nb\nc\n\x1c\n\u2003\nd".encode()
    assert read(tmp_path, content) == [(["a"], 1), (["b", "c"], 3), (["d"], 7)]


@pytest.mark.parametrize("content", [b"", b"\n", b" \n\t\n\n", "\ufeff\n".encode(), "\u00a0\n".encode()])
def test_text_without_a_visible_character_holds_no_document(tmp_path, content):
    assert read(tmp_path, content) == []


def test_a_bad_document_costs_only_itself(tmp_path):
    content = b"good\n\nfine\nb\xff d\nfine\n\nn\0l\n\nlast"
    assert read(tmp_path, content) == [
        (["good"], 1),
        ("invalid UTF-8", 4, "b\ufffd d"),
        ("NUL byte", 7, "n\0l"),
        (["last"], 9),
    ]


def test_a_bad_line_of_json_costs_only_itself(tmp_path):
    lines = [
        b'{"text": "a"}',
        b'{"text": ',
        b'{"txt": "a"}',
        b'["text"]',
        b'{"text": 3}',
        b'{"text": "a\\u0000"}',
        b'{"text": "\xff"}',
        b'{"text": "\\ud800"}',
        b"[" * 100_000,
        b'{"text": "z"}',
    ]
    found = read(tmp_path, b"\n".join(lines), "a.jsonl")
    assert [item[:2] for item in found[1:-1]] == [
        ("broken JSON", 2),
        ("no text field", 3),
        ("no text field", 4),
        ("no text field", 5),
        ("NUL byte", 6),
        ("invalid UTF-8", 7),
        ("invalid UTF-8", 8),
        ("broken JSON", 9),
    ]
    assert (found[0], found[-1]) == ((["a"], 1), (["z"], 10))
    assert found[1][2] == '{"text":'
    assert len(found[-2][2]) == documents.EXCERPT


WRAPPED = (
    "\r\n\r\nTitle\r\n\r\nIt was a well-\r\nknown day, he\r\n  said—\r\nso.\r\n\r\n滚滚长江，\r\n东逝水。\r\n"
    "\u00a0\r\nx -\r\ny\r\n\r\n\r\n\r\nTwo\r\n"
)
PARAGRAPHS = ["Title", "It was a well-known day, he said—so.", "滚滚长江，东逝水。", "x - y"]


def test_wrapped_lines_are_joined(tmp_path):
    """An empty line ends a paragraph, two end the document; in JSON, where a document is a line, none does."""
    assert read(tmp_path, WRAPPED.encode(), wrapped=True) == [(PARAGRAPHS, 3), (["Two"], 18)]
    line = json.dumps({"text": WRAPPED}).encode()
    assert read(tmp_path, line, "a.jsonl", wrapped=True) == [([*PARAGRAPHS, "Two"], 1)]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_a_stream_that_breaks_off_is_a_dead_letter_for_its_rest(tmp_path, suffix, name, monkeypatch):
    monkeypatch.setattr(packing, "BLOCK", 1 << 10)
    entry = '{"text": "%s"}\n' if name == "a.jsonl" else "%s\n\n"
    numbers = [str(pow(3, n, 10**9 + 7)) * 9 for n in range(4000)]
    content = PACKED[suffix]("".join(entry % number for number in numbers).encode())
    *good, dead = read(tmp_path, content[: len(content) // 2], name + suffix)
    assert dead[0] == "corrupt compressed stream"
    assert dead[1] >= len(good)
    assert 100 < len(good) < 4000
    assert [item[0] for item in good] == [[number] for number in numbers[: len(good)]]


def test_what_is_before_the_damage_in_a_short_packed_file_is_kept(tmp_path):
    content = b"".join(b"%d\n\n" % number for number in range(20_000))  # less than a block
    packed = gzip.compress(content)
    *good, dead = read(tmp_path, packed + b"rubbish!", "a.txt.gz")
    assert (len(good), dead[0]) == (20_000, documents.CORRUPT)
    *good, dead = read(tmp_path, packed[:-1_000], "b.txt.gz")
    assert dead[0] == documents.CORRUPT
    assert [item[0] for item in good] == [[str(number)] for number in range(len(good))]
    assert len(good) > 10_000


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_what_was_never_packed_is_a_dead_letter(tmp_path, suffix):
    assert read(tmp_path, b"plain text\n\n", f"a.txt{suffix}") == [("corrupt compressed stream", 1, "")]
    assert read(tmp_path, PACKED[suffix](b"x") + b"rubbish!", f"b.txt{suffix}")[-1][0] == documents.CORRUPT


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_packed_parts_in_a_row_are_one_text(tmp_path, suffix):
    pack = PACKED[suffix]
    content = pack(b"a\nb") + pack(b"") + pack(b"c\n\nd")
    assert read(tmp_path, content, f"a.txt{suffix}") == [(["a", "bc"], 1), (["d"], 4)]


@pytest.mark.parametrize("content", [b"aaaa\nbbbbbb\n\nok\n", b"a" * 11 + b"\n\nok", b"aa\n" * 900 + b"\nok"])
@pytest.mark.parametrize("block", [1, 3, 1 << 20])
def test_a_document_over_the_limit_is_left_out(tmp_path, content, block, monkeypatch):
    monkeypatch.setattr(packing, "BLOCK", block)
    dead, good = read(tmp_path, content, longest=10)
    assert dead[:2] == ("too long", 1)
    assert content.decode().startswith(dead[2])
    assert dead[2].startswith("aa")
    assert good[0] == ["ok"]
    assert good[1] == content[: content.index(b"ok")].count(b"\n") + 1


def test_a_document_at_the_limit_is_kept(tmp_path):
    assert read(tmp_path, b"aaaa\nbbbbb\n\nok\n", longest=10) == [(["aaaa", "bbbbb"], 1), (["ok"], 4)]
    line = b'{"text": "a"}'
    assert read(tmp_path, line + b"\n", "a.jsonl", longest=len(line)) == [(["a"], 1)]
    found = read(tmp_path, line + b" \n" + line, "a.jsonl", longest=len(line) - 1)
    assert [item[:2] for item in found] == [("too long", 1), ("too long", 2)]


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.txt.gz", "a.txt.zst"])
def test_a_line_without_end_is_not_held(tmp_path, name):
    content = b"a" * (40 << 20)
    path = write(tmp_path, name, PACKED["." + name.split(".")[-1] if name.count(".") == 2 else ""](content))
    del content
    tracemalloc.start()
    [dead] = documents.read(path, longest=1 << 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert dead == DeadLetter(path, 1, "too long", "a" * documents.EXCERPT)
    assert peak < 24 << 20


@settings(deadline=None)
@given(
    content=st.lists(st.sampled_from(["a", "é", " ", "\n", "\r\n", "\n\n", "\u3000", "bcd"])).map("".join),
    block=st.integers(1, 7),
)
def test_blocks_do_not_show(tmp_path_factory, content, block):
    folder = tmp_path_factory.mktemp("blocks")
    whole = read(folder, content.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "BLOCK", block)
        assert read(folder, content.encode()) == whole
    visible = [line.strip(" \r\n\t") for line in content.split("\n") if line.strip()]
    assert [line for lines, _ in whole for line in lines] == visible
    for lines, begin in whole:
        assert content.split("\n")[begin - 1].strip(" \r\n\t") == lines[0]


def test_what_a_user_can_mend(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        list(documents.read(str(tmp_path / "a.txt")))
    with pytest.raises(UserError, match="is a folder"):
        list(documents.read(str(tmp_path)))
    for name in ("a.tfrecord", "a.parquet.gz"):
        with pytest.raises(UserError, match=rf"{name} is not text; give \.txt or \.jsonl"):
            list(documents.read(write(tmp_path, name, b"x")))
