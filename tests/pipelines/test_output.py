import contextlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines import output, preprocess, steps
from xlnet import storage
from xlnet.corpus import accounts, plan
from xlnet.corpus.manifest import Manifest
from xlnet.corpus.settings import CorpusSettings
from xlnet.errors import UserError

SMALL = CorpusSettings(sequence_length=64, reuse_length=32, permutation_size=32, predictions=10, shards=3)


def run(inputs, folder, vocabulary, settings=SMALL, **options):
    return preprocess.run(list(map(str, inputs)), str(folder), vocabulary=vocabulary, settings=settings, **options)


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def held_by_nobody(monkeypatch):
    """As on Google Cloud Storage, where nothing can be held."""
    monkeypatch.setattr(output, "held", contextlib.nullcontext)


def before(function, does, monkeypatch):
    """Something happens, once, when a function of a module is called."""
    module, name = function
    real = getattr(module, name)

    def late(*arguments, **options):
        monkeypatch.setattr(module, name, real)
        does()
        return real(*arguments, **options)

    monkeypatch.setattr(module, name, late)


@pytest.fixture
def folder(text, vocabulary, tmp_path):
    run(text[:1], tmp_path / "out", vocabulary)
    return tmp_path / "out"


@pytest.mark.parametrize("again", [True, False])
def test_a_run_that_ended_behind_its_manifest_is_in_nobodys_way(again, text, vocabulary, bucket, monkeypatch):
    with monkeypatch.context() as killed:
        killed.setattr(output, "_tidy", lambda *arguments: None)
        run(text[:1], "gs://bucket/data", vocabulary)
    assert "data/.work/claim.json" in bucket
    if again:
        run(text[:1], "gs://bucket/data", vocabulary)
        assert not any(name.startswith("data/.work/") for name in bucket)
    run(text[:2], "gs://bucket/data", vocabulary, add=True)
    assert not any(name.startswith("data/.work/") for name in bucket)
    assert "data/piece-counts.npy" not in bucket
    Manifest.read("gs://bucket/data").verify()


def test_the_claim_of_a_run_that_goes_on_stands(text, vocabulary, bucket):
    run(text[:1], "gs://bucket/data", vocabulary)
    todo = plan.make("gs://bucket/data", plan_sources(text[:2]), **of(vocabulary), add=True)
    output._claim("gs://bucket/data", todo)
    run(text[:1], "gs://bucket/data", vocabulary)
    with pytest.raises(UserError, match="unfinished work of a run with other sources, inputs; wait"):
        run([text[2]], "gs://bucket/data", vocabulary, add=True)
    assert "data/.work/claim.json" in bucket


def plan_sources(paths):
    return preprocess.sources.parse(list(map(str, paths)))


def of(vocabulary):
    cleaning = preprocess.asdict(preprocess.CleaningSettings())
    return {"settings": SMALL, "cleaning": cleaning, "vocabulary": storage.sha256(vocabulary)}


def test_who_begins_to_add_when_another_has_just_added_changes_nothing(folder, text, vocabulary, monkeypatch):
    held_by_nobody(monkeypatch)
    made = {}

    def another():
        run(text[1:2], folder, vocabulary, add=True)
        made.update(content(folder))

    before((output, "_claim"), another, monkeypatch)
    with pytest.raises(UserError, match="another run has finished the data set"):
        run(text[2:], folder, vocabulary, add=True)
    assert content(folder) == made
    run(text[2:], folder, vocabulary, add=True)
    assert Manifest.read(str(folder)).revision == 2


def test_of_two_that_add_the_same_the_second_says_why_it_fails(folder, text, vocabulary, monkeypatch):
    held_by_nobody(monkeypatch)
    before((accounts, "close"), lambda: run(text, folder, vocabulary, add=True), monkeypatch)
    with pytest.raises(UserError, match="another run has finished the data set"):
        run(text, folder, vocabulary, add=True)
    Manifest.read(str(folder)).verify()
    assert (folder / "piece-counts-1.npy").exists()


def test_a_job_that_was_only_described_leaves_the_data_set_as_it_is(folder, text, vocabulary, monkeypatch):
    expected = content(folder)
    monkeypatch.setattr(preprocess, "_execute", lambda *arguments, **options: False)
    assert run(text, folder, vocabulary, add=True) is None
    left = content(folder)
    assert {name: left[name] for name in left if not name.startswith(".work/")} == expected


def test_nothing_that_is_there_is_written_again(folder, text, vocabulary):
    kept = {path: path.stat() for path in [folder / "spiece.model", *folder.rglob("*.tfrecord")]}
    run(text, folder, vocabulary, add=True)
    assert {path: path.stat() for path in kept} == kept


@pytest.mark.parametrize("layout", ["compact", "reference"])
def test_what_stopped_runs_left_goes(layout, text, vocabulary, tmp_path, monkeypatch):
    settings = replace(SMALL, layout=layout, reference_rows=2)
    with monkeypatch.context() as stopping:
        stopping.setattr(accounts, "_publish", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(text, tmp_path / "out", vocabulary, replace(settings, shards=5))
    assert len(list((tmp_path / "out").rglob("*.tfrecord*"))) == 5
    run(text, tmp_path / "out", vocabulary, settings)
    run(text, tmp_path / "fresh", vocabulary, settings)
    assert content(tmp_path / "out") == content(tmp_path / "fresh")


def test_a_run_that_is_killed_while_it_clears_away_can_be_gone_on_with(text, vocabulary, tmp_path, monkeypatch):
    out = tmp_path / "out"
    with monkeypatch.context() as stopping:
        stopping.setattr(accounts, "_publish", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(text, out, vocabulary)
    (out / ".work/0123").mkdir()
    (out / ".work/0123/block").touch()
    with monkeypatch.context() as killed:
        killed.setattr(storage, "remove_folder", lambda folder: remove_first(folder))
        with pytest.raises(KeyboardInterrupt):
            run(text, out, vocabulary)
    run(text, out, vocabulary)
    run(text, tmp_path / "fresh", vocabulary)
    assert content(out) == content(tmp_path / "fresh")


def remove_first(folder):
    """A kill when one file of a folder is gone: whichever the system gives first."""
    Path(folder, "claim.json").unlink(missing_ok=True)
    raise KeyboardInterrupt


def test_nothing_is_removed_when_another_run_has_begun(text, vocabulary, bucket, monkeypatch):
    run(text[:1], "gs://bucket/data", vocabulary)
    storage.publish("gs://bucket/data/shards/pass-0/00009-0123456789ab.tfrecord", b"of another run")
    storage.publish("gs://bucket/data/.work/claim.json", json.dumps({"revision": "of another run"}).encode())
    names = set(bucket)
    output._tidy("gs://bucket/data", {"revision": "ours"})
    assert set(bucket) == names
    output._tidy("gs://bucket/data", {"revision": "of another run"})
    assert names - set(bucket) == {
        "data/shards/pass-0/00009-0123456789ab.tfrecord",
        "data/.work/claim.json",
    }


@pytest.mark.parametrize("place", ["{}/data", "gs://bucket/data"])
def test_the_last_step_may_be_repeated_when_its_answer_was_lost(place, text, vocabulary, bucket, tmp_path, monkeypatch):
    real = steps.WriteManifest.process

    def twice(self, element):
        element = element[0], list(element[1])
        real(self, element)
        real(self, element)

    monkeypatch.setattr(steps.WriteManifest, "process", twice)
    folder = place.format(tmp_path)
    run(text[:1], folder, vocabulary)
    made = run(text, folder, vocabulary, add=True)
    made.verify()
    assert (made.revision, len(made.inputs)) == (1, 3)


def test_a_claim_that_could_not_be_written_leaves_nothing(text, vocabulary, tmp_path, monkeypatch):
    def full(path, content):
        storage.make_folder(str(tmp_path / "out/.work"))
        raise UserError("no space left on device")

    monkeypatch.setattr(storage, "create", full)
    with pytest.raises(UserError, match="no space left"):
        preprocess.run([str(text[0])], str(tmp_path / "out"), vocabulary=vocabulary, settings=SMALL)
    assert list(tmp_path.iterdir()) == []
