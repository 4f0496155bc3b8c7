"""What a data set lacks; `tests/pipelines` has what is made of it."""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace

import pytest

from xlnet import storage
from xlnet.corpus import plan, sources
from xlnet.corpus.cleaning import CleaningSettings
from xlnet.corpus.manifest import COUNTS, Manifest, Shard
from xlnet.corpus.plan import Input, Plan
from xlnet.corpus.settings import CorpusSettings
from xlnet.errors import UserError

SETTINGS = CorpusSettings(seed=3)
SHARD = Shard("shards/a", 0, 0, 0, 4, 2, 1000, {}, 7, "ab", "ab")


def manifest(inputs, **changed):
    content = {
        "settings": SETTINGS,
        "cleaning": asdict(CleaningSettings()),
        "vocabulary": {"file": "spiece.model", "sha256": "a" * 64, "size": 100},
        "sources": [{"name": "text", "weight": 1.0, "patterns": ["*.txt"]}],
        "inputs": inputs,
        "counts": dict.fromkeys(COUNTS, 0),
        "shards": [SHARD],
        "libraries": {},
        "by_source": [{"name": "text", "documents": 1, "characters": 9, "pieces": 9, "unknown_pieces": 0}],
    }
    empty: dict = {name: {} for name in ("dropped", "removed", "dead_letter_reasons", "document_lengths")}
    return Manifest(**empty | content | changed)


@pytest.fixture
def folder(tmp_path):
    """A data set of two files, as far as a plan looks at it."""
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.txt").write_text(name * 10)
    inputs = [
        asdict(Input(str(tmp_path / name), 10, storage.checksum(str(tmp_path / name)), 0, 0))
        for name in ("a.txt", "b.txt")
    ]
    (tmp_path / "data").mkdir()
    (tmp_path / "data/manifest.json").write_bytes(manifest(inputs).to_bytes())
    return tmp_path


def make(folder, names, *, passes=1, cleaning=CleaningSettings(), add=True):  # noqa: B008
    return plan.make(
        str(folder / "data"),
        sources.parse([str(folder / name) for name in names]),
        settings=replace(SETTINGS, passes=passes),
        cleaning=asdict(cleaning),
        vocabulary="a" * 64,
        add=add,
    )


def edited(folder, change):
    path = folder / "data/manifest.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_part_without_text_has_no_passes(folder):
    assert make(folder, ["a.txt", "c.txt"]).first_pass == {1: 0}
    assert make(folder, ["a.txt"], passes=2).first_pass == {0: 1}
    assert make(folder, ["c.txt"], passes=2).first_pass == {0: 1, 1: 0}
    assert make(folder, ["a.txt", "b.txt"], add=False).inputs == ()


@pytest.mark.parametrize("add", [True, False])
def test_a_file_that_is_there_does_not_change_its_source(folder, add):
    with pytest.raises(UserError, match=r"a\.txt belongs to the source 'text' in .*, 'books' is asked for"):
        plan.make(
            str(folder / "data"),
            sources.parse([f"books={folder}/a.txt:2", str(folder / "b.txt")]),
            settings=SETTINGS,
            cleaning=asdict(CleaningSettings()),
            vocabulary="a" * 64,
            add=add,
        )


def test_a_file_is_asked_for_its_checksum_once(folder, monkeypatch):
    asked, real = [], storage.checksum
    monkeypatch.setattr(storage, "checksum", lambda path: asked.append(path) or real(path))
    make(folder, ["a.txt", "c.txt"], passes=2)
    assert sorted(path[-5:] for path in asked) == ["a.txt", "b.txt", "c.txt"]
    (folder / "b.txt").write_text("other")
    with pytest.raises(UserError, match=r"b.txt has changed since.*\(10 bytes, .*; now 5, "):
        make(folder, ["c.txt"], passes=2)
    with pytest.raises(UserError, match=r"b.txt has changed since.*\(10 bytes, .*; now 5, "):
        make(folder, ["b.txt"], passes=2)


def test_a_data_set_of_an_earlier_version_was_made_without_what_came_later(folder):
    """Cleaning, settings and entries of the manifest that it does not know are as they are by default."""

    def earlier(content):
        del content["cleaning"]["drop_near_duplicates"], content["settings"]["wrapped_lines"]
        del content["revision"], content["removed_examples"]

    edited(folder, earlier)
    assert make(folder, ["a.txt", "b.txt"], add=False).inputs == ()
    assert [file.path[-5:] for file in make(folder, ["c.txt"]).inputs] == ["c.txt"]
    with pytest.raises(UserError, match="made with drop_near_duplicates False, True is asked for"):
        make(folder, ["c.txt"], cleaning=CleaningSettings(drop_near_duplicates=True))


def test_a_data_set_of_a_later_version_is_not_added_to_as_if_it_were_of_this_one(folder):
    edited(folder, lambda content: content["cleaning"].update(drop_verse=True))
    with pytest.raises(UserError, match="made with drop_verse True, None is asked for"):
        make(folder, ["c.txt"])


class Counted(list):
    """A list that tells how often it was gone through."""

    times = 0

    def __iter__(self) -> Iterator:
        Counted.times += 1
        return super().__iter__()


def test_what_is_asked_for_with_every_file_is_found_once():
    before = manifest(Counted([{"part": 0}, {"part": 4}]))
    todo = Plan(SETTINGS, {}, "", (), (), {}, before)
    assert [todo.new_part for _ in range(3)] == [5, 5, 5]
    assert Counted.times == 1
