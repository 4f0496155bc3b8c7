"""Sentences from files: which there are, how they are counted, and the same sample however files are cut."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlnet import sampling, storage
from xlnet.census import Census
from xlnet.corpus import documents
from xlnet.sampling import Plan


def listed(paths: list[Path], sources: list[int] | None = None) -> list[tuple[int, storage.File]]:
    files = [storage.File(str(path), path.stat().st_size) for path in paths]
    return list(zip(sources or [0] * len(files), files, strict=True))


def plan(size: int = 25, **changes) -> Plan:
    return Plan(**{"size": size, "seed": 3, "weights": (1.0,)} | changes)


@pytest.fixture
def parts() -> list[str]:
    """Documents of two or three sentences."""
    return ["\n".join(f"sentence {d}.{s}" for s in range(2 + d % 2)) for d in range(40)]


def test_the_sample_does_not_depend_on_the_files(parts, tmp_path):
    whole = tmp_path / "whole.txt"
    whole.write_text("\n\n".join(parts) + "\n")
    halves = [tmp_path / "b.txt", tmp_path / "a.txt"]
    halves[0].write_text("\n\n".join(parts[:7]))
    halves[1].write_text("\n\n".join(reversed(parts[7:])))
    sample, _ = sampling.draw(listed([whole]), plan())
    again, _ = sampling.draw(listed(halves), plan())
    assert list(sample) == list(again)
    assert len(set(sample)) == 25
    other, _ = sampling.draw(listed([whole]), plan(seed=4))
    assert set(other) != set(sample)


def test_a_larger_sample_holds_the_smaller(parts, tmp_path):
    (tmp_path / "a.txt").write_text("\n\n".join(parts))
    files = listed([tmp_path / "a.txt"])
    small, large, every = ({*sampling.draw(files, plan(size))[0]} for size in (10, 30, 1000))
    assert small < large < every
    assert len(every) == 100


@given(limit=st.floats(0, 3))
def test_a_limit_leaves_those_below_it(limit):
    read = [documents.Document([f"line {n}.{m}" for m in range(3)], "a", 1) for n in range(20)]
    census, same = Census(), Census()
    (every,) = sampling.blocks(iter(read), plan(), source=0, census=census)
    (some,) = sampling.blocks(iter(read), plan(), source=0, census=same, limit=limit)
    expected = [text for text, priority in zip(every, every.priorities, strict=True) if priority <= limit]
    assert list(some) == expected
    assert same.to_bytes() == census.to_bytes()
    assert census.sentences == len(every) == 60


def test_blocks_do_not_change_the_sample(parts, tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("\n\n".join(parts))
    files = listed([tmp_path / "a.txt"])
    sample, (census,) = sampling.draw(files, plan())
    monkeypatch.setattr(sampling, "BLOCK", 50)
    progress: list[int] = []
    again, (same,) = sampling.draw(files, plan(), progress=progress.append)
    assert list(again) == list(sample)
    assert same.to_bytes() == census.to_bytes()
    assert progress == sorted(progress)
    assert len(progress) > 10
    assert progress[-1] == 100


def test_each_source_is_counted_apart(tmp_path):
    (tmp_path / "a.txt").write_text("one  line\n\n\ntwo ’\n" + "x" * 5000 + "\n", encoding="utf-8")
    (tmp_path / "b.jsonl").write_text('{"text": "Ünder"}\n{}\nno\n{"text": "\\ud800"}\n', encoding="utf-8")
    files = listed([tmp_path / "a.txt", tmp_path / "b.jsonl"], [0, 1])
    sample, (first, second) = sampling.draw(files, plan(weights=(1.0, 2.0)))
    assert sorted(sample) == ["Under", "one line", "two ’"]
    assert first.amounts() == {"documents": 2, "sentences": 2, "characters": 13, "text_bytes": 15, "left_out": 1}
    assert second.amounts() == {"documents": 1, "sentences": 1, "characters": 5, "text_bytes": 5, "left_out": 0}
    assert first.dead_letters == {}
    assert sum(second.dead_letters.values()) == 3
    assert first.alphabet() == {" ": 2, "e": 2, "i": 1, "l": 1, "n": 2, "o": 2, "t": 1, "w": 1, "’": 1}
    assert sorted(zip(sample, sample.sources.tolist(), strict=True)) == [("Under", 1), ("one line", 0), ("two ’", 0)]


def test_text_is_normalised_as_the_plan_says(tmp_path):
    (tmp_path / "a.txt").write_text("Élan  ``so''\n", encoding="utf-8")
    files = listed([tmp_path / "a.txt"])
    assert list(sampling.draw(files, plan())[0]) == ['Elan "so"']
    assert list(sampling.draw(files, plan(lower=True, keep_accents=True))[0]) == ['élan "so"']


@given(line=st.lists(st.text("ab", min_size=1, max_size=3000), min_size=1, max_size=9).map(" ".join))
def test_long_lines_are_cut_at_spaces(line):
    parts = sampling.cut(line)
    assert " ".join(parts) == line
    assert all(len(part) <= sampling.CUT or " " not in part for part in parts)


@given(line=st.text("é ", max_size=5000))
def test_only_words_that_are_too_long_are_left_out(line):
    census = Census()
    parts = sampling.fitting(line, census)
    longest = max(map(len, line.split(" ")))
    assert all(0 < len(part.encode()) <= sampling.LONGEST_SENTENCE for part in parts)
    assert (census.left_out > 0) == (longest * 2 > sampling.LONGEST_SENTENCE)


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 4.0), (0.1, 100.0)])
def test_a_limit_lets_through_what_is_wanted(weights):
    plan = Plan(1000, 0, weights)
    counts = [50_000.0] * len(weights)
    limits = [sampling.limit_for(plan, counts, margin=margin) for margin in (1.0, 1.5, 10.0)]
    assert all(first < second for first, second in pairwise(limits))
    generator = np.random.default_rng(0)
    through = sum((generator.exponential(size=50_000) / weight <= limits[0]).sum() for weight in weights)
    assert 1000 <= through < 1000 + 13 * np.sqrt(1000)
    assert sampling.limit_for(plan, [1000 / len(weights)] * len(weights)) == np.inf
