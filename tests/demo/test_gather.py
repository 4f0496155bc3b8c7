"""The demonstration's text: prose, unrepeated, and nothing on both sides."""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from demo import gather, library, own, prose, split
from demo.library import Unit

ROOT = Path(__file__).resolve().parents[2]
WORDS = "the cat sat on a mat and it was warm there in spring when all the birds of town would sing to them"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("gathered") / "demo"
    assert gather.main(["--output", str(output)]) == 0
    return output


def rows(path: Path) -> list[list[str]]:
    header, *lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    assert header.split("\t") == ["text", "label", "source"]
    return [line.split("\t") for line in lines]


def test_reflowed_into_sentences_without_doctests_and_tables():
    text = """Return the quote-
    delimited string of the name, e.g. of
    Mr. Smith. See `Foo` for that!

    >>> quote('it is of the')
    'it is of the'

    +------+-----+
    | the  | of  |
    +------+-----+

      * the first item, which
        goes on
      * an item of its own
    """
    assert prose.paragraphs(inspect.cleandoc(text)) == [
        ("Return the quote-delimited string of the name, e.g. of Mr. Smith.", "See Foo for that!"),
        ("the first item, which goes on",),
        ("an item of its own",),
    ]


@pytest.mark.parametrize(
    "code",
    [
        "for line in file: print(line, end='') if the else a",
        "name = the_value of a thing",
        "x y z w",
        "if_stmt ::= if the expression",
    ],
)
def test_code_is_not_prose(code):
    assert not prose.is_prose(code)


def test_a_docstring_is_read_without_running_its_module():
    source = b'"""Of the module."""\nraise SystemExit\nclass A:\n    def f(self):\n        """Of f."""\n'
    assert list(library.docstrings(source)) == ["Of the module.", "Of f."]


def test_enough_classes_with_enough_examples_on_both_sides(folder):
    summary = json.loads((folder / "summary.json").read_text())
    train, dev = summary["task"]["train"]["classes"], summary["task"]["dev"]["classes"]
    assert set(train) == set(dev) == {*library.CLASSES, library.LANGUAGE}
    assert 3000 < summary["task"]["train"]["examples"] < 8000
    assert max(train.values()) < 4 * min(train.values())
    assert all(0.1 <= dev[name] / (train[name] + dev[name]) <= 0.2 for name in train)
    assert len(rows(folder / "task/train.tsv")) == sum(train.values())
    assert len(rows(folder / "task/dev.tsv")) == sum(dev.values())


def test_no_unit_and_no_sentence_is_on_both_sides(folder):
    train, dev = rows(folder / "task/train.tsv"), rows(folder / "task/dev.tsv")
    assert not {source for *_, source in train} & {source for *_, source in dev}
    known = {prose.key(line.removesuffix(" <eop>")) for line in (folder / "corpus/train.txt").read_text().split("\n")}
    held_out = (folder / "corpus/heldout.txt").read_text().split("\n")
    long = {prose.key(line.removesuffix(" <eop>")) for line in held_out if len(line.split()) > 8}
    assert len(long) > 1000
    assert not {letters for letters in long & known if len(letters.split()) >= split.SHARED_SENTENCE}
    assert not {prose.key(text) for text, *_ in train} & {prose.key(text) for text, *_ in dev}


def test_no_paragraph_twice(folder):
    text = (folder / "corpus/train.txt").read_text().replace("\n\n", "\n")
    letters = [prose.key(paragraph) for paragraph in text.split("<eop>\n")]
    assert len(letters) == len(set(letters))


def test_every_example_stands_in_the_corpus(folder):
    corpus = " ".join((folder / "corpus/train.txt").read_text().split())
    examples = rows(folder / "task/train.tsv")
    assert all(f"{text}<eop>" in corpus for text, *_ in examples)
    assert all(16 <= len(text.split()) <= 120 for text, *_ in examples)


def test_the_language_reference_is_not_told_by_its_quotes(folder):
    assert not [text for text, label, _ in rows(folder / "task/train.tsv") if label == library.LANGUAGE and '"' in text]


def test_another_process_gathers_the_same_bytes(folder, tmp_path):
    command = [sys.executable, "-m", "demo.gather", "--output", str(tmp_path / "again")]
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": "7"}, capture_output=True)
    for path in folder.rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(folder)).read_bytes()


def test_a_large_unit_is_passed_over_and_a_none_class_stays_in_training():
    paragraphs = [tuple([f"{name} {n} " + WORDS]) for name in "abcdefghij" for n in range(10)]
    units = [Unit(f"u{k}", "x", tuple(paragraphs[k * 10 : k * 10 + 10])) for k in range(10)]
    units += [Unit("none", None, (("of nothing",),))]
    train, held_out = split.split(units)
    assert "none" in {unit.name for unit in train}
    assert len(held_out) == 1  # 12 % asks for a second unit of 10 %, 18 % forbids it


def text(name: str, sentences: int) -> str:
    return "".join(f"The {name} {chr(97 + n % 26)}{chr(97 + n // 26)} " + WORDS + ".\n" for n in range(sentences))


def test_own_files_hold_out_their_ends(tmp_path):
    for name in ("first", "second"):
        (tmp_path / f"{name}.txt").write_text(text(name, 200))
    assert gather.main(["--output", str(tmp_path / "out"), "--corpus", str(tmp_path / "*.txt")]) == 0
    train, dev = rows(tmp_path / "out/task/train.tsv"), rows(tmp_path / "out/task/dev.tsv")
    assert {label for _, label, _ in train} == {label for _, label, _ in dev} == {"first", "second"}
    assert 0.08 < len(dev) / (len(train) + len(dev)) < 0.16
    everything = text("first", 200) + text("second", 200)
    corpus = "".join((tmp_path / f"out/corpus/{part}.txt").read_text() for part in ("train", "heldout"))
    assert sorted(filter(None, corpus.replace("<eop>", "").split("\n"))) == sorted(everything.split("\n")[:-1])
    assert everything.split("\n")[199] in (tmp_path / "out/corpus/heldout.txt").read_text()


def test_an_only_file_is_told_by_fifths(tmp_path):
    (tmp_path / "book.txt").write_text(text("book", 400))
    assert gather.main(["--output", str(tmp_path / "out"), "--corpus", str(tmp_path / "book.txt")]) == 0
    assert {label for _, label, _ in rows(tmp_path / "out/task/dev.tsv")} == set(own.FIFTHS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"Too little text.", "at least"),
        (b"\xff\xfe of it", "not UTF-8"),
        (b"a\0b", "NUL"),
        (b"", "empty"),
    ],
)
def test_unusable_files_end_in_one_line(tmp_path, capsys, content, message):
    (tmp_path / "bad.txt").write_bytes(content)
    status = gather.main(["--output", str(tmp_path / "out"), "--corpus", str(tmp_path / "bad.txt")])
    error = capsys.readouterr().err
    assert status == 2
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_refused(tmp_path, capsys):
    (tmp_path / "precious").write_text("x")
    assert gather.main(["--output", str(tmp_path)]) == 2
    assert "already holds" in capsys.readouterr().err
