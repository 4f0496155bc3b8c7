"""The data card: its numbers are the data set's, nothing of a corpus is taken for markup, browsers are content."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import markupsafe
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from xlnet import balance, card, plots, record_sample, storage, vocabulary_use
from xlnet.cli import main
from xlnet.corpus import layouts
from xlnet.corpus.manifest import COUNTS, Manifest
from xlnet.errors import UserError
from xlnet.record_sample import Sample
from xlnet.special_pieces import CLS, SEP
from xlnet.text import Tokenizer

HOSTILE = "<script>alert(1)</script><img src=http://127.0.0.1:9/x.png onerror='x()'>\u202e"
NONE = {"documents": 0, "paragraphs": 0, "characters": 0, "pieces": 0}


@pytest.fixture
def data(small_data, tmp_path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(small_data, tmp_path / "set"))


def write(data, **options) -> str:
    output = Path(data).parent / "card.html"
    card.write(str(output), data=str(data), **options)
    return output.read_text()


def change(data: Path, **changes) -> Manifest:
    changed = dataclasses.replace(Manifest.read(str(data)), **changes)
    (data / "manifest.json").write_bytes(changed.to_bytes())
    return changed


def put_lines(path: Path, lines: list[dict]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def letter(reason: str, number: int = 0, excerpt: str = "") -> dict:
    return {
        "path": f"gs://corpus/{number}.txt",
        "line": number,
        "reason": reason,
        "excerpt": excerpt or f"text {number}",
    }


def cells(page: str, row: str) -> list[str]:
    """The cells of the first row that begins with this name, as text."""
    found = re.search(
        rf"<tr[^>]*><t[hd][^>]*>{re.escape(str(markupsafe.escape(row)))}</t[hd]>(.*?)</tr>", page, re.DOTALL
    )
    assert found is not None, row
    return [re.sub("<.*?>", "", cell).strip() for cell in re.findall(r"<td[^>]*>(.*?)</td>", found[1], re.DOTALL)]


def weighed(data: Path) -> None:
    """A data set of two sources, with text that was left out."""
    manifest = Manifest.read(str(data))
    counts = {"documents_in": 5_000, "documents_removed": 900, "dead_letters": 4_060, "pieces_removed": 1_000}
    one = manifest.by_source[0]
    change(
        data,
        counts={**manifest.counts, **counts, "pieces": manifest.counts["pieces_in_pass"] + 3_500},
        sources=[*manifest.sources, {"name": HOSTILE, "weight": 0.5, "patterns": [HOSTILE]}],
        by_source=[one, {"name": HOSTILE, "documents": 7, "characters": 900, "pieces": 400, "unknown_pieces": 100}],
        removed={
            "duplicate document": {**NONE, "documents": 880, "pieces": 1_000},
            HOSTILE: {**NONE, "documents": 20, "characters": 4_321},
            "repaired": {**NONE, "paragraphs": 12},
        },
        dead_letter_reasons={"NUL byte": 60, HOSTILE: 4_000},
    )
    put_lines(data / "removed.jsonl", [letter(HOSTILE, number, HOSTILE) for number in range(30)])
    put_lines(data / "dead-letters.jsonl", [letter("NUL byte", number, HOSTILE) for number in range(30)])


def test_the_page_s_figures_are_the_manifest_s(small_data, tmp_path):
    card.write(str(tmp_path / "card.html"), data=small_data)
    page, manifest = (tmp_path / "card.html").read_text(), Manifest.read(small_data)
    for name in COUNTS:
        assert manifest.counts[name] == 0 or f"{manifest.counts[name]:,}" in page, name
    assert cells(page, "documents read")[0] == f"{manifest.counts['documents_in']:,}"
    assert cells(page, "in records")[0] == f"{manifest.counts['pieces_in_records']:,}"
    assert cells(page, balance.DROPPED["tail"])[0] == f"{manifest.dropped['tail']:,}"
    assert page.count("Adds up: ") == 2
    for shard in manifest.shards:
        assert cells(page, shard.file)[2:4] == [f"{shard.records:,}", f"{shard.documents:,}"]
        assert cells(page, shard.file)[-1] == shard.sha256
    for file in manifest.inputs:
        assert cells(page, file["path"])[-1] == file["crc32c"]
    assert cells(page, "manifest.json") == [storage.sha256(storage.join(small_data, "manifest.json"))]
    assert cells(page, "vocabulary") == [manifest.vocabulary["sha256"]]
    for library, version in manifest.libraries.items():
        assert f"<dt>{library}</dt><dd>{version}</dd>" in page
    assert "<dt>sequence_length</dt><dd>32</dd>" in page


def test_the_vocabulary_s_use_is_that_of_the_counts(small_data, tmp_path):
    card.write(str(tmp_path / "card.html"), data=small_data)
    page = (tmp_path / "card.html").read_text()
    counts = np.load(Path(small_data) / "piece-counts.npy")
    assert cells(page, "met in the text") == [f"{(counts > 0).sum()}"]
    assert cells(page, "met fewer than 100 times") == [f"{((counts > 0) & (counts < 100)).sum()}"]
    chips = re.findall(r'title="([\d,]+) times"><bdi>(.*?)</bdi>', page)
    tokenizer = Tokenizer(storage.join(small_data, "spiece.model"))
    first = tokenizer.piece(int(counts.argmax())).replace("▁", "·")
    assert chips[0] == (f"{counts.max():,}", str(markupsafe.escape(first)))
    assert len(chips) == 60


def test_shares_of_the_vocabulary(small_data):
    tokenizer = Tokenizer(storage.join(small_data, "spiece.model"))
    counts = np.zeros(tokenizer.size, np.int64)
    counts[[20, 30, 40, 50]] = 500, 480, 15, 5
    use = vocabulary_use.measure(counts, tokenizer)
    assert (use["used"], use["rare"], use["half"], use["most"]) == (4, 2, 1, 3)
    assert use["never"] == tokenizer.size - 9 - 4
    assert [entry["share"] for entry in use["frequent"]] == [0.5, 0.48, 0.015, 0.005]
    assert len(use["unused"]) == vocabulary_use.UNUSED
    assert vocabulary_use.measure(np.zeros_like(counts), tokenizer)["plot"] is None


def test_what_was_left_out_is_shown_by_reason_with_a_few_examples(data):
    weighed(data)
    page = write(data)
    assert cells(page, "duplicate document") == ["880", "–", "–", "1,000"]
    assert cells(page, "NUL byte")[-1] == "60"
    assert "All 4,060 are in" in page
    assert re.search(r"NUL byte <span class=\"quiet\">20 of 60</span>", page)
    assert page.count(":19</td>") == 2  # the twentieth example of each of two reasons
    assert ":20</td>" not in page


def test_of_many_dead_letters_the_first_are_read(data):
    change(data, dead_letter_reasons={"NUL byte": 9_999, "broken JSON": 1})
    with (data / "dead-letters.jsonl").open("w") as stream:
        stream.writelines(json.dumps(letter("NUL byte", number)) + "\n" for number in range(card.DEAD_LETTERS_READ))
        stream.write("what nobody reads is no fault\n" * 9_500)
    page = write(data)
    assert "text 19<" in page
    assert "20 of 9,999" in page
    assert "Examples: broken JSON" not in page


def test_accounts_that_do_not_add_up_are_told(data):
    manifest = Manifest.read(str(data))
    change(data, counts={**manifest.counts, "documents_in": 12_345})
    page = write(data)
    assert page.count("Does not add up: ") == 1
    assert "is not 12,345." in page


def test_pieces_of_the_text_become_those_of_a_pass(data):
    weighed(data)
    manifest = Manifest.read(str(data))
    steps = balance.steps_to_a_pass(manifest)
    assert [step.count for step in steps] == [manifest.counts["pieces"], -1_000, -2_500]
    assert sum(step.count for step in steps) == manifest.counts["pieces_in_pass"]
    assert cells(write(data), "by the sources' weights")[0] == "−2,500"


def test_sources_stand_beside_each_other(data):
    weighed(data)
    page = write(data)
    assert "Unknown pieces by source" in page
    assert cells(page, HOSTILE)[:2] == ["0.5", "0"]
    assert "25.000" in page


def test_what_is_not_there_leaves_no_part_and_no_plot(data):
    manifest = Manifest.read(str(data))
    page = write(data)
    assert page.count("<svg") == 5
    for absent in ('id="left-out"', "Unknown pieces by source", "Sources", "removed as duplicates", "part 2"):
        assert absent not in page, absent
    change(data, shards=[shard for shard in manifest.shards if shard.shard == 0], document_lengths={})
    assert write(data).count("<svg") == 3
    change(data, shards=[dataclasses.replace(shard, records=0) for shard in manifest.shards[:1]])
    page = write(data)
    assert page.count("<svg") == 1
    assert 'id="record"' not in page
    assert "Measured on" not in page


def test_passes_and_parts_are_rows(data):
    manifest = Manifest.read(str(data))
    again = [dataclasses.replace(shard, pass_index=1) for shard in manifest.shards]
    added = [dataclasses.replace(shard, part=1, shard=shard.shard + 6) for shard in manifest.shards[:2]]
    change(
        data, shards=[*manifest.shards, *added, *again], inputs=[*manifest.inputs, {**manifest.inputs[0], "part": 1}]
    )
    page = write(data)
    rows = re.findall(r"<tr><td class=\"n\">(\d)</td><td class=\"n\">(\d)</td><td class=\"n\">(\d)</td>", page)
    assert rows == [("1", "1", "6"), ("1", "2", "2"), ("2", "1", "6")]
    assert "Input files, part 2" in page


def test_nothing_of_the_inputs_becomes_markup(data):
    weighed(data)
    (data.parent / HOSTILE.replace("/", "|")).mkdir()
    moved = Path(shutil.move(data, data.parent / HOSTILE.replace("/", "|") / "set"))
    page = write(moved)
    assert "<script" not in page
    assert "<img" not in page
    assert page.count(str(markupsafe.escape(HOSTILE))) > 40
    assert "&lt;sep&gt;" in page


def test_same_data_set_same_bytes(small_data, tmp_path):
    for name in ("one.html", "two.html"):
        card.write(str(tmp_path / name), data=small_data)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("manifest.json", None),
        ("spiece.model", b"no model"),
        ("piece-counts.npy", b"no array"),
        ("piece-counts.npy", None),
        ("dead-letters.jsonl", b'{"path": \n'),
        ("dead-letters.jsonl", b'{"path": "a"}\n'),
        ("removed.jsonl", b"[]\n"),
        ("shard", b"cut"),
        ("shard", b""),
    ],
)
def test_missing_or_broken_parts_are_named(data, file, content):
    weighed(data)
    path = data / (Manifest.read(str(data)).shards[2].file if file == "shard" else file)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as raised:
        write(data)
    assert str(path if file != "manifest.json" else data) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (data.parent / "card.html").exists()


def test_an_output_that_is_a_folder_is_refused(small_data, tmp_path):
    with pytest.raises(UserError, match="is a folder"):
        card.write(str(tmp_path), data=small_data)


def test_the_command_writes_it_beside_the_summary(small_data, tmp_path, capsys):
    assert main(["inspect", small_data, "--card", str(tmp_path / "card.html")]) == 0
    out = capsys.readouterr().out
    assert out.endswith(f"\ncard {tmp_path / 'card.html'}\n")
    assert "record 0" not in out
    assert (tmp_path / "card.html").read_text().startswith("<!doctype html>")
    assert main(["inspect", small_data, "--card", str(tmp_path), "--records", "1"]) == 2
    assert "record 0" in capsys.readouterr().out


def sample_of(is_target, is_start=None) -> Sample:
    starts = np.zeros_like(is_target) if is_start is None else is_start
    return Sample(is_target, starts, np.zeros(len(is_target), bool), shards=1, each=len(is_target))


RECORDS = st.integers(1, 40).flatmap(lambda length: hnp.arrays(bool, (3, length)))


@settings(deadline=None)
@given(RECORDS, st.randoms(use_true_random=False))
def test_runs_are_those_that_a_loop_finds(is_target, random):
    is_start = np.array([[random.random() < 0.5 for _ in row] for row in is_target])
    found: list[tuple[int, int]] = []
    for target, start in zip(is_target, is_start, strict=True):
        runs = re.finditer("1+", "".join("01"[value] for value in target.astype(int)))
        found += [(run.end() - run.start(), max(1, int(start[run.start() : run.end()].sum()))) for run in runs]
    in_pieces, in_words = record_sample.span_lengths(sample_of(is_target, is_start))
    assert sorted(size for size, count in in_pieces.items() for _ in range(count)) == sorted(size for size, _ in found)
    assert sorted(size for size, count in in_words.items() for _ in range(count)) == sorted(size for _, size in found)


@settings(deadline=None)
@given(st.integers(2, 700).flatmap(lambda length: st.tuples(st.just(length), st.integers(1, length - 1))), st.data())
def test_every_position_is_in_one_bin(lengths, draw):
    length, reuse_length = lengths
    is_target = draw.draw(hnp.arrays(bool, (2, length)))
    bins = record_sample.target_positions(sample_of(is_target), reuse_length=reuse_length)
    assert [one.start for one in bins] == [0, *(one.stop for one in bins[:-1])]
    assert bins[-1].stop == length
    assert reuse_length in [one.start for one in bins]
    assert sum(one.share * (one.stop - one.start) for one in bins) == pytest.approx(is_target.mean(axis=0).sum())
    assert len(bins) <= record_sample.BINS + 1


def test_a_sample_is_the_beginning_of_each_shard(small_data):
    manifest, tokenizer = Manifest.read(small_data), Tokenizer(storage.join(small_data, "spiece.model"))
    sample = record_sample.read(manifest, tokenizer, records=60)
    assert (sample.records, sample.shards, sample.each) == (60, 6, 10)
    rows = iter(range(60))
    for shard in manifest.shards:
        path = storage.join(small_data, shard.file)
        for record, row in zip(layouts.read(path, manifest.settings), [next(rows) for _ in range(10)], strict=False):
            text = ~np.isin(record["input"], (SEP, CLS))
            np.testing.assert_array_equal(sample.is_target[row], record["is_masked"].astype(bool) & text)
            np.testing.assert_array_equal(sample.is_start[row], tokenizer.is_word_start[record["input"]])
            assert sample.follows[row] == record["label"][0]
    assert sample.is_target.sum() == 60 * manifest.settings.predictions


def test_a_sample_of_fewer_records_than_shards_is_spread_over_them(small_data):
    manifest, tokenizer = Manifest.read(small_data), Tokenizer(storage.join(small_data, "spiece.model"))
    few = record_sample.read(manifest, tokenizer, records=3)
    assert (few.records, few.shards, few.each) == (3, 3, 1)
    path = storage.join(small_data, manifest.shards[4].file)
    third = next(layouts.read(path, manifest.settings))
    np.testing.assert_array_equal(few.is_target[2], third["is_masked"].astype(bool))
    whole = record_sample.read(manifest, tokenizer, records=10**6)
    assert whole.records == manifest.counts["records"]
    assert record_sample.read(manifest, tokenizer, records=0) is None


def test_the_page_says_what_was_measured(data):
    page = write(data, records=60)
    total = Manifest.read(str(data)).counts["records"]
    found = rf"Measured on 60 of the {total:,} records: the first 10 of\s+each of the 6 shards"
    assert re.search(found, page)
    assert re.search(
        r"Measured on 3 of .* records: the first 1 of\s+3 of the 6 shards, evenly spread", write(data, records=3)
    )


def test_bars_stand_at_their_places_from_zero():
    rows = [plots.Bars("a <b>", [1.0, 2.0], [0, 1]), plots.Bars("c", [3.0, 0.0], [0, 1])]
    svg = plots.bars(rows, ["x<y", "z"], name="n", label='"q"', unit="u", axis="at", level=plots.Level("mean", 1.5))
    assert "a &lt;b&gt;" in svg
    assert "x&lt;y" in svg
    assert 'aria-label="&#34;q&#34;"' in svg
    assert "#0" not in svg.replace("url(#", "")
    paths = re.findall(r'id="n-patch_\d+">\s*<path d="([^"]*)"', svg)
    edges = [[float(y) for y in re.findall(r"[ML] ?[\d.]+ ([\d.]+)", path)] for path in paths]
    one, two, three, none = [max(edge) - min(edge) for edge in edges[2:6]]  # behind the drawing's and the axes' own
    assert (one, two, three) == pytest.approx((one, 2 * one, 3 * one), rel=1e-3)
    assert none == 0 < one


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_opens_it_without_complaint_request_or_overflow(data, browser, width):
    weighed(data)
    long = "gs://" + "a-rather-long-name-" * 12
    manifest = Manifest.read(str(data))
    change(
        data,
        inputs=[{**entry, "path": long} for entry in manifest.inputs],
        dead_letter_reasons={**manifest.dead_letter_reasons, long: 1},
    )
    write(data)
    said, asked, wide = browser.open((data.parent / "card.html").as_uri(), width=width)
    assert said == []
    assert asked == []
    assert wide <= width
