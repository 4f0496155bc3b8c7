"""Whatever the cuts, the splits of a file give what the file gives."""

from dataclasses import replace
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlnet import storage
from xlnet.corpus import documents, packing
from xlnet.corpus.documents import Split

PARTS = [
    *(
        "a",
        "é",
        "  ",
        "\n",
        "\n\n",
        "\n\n\n",
        "\r\n",
        "\r",
        "\u00a0\n",
        "\u3000",
        "\ufeff",
        "b. c",
        "\0",
        "-\n",
        "你\n好",
    ),
    *('{"text": "a\\nb"}', '{"text": ', "\n"),
]


def write(folder, name: str, content: bytes) -> str:
    path = folder / name
    path.write_bytes(content)
    return str(path)


def read_in_splits(path: str, cuts: list[int], **options) -> tuple[list, int]:
    """What the splits give, with the lines of those before added to line numbers, and all lines."""
    items, lines = [], 0
    for start, stop in pairwise(cuts):
        reading = documents.read(Split(path, start, stop, stop - start), **options)
        items += [replace(item, line=item.line + lines) for item in reading]
        lines += reading.lines
    return items, lines


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("splits")


@st.composite
def cut_contents(draw) -> tuple[bytes, list[int]]:
    parts = draw(st.lists(st.sampled_from([part.encode() for part in PARTS] + [b"\xff"]), max_size=20))
    content = b"".join(parts)
    cuts = draw(st.lists(st.integers(0, len(content)), max_size=8))
    return content, sorted([0, *cuts, len(content)])


@settings(max_examples=500, deadline=None)
@given(
    cut=cut_contents(),
    name=st.sampled_from(["a.txt", "a.jsonl"]),
    wrapped=st.booleans(),
    longest=st.sampled_from([2, 5, 1 << 20]),
    block=st.sampled_from([1, 3, 1 << 20]),
)
def test_wherever_a_file_is_cut(folder, cut, name, wrapped, longest, block):
    content, cuts = cut
    path = write(folder, name, content)
    whole = documents.read(path, longest=longest, wrapped=wrapped)
    expected = list(whole)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "BLOCK", block)
        assert read_in_splits(path, cuts, longest=longest, wrapped=wrapped) == (expected, whole.lines)
    assert whole.lines == content.count(b"\n") + (content != b"" and not content.endswith(b"\n"))


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_every_pair_of_cuts(folder, name, wrapped):
    content = b"\xef\xbb\xbf\n \n\na\r\nb\n\nc\n\n\n\n\nd\n\xff\n\ne\n\n \nf\n\n\ng"
    path = write(folder, name, content)
    whole = documents.read(path, wrapped=wrapped)
    expected = list(whole), whole.lines
    assert len(expected[0]) >= 4
    for first, second in combinations(range(1, len(content)), 2):
        assert read_in_splits(path, [0, first, second, len(content)], wrapped=wrapped) == expected


def test_each_document_comes_with_the_empty_line_before_it(tmp_path):
    path = write(tmp_path, "a.txt", b"a\n\nb\n\nc\n")  # begin: 0, 3, 6; empty lines: 2, 5
    found = {
        cut: [item.lines[0] for item in documents.read(Split(path, 0, cut, cut))]  # type: ignore[union-attr]
        for cut in range(1, 9)
    }
    assert "".join("".join(lines)[-1] for lines in found.values()) == "aabbbccc"
    assert all([*"abc"][: len(lines)] == lines for lines in found.values())


def test_splits_have_about_the_size_asked_for(tmp_path):
    path = write(tmp_path, "a.txt", b"x\n\n" * 1000)
    cut = documents.splits(storage.File(path, 3000), size=700)
    assert cut == [Split(path, 750 * n, 750 * (n + 1), 750) for n in range(4)]
    assert documents.splits(storage.File(path, 3000), size=1 << 20) == [Split(path, 0, 3000, 3000)]


@pytest.mark.parametrize("name", ["a.txt.gz", "a.jsonl.zst"])
def test_packed_files_come_whole(tmp_path, name):
    assert documents.splits(storage.File(name, 3000), size=700) == [Split(name, 0, 3000, 3000)]


class Counted:
    """A stream that counts the bytes read from it."""

    def __init__(self, stream) -> None:
        self.stream, self.count = stream, 0
        self.seek = stream.seek

    def read(self, size: int) -> bytes:
        block = self.stream.read(size)
        self.count += len(block)
        return block


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_line_of_any_length_is_read_to_its_end_by_one_split_alone(tmp_path, name, wrapped, monkeypatch):
    size = 1 << 16
    monkeypatch.setattr(packing, "BLOCK", 256)
    path = write(tmp_path, name, b"x" * size)
    counts = []
    reading = storage.reading

    class Reading:
        def __enter__(self):
            self.context = reading(path)
            self.stream = Counted(self.context.__enter__())
            return self.stream

        def __exit__(self, *error):
            counts.append(self.stream.count)
            self.context.__exit__(*error)

    monkeypatch.setattr(storage, "reading", lambda path: Reading())
    cuts = [size * number // 64 for number in range(65)]
    [dead], lines = read_in_splits(path, cuts, longest=1000, wrapped=wrapped)
    assert (dead.line, dead.reason, lines) == (1, "too long", 1)
    assert counts[0] == size
    assert max(counts[1:]) <= size // 64
