import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines import preprocess
from xlnet.corpus import tokenized
from xlnet.corpus.cleaning import CleaningSettings
from xlnet.corpus.settings import CorpusSettings

SMALL = CorpusSettings(sequence_length=64, reuse_length=32, permutation_size=32, predictions=10, shards=3)
PARAGRAPHS = CleaningSettings(drop_duplicate_paragraphs=True)
NEAR = CleaningSettings(drop_near_duplicates=True)


def run(inputs, output, vocabulary, cleaning, **options):
    settings = options.pop("settings", SMALL)
    return preprocess.run(
        list(map(str, inputs)), str(output), vocabulary=vocabulary, settings=settings, cleaning=cleaning, **options
    )


def shards(folder):
    return {path.name: path.read_bytes() for path in Path(folder).rglob("*.tfrecord")}


def write(path, pages):
    path.write_text("\n\n".join("\n".join(page) for page in pages) + "\n")
    return path


@pytest.fixture(scope="module")
def long_pages(pages):
    return [page for page in pages if sum(map(len, page)) > 1500][:16]


@pytest.fixture(scope="module")
def altered(long_pages):
    """Copies in which one word of a hundred is another."""
    chance = random.Random(0)

    def alter(line):
        return " ".join("otherwise" if chance.random() < 0.01 else word for word in line.split())

    return [[alter(line) for line in page] for page in long_pages[:8]]


def test_paragraphs_that_come_twice_are_left_out_once(long_pages, vocabulary, tmp_path):
    plain = [[f"Only in {n}, line {k}: {line}" for k, line in enumerate(page)] for n, page in enumerate(long_pages)]
    notice = "All rights reserved, and nothing of this may be copied by any means whatever."
    noted = [[*page, notice] for page in plain]
    # The notice is kept in one document, whichever has the smallest key; its text is what it was there.
    one = run([write(tmp_path / "a.txt", noted)], tmp_path / "out", vocabulary, PARAGRAPHS)
    assert one.removed["duplicate paragraph"] == {
        "documents": 0,
        "paragraphs": len(plain) - 1,
        "characters": (len(plain) - 1) * len(notice),
        "pieces": 0,
    }
    assert one.counts["documents_out"] == len(plain)
    assert one.counts["characters"] == sum(len(line) for page in plain for line in page) + len(notice)
    examples = [json.loads(line) for line in (tmp_path / "out/removed.jsonl").read_text().splitlines()]
    assert {(example["reason"], example["excerpt"]) for example in examples} == {("duplicate paragraph", notice[:80])}
    assert len(examples) == min(20, len(plain) - 1)


def test_a_document_of_nothing_but_repeats_is_left_out(long_pages, vocabulary, tmp_path):
    every = CleaningSettings(drop_duplicate_paragraphs=True, shortest_duplicate=0)
    made = run([write(tmp_path / "a.txt", [*long_pages, long_pages[0]])], tmp_path / "out", vocabulary, every)
    removed = made.removed["duplicate paragraph"]
    assert removed["documents"] == made.counts["documents_removed"] >= 1
    assert made.counts["documents_in"] == len(long_pages) + 1


def test_near_duplicates_are_left_out_and_others_stay(long_pages, altered, vocabulary, tmp_path):
    alone = run([write(tmp_path / "a.txt", long_pages)], tmp_path / "alone", vocabulary, NEAR)
    assert alone.removed == {}
    both = run([write(tmp_path / "b.txt", [*long_pages, *altered])], tmp_path / "both", vocabulary, NEAR)
    assert both.removed["near duplicate"]["documents"] == len(altered)
    assert both.counts["documents_in"] == len(long_pages) + len(altered)
    assert both.counts["documents_out"] == len(long_pages)
    assert both.counts["documents_removed"] == len(altered)


@pytest.mark.slow
@pytest.mark.parametrize("cleaning", [PARAGRAPHS, NEAR])
def test_what_is_left_out_depends_on_the_text_alone(cleaning, long_pages, altered, vocabulary, tmp_path, monkeypatch):
    every = [*long_pages, *altered, *long_pages[:3]]
    run([write(tmp_path / "a.txt", every)], tmp_path / "one", vocabulary, cleaning)
    shuffled = random.Random(1).sample(every, len(every))
    parts = [write(tmp_path / f"part-{n}.txt", shuffled[n::3]) for n in range(3)]
    run(parts, tmp_path / "workers", vocabulary, cleaning, workers=2)
    assert shards(tmp_path / "workers") == shards(tmp_path / "one")
    monkeypatch.setattr(preprocess, "SMALLEST", 1)
    monkeypatch.setattr(preprocess, "SPLIT", 3000)
    run([tmp_path / "a.txt"], tmp_path / "splits", vocabulary, cleaning)
    assert shards(tmp_path / "splits") == shards(tmp_path / "one")


def test_further_passes_lose_what_the_first_lost(long_pages, altered, vocabulary, tmp_path):
    one = write(tmp_path / "a.txt", [*long_pages, *altered])
    other = write(tmp_path / "b.txt", altered)
    run([one], tmp_path / "out", vocabulary, NEAR)
    added = run([other], tmp_path / "out", vocabulary, NEAR, add=True, settings=replace(SMALL, passes=2))
    sizes = {(shard.pass_index, shard.part): 0 for shard in added.shards}
    for shard in added.shards:
        sizes[shard.pass_index, shard.part] += shard.documents
    n, m = len(long_pages), len(altered)
    assert sizes == {(0, 0): n, (1, 0): n, (0, 1): m, (1, 1): m}


def test_filters_count_what_they_take(long_pages, vocabulary, tmp_path):
    bad = [["short"], ["#$%& @@@ ### +++ === ###"] * 40]
    clean = CleaningSettings(least_characters=20, most_symbols=0.5, repair_unicode=True)
    mended = ["The word schÃ¶n was decoded wrongly, as many are in text from elsewhere."]
    made = run([write(tmp_path / "a.txt", [*long_pages, *bad, mended])], tmp_path / "out", vocabulary, clean)
    assert {reason: counts["documents"] for reason, counts in made.removed.items()} == {
        "repaired": 1,
        "symbols": 1,
        "too short": 1,
    }
    assert made.counts["documents_in"] == len(long_pages) + 3
    assert made.counts["documents_out"] == len(long_pages) + 1
    assert made.counts["documents_removed"] == 2


def test_a_near_duplicate_that_goes_takes_no_paragraph_along(long_pages, vocabulary, tmp_path):
    """What it shares with another document stays in that one, also where it would have been the one to keep it."""
    notice = "All rights reserved, and nothing of this may be copied by any means whatever."
    first, other = ([f"In {n}, line {k}: {line}" for k, line in enumerate(long_pages[n])] for n in (0, 1))
    noted, other = [*first, notice], [*other, notice]

    def order(seed):
        return sorted((0, 1, 2), key=lambda n: tokenized.document_key([first, noted, other][n], seed=seed))

    seed = next(seed for seed in range(100) if order(seed) == [0, 1, 2])
    both = CleaningSettings(drop_duplicate_paragraphs=True, drop_near_duplicates=True)
    text = write(tmp_path / "a.txt", [noted, first, other])
    made = run([text], tmp_path / "out", vocabulary, both, settings=replace(SMALL, seed=seed, shards=1))
    assert {reason: of["documents"] for reason, of in made.removed.items()} == {"near duplicate": 1}
    assert made.counts["characters"] == sum(len(line) for page in (first, other) for line in page)
