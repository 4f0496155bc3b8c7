"""The estimate against the job: exact where all of the input was looked at, near where some of it was."""

import gzip
import json
from pathlib import Path

import pytest

from pipelines import estimate, preprocess
from pipelines.probe import RANGES, probes
from xlnet import storage
from xlnet.corpus import documents
from xlnet.errors import UserError

pytestmark = pytest.mark.slow

PRICES = {"currency": "EUR", "vcpu_hour": 1, "memory_gb_hour": 0.1, "disk_gb_hour": 0.01} | {
    "shuffle_gb": 2,
    "storage_gb_month": 3,
}


@pytest.fixture(scope="module")
def books(pages, tmp_path_factory) -> Path:
    """A folder of 6 MB: plain, packed and JSON lines."""
    folder = tmp_path_factory.mktemp("books")
    for number in range(4):
        parts = [f"copy {number}.{copy}.{n}\n" + "\n".join(page) for copy in range(9) for n, page in enumerate(pages)]
        lines = [json.dumps({"id": n, "text": part}) for n, part in enumerate(parts)]
        (folder / f"{number}.txt").write_text("\n\n".join(parts) + "\n")
        (folder / f"{number}.jsonl").write_text("\n".join(lines) + "\n")
        (folder / f"{number}.txt.gz").write_bytes(gzip.compress(("\n\n".join(parts) + "\n").encode()))
    return folder


def test_what_was_all_looked_at_is_exact(text, vocabulary, small_corpus, tmp_path):
    (tmp_path / "bad.txt").write_bytes(text[2].read_bytes() + b"\n\na\xff\n")
    inputs = [f"heavy={text[0]}:2", str(text[1]), str(tmp_path / "bad.txt")]
    made = preprocess.run(inputs, str(tmp_path / "data"), vocabulary=vocabulary, settings=small_corpus)
    found = estimate.run(inputs, vocabulary=vocabulary, settings=small_corpus)
    for name, count in {
        "documents": "documents_in",
        "dead_letters": "dead_letters",
        "characters": "characters",
        "pieces": "pieces",
    }.items():
        expected = made.counts[count] - (made.counts["dead_letters"] if count == "documents_in" else 0)
        assert found[name] == expected, name
    assert found["pieces_written"] == sum(shard.pieces for shard in made.shards)
    assert found["records"] == pytest.approx(made.counts["records"], rel=0.03)  # shards are not equally long
    assert found["output_bytes"] == pytest.approx(sum(shard.bytes for shard in made.shards), rel=0.03)
    assert found["bytes"] == sum(entry["bytes"] for entry in made.inputs)


@pytest.mark.parametrize("pattern", ["*.txt", "*.jsonl", "*.gz"])
def test_some_of_an_input_stands_for_all(books, vocabulary, small_corpus, pattern):
    inputs = [str(books / pattern)]
    whole = estimate.run(inputs, vocabulary=vocabulary, settings=small_corpus, sample_bytes=1 << 30)
    size = sum(file.bytes for file in storage.match(inputs))
    some = estimate.run(inputs, vocabulary=vocabulary, settings=small_corpus, sample_bytes=size // 4)
    assert some["sampled_pieces"] < whole["sampled_pieces"] / 2
    for name in ("pieces", "characters", "records", "output_bytes"):
        assert some[name] == pytest.approx(whole[name], rel=0.05), name
    assert some["documents"] == pytest.approx(whole["documents"], rel=0.25)
    assert some["shuffle_bytes"] == pytest.approx(whole["shuffle_bytes"], rel=0.1)


def test_a_sample_is_always_the_same(books):
    files = storage.match([str(books / "*.txt*")])
    found = []
    for order in (files, files[::-1]):
        with probes(sorted(order), size=100_000) as chosen:
            read = [list(documents.read(probe.split)) for probe in chosen]
            found.append([[item.lines for item in part] for part in read])
            assert len(chosen) <= RANGES
            assert sum(probe.covers for probe in chosen) < 120_000
    assert found[0] == found[1]
    assert all(found[0])


def test_passes_and_weights_are_written_more_often(text, vocabulary, small_corpus):
    from dataclasses import replace

    once = estimate.run([str(text[0])], vocabulary=vocabulary, settings=small_corpus)
    often = estimate.run([f"a={text[0]}:3"], vocabulary=vocabulary, settings=replace(small_corpus, passes=2))
    assert often["pieces"] == once["pieces"]
    assert often["shuffle_bytes"] == once["shuffle_bytes"]
    assert often["pieces_written"] == 6 * once["pieces_written"]
    assert often["records"] == pytest.approx(6 * once["records"], rel=0.1)


def test_shards_are_bounded_by_memory_and_by_the_batch(text, vocabulary, small_corpus, monkeypatch):
    inputs = [str(path) for path in text]
    found = estimate.run(inputs, vocabulary=vocabulary, settings=small_corpus, batch_rows=8)
    assert (found["shards_least"], found["shards_recommended"]) == (1, 4)
    many = estimate.run(inputs, vocabulary=vocabulary, settings=small_corpus, batch_rows=10**6)
    assert many["shards_recommended"] == many["pieces"] // (estimate.LEAST_WINDOWS * small_corpus.reuse_length)
    monkeypatch.setattr(estimate, "STREAM", 10_000)
    found = estimate.run(inputs, vocabulary=vocabulary, settings=small_corpus, batch_rows=8)
    assert found["shards_least"] == found["shards_recommended"] == -(-2 * found["pieces"] // 10_000)


def test_cost_and_workers_come_with_prices_and_a_deadline(text, vocabulary, small_corpus):
    inputs = [str(path) for path in text]
    plain = estimate.run(inputs, vocabulary=vocabulary, settings=small_corpus)
    assert not {"cost", "workers"} & set(plain)
    found = estimate.run(inputs, vocabulary=vocabulary, settings=small_corpus, prices=PRICES, deadline_hours=2)
    assert found["workers"] == 1
    assert found["cost"]["total"] > 0
    shown = estimate.rows(found)
    assert shown["workers"].startswith("1 for 0.08 hours, the deadline is 2")
    assert shown["cost"].endswith(")")
    assert "EUR" in shown["cost"]
    with pytest.raises(UserError, match=r"deadline_hours is 0\.001, 0\.08 is the least"):
        estimate.run(inputs, vocabulary=vocabulary, settings=small_corpus, deadline_hours=0.001)


@pytest.mark.parametrize(
    ("amount", "said"), [(12, "12 B"), (6_520_000, "6.52 MB"), (1.5e12, "1.5 TB"), (4e15, "4,000.0 TB")]
)
def test_sizes_are_read_by_people(amount, said):
    assert estimate.size(amount) == said


@pytest.mark.parametrize(("seconds", "said"), [(1.66, "1.7 s"), (3599, "3,599.0 s"), (36_000_000, "10,000.0 hours")])
def test_times_are_read_by_people(seconds, said):
    assert estimate.time_shown(seconds) == said
