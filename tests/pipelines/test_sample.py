"""The Beam job that samples: the very sample of one process, whatever the limit, the splits and the workers."""

import errno
import gzip
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines import sample
from pipelines.probe import probes
from xlnet import objects, sampling, storage, vocab
from xlnet.census import Census
from xlnet.corpus import documents
from xlnet.errors import UserError
from xlnet.sampling import Plan

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def files(text, tmp_path_factory) -> list[tuple[int, storage.File]]:
    """Three files of two sources, one packed."""
    folder = tmp_path_factory.mktemp("sources")
    packed = folder / "c.txt.gz"
    packed.write_bytes(gzip.compress(text[2].read_bytes() + b"\n\na\xff\n"))
    paths = [text[0], text[1], packed]
    return [(owner, storage.File(str(path), path.stat().st_size)) for owner, path in zip((0, 1, 1), paths, strict=True)]


PLAN = Plan(size=200, seed=5, weights=(1.0, 3.0))


@pytest.fixture(scope="module")
def expected(files) -> tuple[bytes, list[bytes]]:
    return as_bytes(*sampling.draw(files, PLAN))


def as_bytes(sentences, found: list[Census]) -> tuple[bytes, list[bytes]]:
    return sentences.to_bytes(), [census.to_bytes() for census in found]


def attempts(monkeypatch) -> list[float]:
    """The limits that are tried from now on."""
    limits: list[float] = []
    real = sample._job

    def noted(files: sample.Files, plan: Plan, limit: float, **others):
        limits.append(limit)
        return real(files, plan, limit, **others)

    monkeypatch.setattr(sample, "_job", noted)
    return limits


def test_the_job_gives_the_sample_of_one_process(files, expected, tmp_path, monkeypatch):
    tried = attempts(monkeypatch)
    assert as_bytes(*sample.draw(files, PLAN, beside=str(tmp_path / "x"))) == expected
    assert len(tried) == 1
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(("limit", "rounds"), [(1e-6, 2), (0.02, 2), (0.2, 1), (np.inf, 1)])
def test_the_sample_is_exact_whatever_the_limit(files, expected, tmp_path, monkeypatch, limit, rounds):
    tried = attempts(monkeypatch)
    found = sample.draw(files, PLAN, beside=str(tmp_path / "x"), limit=limit)
    assert as_bytes(*found) == expected
    assert len(tried) == rounds


def test_a_limit_that_cannot_be_computed_is_left_out(files, tmp_path, monkeypatch):
    """Copies share their priorities: more of them than the limit expects may lie above it."""
    monkeypatch.setattr(sampling, "limit_for", lambda *arguments, **others: 1e-9)
    tried = attempts(monkeypatch)
    found, _ = sample.draw(files, PLAN, beside=str(tmp_path / "x"))
    assert tried == [1e-9, 1e-9, np.inf]
    assert len(found) == 200


def test_splits_and_listing_change_nothing(files, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(sample, "SPLIT", 3000)
    monkeypatch.setattr(sampling, "BLOCK", 2000)
    assert len(documents.splits(files[0][1], size=3000)) > 10
    heard: list[int] = []
    found = sample.draw(
        files[::-1], PLAN, beside=str(tmp_path / "x"), progress=lambda advance: heard.append(advance.done)
    )
    assert as_bytes(*found) == expected
    assert heard[-1] == sum(file.bytes for _, file in files)


def test_two_workers_change_nothing(files, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(sample, "SPLIT", 20_000)
    assert as_bytes(*sample.draw(files, PLAN, beside=str(tmp_path / "x"), workers=2)) == expected
    assert not any(tmp_path.iterdir())


def test_on_dataflow_it_is_one_job_of_its_name(files, expected, tmp_path, monkeypatch):
    """The service is played by the runner here; `test_dataflow` tells how jobs are submitted."""
    named: list[str] = []

    def executed(pipeline, *, identity: str) -> bool:
        named.append(identity)
        pipeline.run().wait_until_finish()
        return len(named) == 1

    monkeypatch.setattr(sample.dataflow, "options", lambda flags, *, paths: PipelineOptions(runner="FnApiRunner"))
    monkeypatch.setattr(sample.dataflow, "execute", executed)
    options = ["--runner=DataflowRunner"]
    assert as_bytes(*sample.draw(files, PLAN, beside=str(tmp_path / "x"), options=options)) == expected
    assert named[0].startswith(str(tmp_path / "x."))
    with pytest.raises(UserError, match="the job was described, not run"):
        sample.draw(files, PLAN, beside=str(tmp_path / "x"), options=options)


def test_a_vocabulary_of_the_job_is_that_of_one_process(text, tmp_path):
    settings = vocab.VocabularySettings(size=300, sentences=400)
    inputs = [f"a={text[0]}:0.5", f"b={text[1]}", f"b={text[2]}"]
    outputs = [str(tmp_path / name) for name in ("one.model", "job.model")]
    vocab.train(inputs, outputs[0], settings=settings)
    vocab.train(inputs, outputs[1], settings=settings, draw=partial(sample.draw, beside=outputs[1]))
    one, job = (Path(path).read_bytes() for path in outputs)
    assert one == job
    one, job = (json.loads(Path(f"{path}.json").read_text()) for path in outputs)
    assert one == job


def test_what_a_worker_cannot_read_is_one_line(files, tmp_path):
    missing = [*files, (0, storage.File(str(tmp_path / "gone.txt"), 100))]
    with pytest.raises(UserError, match=r"gone\.txt does not exist"):
        sample.draw(missing, PLAN, beside=str(tmp_path / "x"), limit=np.inf)
    assert not any(tmp_path.iterdir())


def test_a_full_disk_is_one_line(files, tmp_path, monkeypatch, capfd):
    def full(spill, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sample.Spill, "put", full)
    with pytest.raises(UserError, match="no space left on device; make room"):
        sample.draw(files, PLAN, beside=str(tmp_path / "x"))
    assert capfd.readouterr().err == ""
    assert not any(tmp_path.iterdir())


def test_a_store_that_refuses_is_one_line(files, bucket, monkeypatch, capfd):
    def refuse(path, content):
        raise UserError(f"{path} cannot be written; ask for the right")

    monkeypatch.setattr(objects, "publish", refuse)
    with pytest.raises(UserError, match=r"gs://bucket/x.*/sample cannot be written"):
        sample.draw(files, PLAN, beside="gs://bucket/x")
    assert capfd.readouterr().err == ""
    assert not bucket


def test_text_without_a_sentence(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xff\n\n \n")
    found, (census,) = sample.draw(
        [(0, storage.File(str(tmp_path / "a.txt"), 5))], Plan(5, 0, (1.0,)), beside=str(tmp_path / "x")
    )
    assert len(found) == 0
    assert census.dead_letters == {"invalid UTF-8": 1}


def test_the_first_limit_is_near_in_a_larger_text(pages, tmp_path):
    """Plain and packed files, of which some ranges are read."""
    body = "\n\n".join("\n".join(page) for page in pages)
    for number in range(12):
        content = "\n\n".join(f"{body}\n\ncopy {number}-{copy}" for copy in range(3))
        (tmp_path / f"{number:02}.txt").write_text(content)
        (tmp_path / f"{number:02}.txt.gz").write_bytes(gzip.compress(content.encode()))
    found = storage.match([str(tmp_path / "*.txt"), str(tmp_path / "*.gz")])
    plan = Plan(size=1000, seed=0, weights=(1.0,))
    files = [(0, file) for file in found]
    _, (census,) = sampling.draw(files, plan)
    with probes(found, size=sample.PROBED) as read:
        assert sum(probe.covers for probe in read) < sum(file.bytes for file in found) / 2
    first = sample.first_limit(files, plan)
    exact = sampling.limit_for(plan, [census.sentences])
    assert 1.1 < first / exact < 2
