import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
import sentencepiece
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from pipelines import preprocess
from xlnet import storage
from xlnet.corpus import records, shards, streams, tokenized
from xlnet.corpus.manifest import Manifest
from xlnet.corpus.settings import CorpusSettings
from xlnet.errors import UserError
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
    return [np.concatenate([tokenizer.encode_lines(page)[0], [streams.EOD]]).tolist() for page in pages]


def test_every_piece_is_in_a_record_or_counted_as_dropped(data, pages, vocabulary):
    manifest = Manifest.read(str(data))
    manifest.verify()
    left = {tuple(document) for document in encoded(pages, vocabulary)}
    assert len(left) == len(pages)
    dropped = 0
    for shard in manifest.shards:
        rows = list(records.read_features(str(data / shard.file)))
        assert len(rows) == shard.records
        stream = np.concatenate([row["input"][:32] for row in rows[0::2]])
        assert stream.size + shard.pieces_dropped == shard.pieces
        ends = np.flatnonzero(stream == streams.EOD) + 1
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
    assert [entry["path"] for entry in manifest.inputs] == [str(path) for path in text]
    assert [entry["bytes"] for entry in manifest.inputs] == [path.stat().st_size for path in text]
    assert sum(shard.documents for shard in manifest.shards) == len(pages)
    assert all((data / shard.file).stat().st_size == shard.bytes for shard in manifest.shards)


def test_records_have_their_features(data):
    manifest = Manifest.read(str(data))
    for shard in manifest.shards:
        for row in records.read_features(str(data / shard.file)):
            assert sorted(row) == ["input", "is_masked", "label", "order", "seg_id", "target"]
            assert {name: values.size for name, values in row.items() if values.size != 64} == {"label": 1}
            assert row["is_masked"].sum() == 10
            assert not (row["is_masked"].astype(bool) & (row["seg_id"] == 2)).any()
            assert sorted(row["order"][:32]) == sorted(row["order"][32:]) == list(range(32))


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
        rows = [list(records.read_features(str(tmp_path / "out" / shard.file))) for shard in (one, other)]
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


def test_shards_without_text_have_no_records_but_a_file(pages, vocabulary, tmp_path):
    (tmp_path / "a.txt").write_text("\n\n".join("\n".join(page) for page in pages[:3]))
    manifest = run([tmp_path / "a.txt"], tmp_path / "out", vocabulary, replace(SMALL, shards=20))
    assert len(manifest.shards) == 20
    empty = [shard for shard in manifest.shards if not shard.documents]
    assert len(empty) >= 17
    assert all(shard.records == 0 and (tmp_path / "out" / shard.file).stat().st_size == 0 for shard in empty)
    manifest.verify()


def refused(tmp_path, message, inputs, vocabulary, settings=SMALL, output="out", **options):
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=message) as caught:
        run(inputs, tmp_path / output, vocabulary, settings, **options)
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_too_little_text_is_refused_with_counts(vocabulary, tmp_path):
    (tmp_path / "a.txt").write_text("Too short.\n")
    refused(
        tmp_path,
        r"1 documents have \d+ pieces, in 3 shards: none fills a window of 64",
        [tmp_path / "a.txt"],
        vocabulary,
    )
    (tmp_path / "a.txt").write_bytes(b"\xff\n\n\xff\n")
    refused(tmp_path, "no document to write: 1 files with 2 rejected", [tmp_path / "a.txt"], vocabulary)


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
    refused(tmp_path, "already holds something", text, vocabulary, output="file")


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
    refused(tmp_path, r"40 documents of .* were read, .* arrived: the Beam runner lost or repeated", text, vocabulary)


def test_a_lost_file_fails_the_job(text, vocabulary, tmp_path, monkeypatch):
    real = preprocess.Tokenize.process

    def lossy(self, file):
        return iter(()) if file.path.endswith("1.txt") else real(self, file)

    monkeypatch.setattr(preprocess.Tokenize, "process", lossy)
    refused(tmp_path, r"of 3 files 2 were read.*missing: .*1\.txt", text, vocabulary)


@pytest.mark.slow
def test_an_error_in_a_worker_process_is_one_line(text, vocabulary, tmp_path, capfd):
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    refused(tmp_path, "a.pdf is not text", [*text, tmp_path / "a.pdf"], vocabulary, workers=2)
    assert "Traceback" not in "".join(capfd.readouterr())


def test_an_error_on_another_machine_is_one_line(text, vocabulary, tmp_path, monkeypatch):
    """There the error goes through Beam, which makes a traceback's text of it."""
    monkeypatch.setattr(preprocess.Job, "refusing", lambda job: contextlib.nullcontext())
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    refused(tmp_path, "^[^ ]*a.pdf is not text; give [^\\[]*$", [*text, tmp_path / "a.pdf"], vocabulary)


@pytest.mark.slow
def test_a_killed_run_leaves_no_data_set_and_does_not_hinder_the_next(text, vocabulary, tmp_path):
    output = tmp_path / "out"
    code = (
        "import sys, time\nfrom pipelines import preprocess\nfrom xlnet.corpus import accounts\n"
        "from xlnet.corpus.settings import CorpusSettings\n"
        "accounts.close = lambda *arguments, **options: (print('here', flush=True), time.sleep(60))\n"
        f"preprocess.run(sys.argv[3:], sys.argv[1], vocabulary=sys.argv[2], settings={SMALL!r})\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(output), vocabulary, *map(str, text)],
        stdout=subprocess.PIPE,
        cwd=Path(preprocess.__file__).parent.parent,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        os.kill(process.pid, signal.SIGKILL)
    assert not output.exists()
    assert all(path.name.startswith(".out.") for path in tmp_path.iterdir())
    assert run(text, output, vocabulary).counts["documents_out"] == 40


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


def test_beam_counts_as_the_manifest_does(data, text, vocabulary, tmp_path):
    storage.publish(str(tmp_path / "spiece.model"), Path(vocabulary).read_bytes())
    is_word_start = Tokenizer(vocabulary).is_word_start
    job = preprocess.Job(str(tmp_path), tuple(storage.match(list(map(str, text)))), SMALL, is_word_start)
    pipeline = beam.Pipeline(runner=FnApiRunner())
    preprocess.build(pipeline, job)
    result = pipeline.run()
    result.wait_until_finish()
    found = {c.key.metric.name: c.committed for c in result.metrics().query()["counters"]}
    counts = Manifest.read(str(data)).counts
    assert found == {
        "documents": counts["documents_in"],
        "pieces": counts["pieces"],
        "dead_letters": 0,
        "shards": 3,
    }


def test_a_stopped_run_on_google_cloud_storage_is_written_over_and_a_data_set_is_not(monkeypatch):
    there = {"gs://b/out/shards"}
    monkeypatch.setattr(storage, "exists", lambda path: any(found.startswith(path) for found in there))
    with preprocess._filling("gs://b/out") as directory:
        assert directory == "gs://b/out"
    there.add("gs://b/out/manifest.json")
    with pytest.raises(UserError, match="already holds something"), preprocess._filling("gs://b/out"):
        pass
