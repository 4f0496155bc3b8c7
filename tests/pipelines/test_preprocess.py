import contextlib
import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
import sentencepiece

from pipelines import job, output, preprocess, running, steps
from xlnet import storage
from xlnet.corpus import accounts, documents, layouts, plan, shards, tokenized
from xlnet.corpus.cleaning import CleaningSettings
from xlnet.corpus.manifest import Manifest
from xlnet.corpus.settings import CorpusSettings
from xlnet.errors import UserError
from xlnet.special_pieces import CLS, EOD, SEP
from xlnet.text import Tokenizer

SMALL = CorpusSettings(sequence_length=64, reuse_length=32, permutation_size=32, predictions=10, shards=3)


def run(inputs, output, vocabulary, settings=SMALL, **options):
    return preprocess.run(list(map(str, inputs)), str(output), vocabulary=vocabulary, settings=settings, **options)


def content(folder):
    """Every file of a data set but the manifest, by name."""
    paths = [path for path in Path(folder).rglob("*") if path.is_file() and path.name != "manifest.json"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def data(text, vocabulary, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "set"
    run(text, folder, vocabulary)
    return folder


def encoded(pages, vocabulary):
    tokenizer = Tokenizer(vocabulary)
    return [np.concatenate([tokenizer.encode_lines(page)[0], [EOD]]).tolist() for page in pages]


def test_every_piece_is_in_a_record_or_counted_as_dropped(data, pages, vocabulary):
    manifest = Manifest.read(str(data))
    manifest.verify()
    left = {tuple(document) for document in encoded(pages, vocabulary)}
    assert len(left) == len(pages)
    dropped = 0
    for shard in manifest.shards:
        rows = list(layouts.read(str(data / shard.file), manifest.settings))
        assert len(rows) == shard.records
        stream = np.concatenate([row["input"][:32] for row in rows[0::2]])
        assert stream.size + shard.pieces_dropped == shard.pieces
        ends = np.flatnonzero(stream == EOD) + 1
        *whole, tail = np.split(stream, ends)
        for document in whole:
            left.remove(tuple(document.tolist()))
        unfinished = [document for document in left if document[: tail.size] == tuple(tail.tolist())]
        assert unfinished
        dropped += shard.pieces_dropped
        backward = np.concatenate([row["input"][:32] for row in rows[1::2]])
        # Both directions begin at their own end of the same stream.
        overlap = stream.size + backward.size - shard.pieces
        np.testing.assert_array_equal(backward[::-1][:overlap], stream[stream.size - overlap :])
    assert sum(map(len, left)) >= dropped  # what is left stands in the streams' tails


def test_the_counts_are_right(data, pages, text, vocabulary):
    manifest = Manifest.read(str(data))
    documents = encoded(pages, vocabulary)
    counts = manifest.counts
    assert counts["documents_in"] == counts["documents_out"] == len(pages)
    assert counts["dead_letters"] == 0
    assert counts["characters"] == sum(len(line) for page in pages for line in page)
    assert counts["pieces"] == sum(map(len, documents))
    assert counts["pieces"] == counts["pieces_in_records"] + counts["pieces_dropped"]
    assert counts["records"] == sum(shard.records for shard in manifest.shards)
    piece_counts = np.load(data / manifest.piece_counts)
    np.testing.assert_array_equal(piece_counts, np.bincount(np.concatenate(documents), minlength=500))
    assert counts["unknown_pieces"] == piece_counts[0]
    powers = Counter(str(1 << len(document).bit_length() - 1) for document in documents)
    assert manifest.document_lengths == dict(powers)
    assert counts["documents_removed"] == counts["pieces_removed"] == 0
    assert counts["pieces_in_pass"] == counts["pieces"]
    assert sum(manifest.dropped.values()) == counts["pieces_dropped"]
    [source] = manifest.by_source
    assert source == {"name": "text", "documents": len(pages)} | {
        name: counts[name] for name in ("characters", "pieces", "unknown_pieces")
    }
    assert [entry["path"] for entry in manifest.inputs] == [str(path) for path in text]
    assert [entry["crc32c"] for entry in manifest.inputs] == [storage.checksum(str(path)) for path in text]
    assert [entry["bytes"] for entry in manifest.inputs] == [path.stat().st_size for path in text]
    assert sum(shard.documents for shard in manifest.shards) == len(pages)
    assert all((data / shard.file).stat().st_size == shard.bytes for shard in manifest.shards)


def test_records_have_their_features(data):
    manifest = Manifest.read(str(data))
    for shard in manifest.shards:
        for row in layouts.read(str(data / shard.file), manifest.settings):
            assert sorted(row) == ["input", "is_masked", "label", "order", "seg_id"]
            assert {name: values.size for name, values in row.items() if values.size != 64} == {"label": 1}
            is_target, is_functional = row["is_masked"].astype(bool), np.isin(row["input"], (SEP, CLS))
            assert is_target.sum() == 10
            assert not (is_target & is_functional).any()
            for half in (slice(32), slice(32, None)):
                ranked = (is_target | is_functional)[half]
                assert sorted(row["order"][half][ranked]) == list(range(ranked.sum()))


def test_the_bytes_depend_on_the_documents_alone(data, pages, text, vocabulary, tmp_path):
    """Not on how files are listed, cut, or packed."""
    expected = content(data)
    run([text[2], text[0], text[1], text[0]], tmp_path / "listed", vocabulary)
    assert content(tmp_path / "listed") == expected
    shuffled = random.Random(0).sample(pages, len(pages))
    (tmp_path / "one.txt").write_text("\n\n\n".join("\n".join(page) for page in shuffled))
    run([tmp_path / "one.txt"], tmp_path / "joined", vocabulary)
    assert content(tmp_path / "joined") == expected
    lines = [json.dumps({"text": "\n".join(page)}) for page in shuffled]
    (tmp_path / "a.jsonl").write_text("\n".join(lines[:10]))
    (tmp_path / "b.jsonl").write_text("\n".join(lines[10:]))
    run([tmp_path / "*.jsonl"], tmp_path / "lines", vocabulary)
    assert content(tmp_path / "lines") == expected


def test_small_blocks_do_not_show(data, text, vocabulary, tmp_path, monkeypatch):
    monkeypatch.setattr(tokenized, "BLOCK", 500)
    run(text, tmp_path / "out", vocabulary)
    assert content(tmp_path / "out") == content(data)


@pytest.mark.slow
def test_two_workers_write_the_same_bytes(data, text, vocabulary, tmp_path):
    run(text[::-1], tmp_path / "out", vocabulary, workers=2)
    assert content(tmp_path / "out") == content(data)
    assert Manifest.read(str(tmp_path / "out")) == Manifest.read(str(data))


def test_another_seed_is_other_data_of_the_same_text(data, text, vocabulary, tmp_path):
    other = run(text, tmp_path / "out", vocabulary, replace(SMALL, seed=1))
    assert other.counts["pieces"] == Manifest.read(str(data)).counts["pieces"]
    assert {shard.sha256 for shard in other.shards}.isdisjoint(s.sha256 for s in Manifest.read(str(data)).shards)


def test_every_pass_has_all_the_text_in_another_order(data, text, vocabulary, tmp_path):
    once = Manifest.read(str(data))
    twice = run(text, tmp_path / "out", vocabulary, replace(SMALL, passes=2))
    assert twice.counts["records"] == 2 * once.counts["records"]
    assert {k: v for k, v in twice.counts.items() if k != "records"} == {
        k: v for k, v in once.counts.items() if k != "records"
    }
    assert [shard.pass_index for shard in twice.shards] == [0, 0, 0, 1, 1, 1]
    assert [shard.sha256 for shard in twice.shards[:3]] == [shard.sha256 for shard in once.shards]
    first, second = ([shard for shard in twice.shards if shard.pass_index == number] for number in (0, 1))
    for one, other in zip(first, second, strict=True):
        assert (one.documents, one.pieces) == (other.documents, other.pieces)
        assert one.sha256 != other.sha256
        rows = [list(layouts.read(str(tmp_path / "out" / shard.file), SMALL)) for shard in (one, other)]
        streams_of_passes = [np.concatenate([row["input"][:32] for row in each[0::2]]) for each in rows]
        assert (streams_of_passes[0] != streams_of_passes[1]).mean() > 0.5


def test_documents_that_cannot_be_are_dead_letters(pages, vocabulary, tmp_path):
    good = ["\n".join(page) for page in pages]
    bad = [
        b"A line.\nthis \xff is no UTF-8",
        b"with a \0 in it",
        "\u0301".encode(),
    ]  # the last: an accent without its letter
    (tmp_path / "b.txt").write_bytes(b"\n\n".join([*map(str.encode, good[:20]), bad[0], bad[2]]))
    (tmp_path / "a.txt").write_bytes(b"\n\n".join([bad[1], *map(str.encode, good[20:])]))
    manifest = run([tmp_path / "*.txt"], tmp_path / "out", vocabulary)
    letters = [json.loads(line) for line in (tmp_path / "out/dead-letters.jsonl").read_text().splitlines()]
    assert [Path(letter["path"]).name for letter in letters] == ["a.txt", "b.txt", "b.txt"]
    assert [sorted(letter) for letter in letters] == [["excerpt", "line", "path", "reason"]] * 3
    assert [letter["reason"] for letter in letters] == ["NUL byte", "invalid UTF-8", "no pieces"]
    assert manifest.dead_letter_reasons == {"NUL byte": 1, "invalid UTF-8": 1, "no pieces": 1}
    assert manifest.counts["documents_in"] == 43
    assert manifest.counts["documents_out"] == 40
    assert manifest.counts["dead_letters"] == 3


def test_shards_without_text_have_no_file(pages, vocabulary, tmp_path):
    (tmp_path / "a.txt").write_text("\n\n".join("\n".join(page) for page in pages[:3]))
    manifest = run([tmp_path / "a.txt"], tmp_path / "out", vocabulary, replace(SMALL, shards=20))
    assert 1 <= len(manifest.shards) <= 3
    assert len(list((tmp_path / "out").rglob("*.tfrecord"))) == len(manifest.shards)
    manifest.verify()


def refused(tmp_path, message, inputs, vocabulary, settings=SMALL, output="out", leaves=False, **options):
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=message) as caught:
        run(inputs, tmp_path / output, vocabulary, settings, **options)
    assert "\n" not in str(caught.value)
    assert leaves or sorted(tmp_path.rglob("*")) == before
    assert not (tmp_path / output / "manifest.json").exists()


def test_too_little_text_is_refused_with_counts(vocabulary, tmp_path):
    (tmp_path / "a.txt").write_text("Too short.\n")
    refused(
        tmp_path,
        r"1 documents have \d+ pieces, in 3 shards: none fills a window of 64",
        [tmp_path / "a.txt"],
        vocabulary,
    )
    (tmp_path / "a.txt").write_bytes(b"\xff\n\n\xff\n\nA document.\n")
    refused(
        tmp_path,
        "no document to write: 1 files with 2 rejected and 1 removed documents",
        [tmp_path / "a.txt"],
        vocabulary,
        cleaning=CleaningSettings(least_characters=100),
    )


def test_too_little_text_for_the_rows_of_the_original_names_them(text, vocabulary, tmp_path):
    refused(
        tmp_path,
        r"in 3 shards: none fills 2000 rows with a window of 64 each; .* fewer reference_rows",
        text,
        vocabulary,
        replace(SMALL, layout="reference", reference_rows=2000),
    )


def test_bad_input_is_refused(text, vocabulary, tmp_path):
    (tmp_path / "empty.txt").touch()
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    refused(tmp_path, "no file matches", [tmp_path / "none.txt"], vocabulary)
    refused(tmp_path, "is a folder", [tmp_path], vocabulary)
    refused(tmp_path, "empty", [tmp_path / "empty.txt"], vocabulary)
    refused(tmp_path, "a.pdf is not text", [tmp_path / "a.pdf"], vocabulary)
    refused(tmp_path, "does not exist", text, str(tmp_path / "no.model"))
    refused(tmp_path, "not a SentencePiece model", text, str(text[0]))
    refused(tmp_path, "workers is 0", text, vocabulary, workers=0)


def test_a_vocabulary_with_other_special_pieces_is_refused(text, tmp_path):
    with (tmp_path / "plain.model").open("wb") as stream:
        sentencepiece.SentencePieceTrainer.train(
            input=str(text[0]), model_writer=stream, vocab_size=200, hard_vocab_limit=False, minloglevel=2
        )
    refused(tmp_path, "<cls>", text, str(tmp_path / "plain.model"))


def test_an_occupied_output_is_refused(data, text, vocabulary, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/precious").write_text("mine")
    refused(tmp_path, "already holds something", text, vocabulary)
    (tmp_path / "file").write_text("mine")
    refused(tmp_path, "a file is in the way", text, vocabulary, output="file")


@pytest.mark.parametrize("error", [UserError("no room; make some"), ValueError("a fault")])
def test_a_failure_leaves_nothing_and_keeps_its_name(error, text, vocabulary, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(shards, "write_shard", fail)
    wanted = UserError if isinstance(error, UserError) else Exception
    with pytest.raises(wanted, match=str(error).split(";")[0]) as caught:
        run(text, tmp_path / "out", vocabulary)
    assert isinstance(caught.value, UserError) == isinstance(error, UserError)
    if isinstance(error, UserError):
        assert str(caught.value) == str(error)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fault", ["lost", "repeated"])
def test_a_runner_that_loses_or_repeats_fails_the_job(fault, text, vocabulary, tmp_path, monkeypatch):
    real = tokenized.by_shard

    def lossy(documents, *, shards):
        first, *others = real(documents, shards=shards)
        yield from others if fault == "lost" else [first, first, *others]

    monkeypatch.setattr(tokenized, "by_shard", lossy)
    refused(
        tmp_path,
        r"40 documents of .* were read, .* arrived: the Beam runner lost or repeated",
        text,
        vocabulary,
        leaves=True,
    )


def test_a_lost_file_fails_the_job(text, vocabulary, tmp_path, monkeypatch):
    real = steps.Tokenize.process

    def lossy(self, element):
        return iter(()) if element[0] == 1 else real(self, element)

    monkeypatch.setattr(steps.Tokenize, "process", lossy)
    refused(tmp_path, r"of 3 files 1 were not read.*missing: .*1\.txt", text, vocabulary, leaves=True)


@pytest.mark.slow
def test_an_error_in_a_worker_process_is_one_line(text, vocabulary, tmp_path, capfd):
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    refused(tmp_path, "a.pdf is not text", [*text, tmp_path / "a.pdf"], vocabulary, workers=2)
    assert "Traceback" not in "".join(capfd.readouterr())


def test_an_error_on_another_machine_is_one_line(text, vocabulary, tmp_path, monkeypatch):
    """There the error goes through Beam, which makes a traceback's text of it."""
    monkeypatch.setattr(job.Job, "refusal", running.Refusal(None))
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    refused(tmp_path, "^[^ ]*a.pdf is not text; give [^\\[]*$", [*text, tmp_path / "a.pdf"], vocabulary)


def test_progress_is_told_to_the_end_of_both_stages(text, vocabulary, tmp_path, monkeypatch):
    real, told = shards.write_shard, []

    def slow(*arguments, **options):
        time.sleep(0.3)
        return real(*arguments, **options)

    monkeypatch.setattr(shards, "write_shard", slow)
    run(text, tmp_path / "out", vocabulary, progress=told.append)
    size = sum(path.stat().st_size for path in text)
    assert {(advance.stage, advance.total) for advance in told} == {("tokenize", size), ("write", 3)}
    for stage in ("tokenize", "write"):
        done = [advance.done for advance in told if advance.stage == stage]
        assert done == sorted(done)
    assert told[-1].done == 3
    assert [advance.seconds for advance in told] == sorted(advance.seconds for advance in told)
    assert not list((tmp_path / "out").glob(".*"))


def test_beam_counts_as_the_manifest_does(data, text, vocabulary, tmp_path, monkeypatch):
    results = []

    class Kept(beam.Pipeline):
        def __exit__(self, *error):
            results.append(self.run())
            results[0].wait_until_finish()

    monkeypatch.setattr(preprocess.beam, "Pipeline", Kept)
    run(text, tmp_path / "out", vocabulary)
    found = {c.key.metric.name: c.committed for c in results[0].metrics().query()["counters"]}
    counts = Manifest.read(str(data)).counts
    assert found == {
        "documents": counts["documents_in"],
        "pieces": counts["pieces"],
        "dead_letters": 0,
        "shards": 3,
        "records": counts["records"],
    }


@pytest.mark.parametrize("seed", range(3))
def test_elements_that_fail_and_are_tried_again_change_nothing(seed, data, text, vocabulary, tmp_path, monkeypatch):
    """As a runner does it: what a failed attempt gave is thrown away, its files stay."""
    chance = random.Random(seed)

    def tried_again(process):
        def attempt(self, element):
            key, values = element
            element = key, list(values)
            while chance.random() < 0.5:
                failed = process(self, element)
                for _ in range(chance.randrange(4)):
                    next(failed, None)
            return process(self, element)

        return attempt

    for step in (steps.Tokenize, steps.WriteShard):
        monkeypatch.setattr(step, "process", tried_again(step.process))
    (tmp_path / "bad.txt").write_bytes(b"\xff\n\n\0\n")
    run([*text, tmp_path / "bad.txt"], tmp_path / "out", vocabulary)
    found, expected = content(tmp_path / "out"), content(data)
    assert len(found.pop("dead-letters.jsonl").splitlines()) == 2
    assert {name: expected[name] for name in found} == found


STOPPED = """
import os, random, sys
from pipelines import preprocess
from xlnet.corpus import layouts, shards
from xlnet.corpus.settings import CorpusSettings

real, writes, fatal = layouts.write, [0], int(sys.argv[1])
class Dying:
    def __init__(self, target): self.target = target
    def write(self, content):
        writes[0] += 1
        if writes[0] == fatal:
            self.target.write(content[: len(content) // 2])
            os.kill(os.getpid(), 9)
        self.target.write(content)
layouts.write = lambda target, *arguments, **options: real(Dying(target), *arguments, **options)
preprocess.run(sys.argv[4:], sys.argv[2], vocabulary=sys.argv[3], settings=SETTINGS)
"""


def stopped(output, vocabulary, text, *, at):
    """A run that is killed in the middle of writing its shard number `at` (from 1)."""
    code = STOPPED.replace("SETTINGS", repr(SMALL))
    words = [sys.executable, "-c", code, str(at), str(output), vocabulary, *map(str, text)]
    ended = subprocess.run(words, cwd=Path(preprocess.__file__).parent.parent, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()


@pytest.mark.slow
@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_killed_run_is_gone_on_with_and_finished_shards_are_kept(at, data, text, vocabulary, tmp_path):
    output = tmp_path / "out"
    stopped(output, vocabulary, text, at=at)
    assert not (output / "manifest.json").exists()
    finished = {path: path.stat().st_ino for path in output.rglob("*.tfrecord")}
    assert len(finished) == at - 1
    with pytest.raises(UserError, match="half-written"):
        Manifest.read(str(output))
    manifest = run(text, output, vocabulary)
    assert content(output) == content(data)
    assert {path: path.stat().st_ino for path in finished} == finished
    assert len(manifest.shards) == 3


@pytest.mark.slow
def test_what_a_killed_run_left_is_of_use_to_no_other_data_set_and_goes(data, text, vocabulary, tmp_path):
    output = tmp_path / "out"
    stopped(output, vocabulary, text, at=3)
    run(text[:2], output, vocabulary)
    run(text[:2], tmp_path / "fresh", vocabulary)
    assert content(output) == content(tmp_path / "fresh")


def test_of_two_runs_at_once_one_is_refused(data, text, vocabulary, tmp_path):
    with output.held(str(tmp_path / "out")), pytest.raises(UserError, match="another run is writing to"):
        run(text, tmp_path / "out", vocabulary)
    run(text, tmp_path / "out", vocabulary)
    assert content(tmp_path / "out") == content(data)


def test_who_finishes_second_says_so_and_changes_nothing(data, text, vocabulary, tmp_path, monkeypatch):
    """Where nothing can be held, as on Google Cloud Storage."""
    monkeypatch.setattr(output, "held", contextlib.nullcontext)
    real = accounts.close

    def late(*arguments):
        monkeypatch.setattr(accounts, "close", real)
        run(text, tmp_path / "out", vocabulary)
        return real(*arguments)

    monkeypatch.setattr(accounts, "close", late)
    with pytest.raises(UserError, match="another run has finished the data set"):
        run(text, tmp_path / "out", vocabulary)
    assert content(tmp_path / "out") == content(data)


def test_a_data_set_that_is_there_is_left_as_it_is(data, text, vocabulary):
    before = {path: path.stat() for path in data.rglob("*")}
    assert run(text, data, vocabulary) == Manifest.read(str(data))
    assert {path: path.stat() for path in data.rglob("*")} == before
    for inputs, settings, message in (
        (text[:2], SMALL, "1 of which are not named now; pass --add"),
        (text, replace(SMALL, passes=2), "of 1 passes; pass --add"),
        (text, replace(SMALL, predictions=9), "predictions 10, 9 is asked for"),
        (text, replace(SMALL, seed=1), "seed 0, 1 is asked for"),
    ):
        with pytest.raises(UserError, match=message):
            run(inputs, data, vocabulary, settings)
    assert {path: path.stat() for path in data.rglob("*")} == before


def test_files_and_passes_are_added_and_nothing_is_made_again(text, vocabulary, tmp_path):
    folder = tmp_path / "out"
    first = run(text[:2], folder, vocabulary)
    kept = {path: path.stat() for path in folder.rglob("*.tfrecord")}
    second = run([text[2]], folder, vocabulary, add=True)
    third = run(text, folder, vocabulary, replace(SMALL, passes=2), add=True)
    assert {path: path.stat() for path in kept} == kept
    assert run(text, folder, vocabulary, replace(SMALL, passes=2), add=True) == third
    assert [shard for shard in third.shards if shard.pass_index == 0] == second.shards
    assert [shard for shard in second.shards if shard.part == 0] == first.shards
    assert [(entry["path"], entry["part"]) for entry in third.inputs] == [
        (str(path), n) for path, n in zip(text, (0, 0, 1), strict=True)
    ]
    assert sorted((shard.pass_index, shard.part, shard.shard) for shard in third.shards) == [
        (number, part, 3 * part + shard) for number in (0, 1) for part in (0, 1) for shard in range(3)
    ]
    third.verify()
    whole = run(text, tmp_path / "whole", vocabulary)
    for name in ("documents_out", "characters", "pieces", "pieces_in_pass", "unknown_pieces"):
        assert third.counts[name] == whole.counts[name], name
    np.testing.assert_array_equal(
        np.load(folder / third.piece_counts), np.load(tmp_path / "whole" / whole.piece_counts)
    )
    assert third.by_source == whole.by_source
    assert third.document_lengths == whole.document_lengths
    at_once = run(text[:2], tmp_path / "at-once", vocabulary, replace(SMALL, passes=2))
    assert {shard.sha256 for shard in at_once.shards} <= {shard.sha256 for shard in third.shards}
    assert {path.name for path in folder.iterdir()} == {
        "manifest.json", "shards", "spiece.model", "piece-counts-2.npy", "dead-letters-2.jsonl", "removed-2.jsonl"
    }  # fmt: skip


def test_a_changed_file_has_no_further_passes(text, vocabulary, tmp_path):
    (tmp_path / "a.txt").write_text(text[0].read_text())
    run([tmp_path / "a.txt"], tmp_path / "out", vocabulary)
    (tmp_path / "a.txt").write_text(text[1].read_text())
    with pytest.raises(UserError, match="has changed since the data set was made"):
        run([text[2]], tmp_path / "out", vocabulary, replace(SMALL, passes=2), add=True)


def test_sources_stand_as_often_as_they_weigh(text, vocabulary, tmp_path):
    inputs = [f"a={text[0]}:2", f"b={text[1]}:0.5", f"c={text[2]}"]
    manifest = run(inputs, tmp_path / "out", vocabulary, replace(SMALL, passes=2))
    assert [source["weight"] for source in manifest.sources] == [2, 0.5, 1]
    sizes = [source["documents"] for source in manifest.by_source]
    for number in (0, 1):
        stand = sum(shard.documents for shard in manifest.shards if shard.pass_index == number)
        assert 2 * sizes[0] + sizes[2] < stand < 2 * sizes[0] + sizes[1] + sizes[2]
    assert sum(shard.documents for shard in manifest.shards) == 4 * sizes[0] + sizes[1] + 2 * sizes[2]
    in_first = sum(shard.pieces for shard in manifest.shards if shard.pass_index == 0)
    assert (
        manifest.counts["pieces_in_pass"]
        == in_first
        == manifest.counts["pieces_in_records"] + manifest.counts["pieces_dropped"]
    )


def test_documents_that_come_twice_are_left_out_on_request(data, text, vocabulary, tmp_path):
    (tmp_path / "again.txt").write_text(text[0].read_text())
    twice = run([*text, tmp_path / "again.txt"], tmp_path / "twice", vocabulary)
    unique = CleaningSettings(drop_duplicate_documents=True)
    once = run([*text, tmp_path / "again.txt"], tmp_path / "once", vocabulary, cleaning=unique)
    shards = {name: bytes for name, bytes in content(data).items() if name.endswith(".tfrecord")}
    assert {name: bytes for name, bytes in content(tmp_path / "once").items() if name.endswith(".tfrecord")} == shards
    copies = len(text[0].read_text().split("\n\n"))
    assert twice.counts["documents_out"] == 40 + copies
    assert once.counts["documents_in"] == 40 + copies
    assert once.counts["documents_out"] == 40
    assert once.removed["duplicate document"]["documents"] == once.counts["documents_removed"] == copies
    assert (
        once.counts["pieces"] == once.counts["pieces_in_pass"] + once.counts["pieces_removed"] == twice.counts["pieces"]
    )
    examples = [json.loads(line) for line in (tmp_path / "once/removed.jsonl").read_text().splitlines()]
    assert {example["reason"] for example in examples} == {"duplicate document"}
    assert 1 <= len(examples) <= 20


def test_the_layout_of_the_original_is_complete(text, vocabulary, tmp_path):
    settings = replace(SMALL, layout="reference", reference_rows=4)
    manifest = run(text, tmp_path / "out", vocabulary, settings)
    names = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    stems = [f"{shard}-0.bsz-4.seqlen-64.reuse-32.bi.alpha-6.beta-1.fnp-10." for shard in range(3)]
    assert names == {"manifest.json", "spiece.model", "piece-counts.npy", "dead-letters.jsonl", "removed.jsonl"} | {
        "corpus_info.json",
        *(f"tfrecords/train-{stem}tfrecords" for stem in stems),
        *(f"tfrecords/record_info-train-{stem}json" for stem in stems),
    }
    for shard, stem in zip(manifest.shards, stems, strict=True):
        info = json.loads((tmp_path / f"out/tfrecords/record_info-train-{stem}json").read_text())
        assert info["num_batch"] == shard.records // 4 > 0
        assert [Path(name).name for name in info["filenames"]] == [f"train-{stem}tfrecords"]
        assert len(list(layouts.read(str(tmp_path / "out" / shard.file), settings))) == shard.records
    assert set(manifest.dropped) <= {"tail", "batch", "short"}
    before = content(tmp_path / "out")
    (tmp_path / "out/manifest.json").unlink()
    (tmp_path / "out/.work").mkdir()
    (tmp_path / "out/.work/claim.json").write_text("{}")
    run(text, tmp_path / "out", vocabulary, settings)
    assert content(tmp_path / "out") == before


@pytest.mark.parametrize("size", [300, 5000])
def test_where_the_text_is_cut_shows_nowhere(size, pages, vocabulary, tmp_path, monkeypatch):
    """Neither in the records nor in what is told of what is not in them, with its lines."""
    notice = "All rights reserved, and nothing of this may be copied by any means whatever."
    good = ["\n".join([*page, notice]) for page in pages]
    bad = [b"this \xff is no UTF-8", b"too short", b"with a \0 in it", "\u0301".encode(), b"#$%& @@@ ### +++ === ###"]
    every = [*map(str.encode, [*good, *good[:5]]), *bad * 5]
    random.Random(0).shuffle(every)
    for name, part in (("a.txt", every[::2]), ("b.txt", every[1::2])):
        (tmp_path / name).write_bytes(b"\n\n".join(part))
    clean = CleaningSettings(
        least_characters=12,
        most_symbols=0.5,
        drop_duplicate_documents=True,
        drop_duplicate_paragraphs=True,
        drop_near_duplicates=True,
    )
    whole = run([tmp_path / "*.txt"], tmp_path / "whole", vocabulary, cleaning=clean)
    assert len(whole.dead_letter_reasons) == 2
    assert {"too short", "symbols", "duplicate paragraph", "near duplicate"} <= set(whole.removed)
    monkeypatch.setattr(preprocess, "SMALLEST", 1)
    monkeypatch.setattr(preprocess, "SPLIT", size)
    cut = run([tmp_path / "*.txt"], tmp_path / "cut", vocabulary, cleaning=clean)
    assert cut == whole
    assert content(tmp_path / "cut") == content(tmp_path / "whole")


def test_files_are_opened_side_by_side_to_be_cut_and_keep_their_order(text, vocabulary, monkeypatch):
    together, real = threading.Barrier(3), documents.splits

    def slow(file, *, size):
        together.wait(timeout=20)  # each goes on when all are there
        return real(file, size=size)

    monkeypatch.setattr(documents, "splits", slow)
    inputs = tuple(plan.Input(str(path), path.stat().st_size, "", 0, 0) for path in text)
    tasks = preprocess._tasks(plan.Plan(SMALL, {}, "", (), inputs, {0: 0}), workers=1)
    assert [task.split.path for task in tasks] == [str(path) for path in text]
