"""Preprocessing with everything on `gs://`, over a network that fails."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipelines import preprocess
from xlnet import storage, vocab
from xlnet.cli import main
from xlnet.corpus.manifest import Manifest
from xlnet.corpus.settings import CorpusSettings
from xlnet.errors import UserError

pytestmark = pytest.mark.slow

SMALL = CorpusSettings(sequence_length=64, reuse_length=32, permutation_size=32, predictions=10, shards=3)
ROUGH = {"unavailable": 0.06, "throttled": 0.03, "dropped": 0.03, "lost": 0.06, "cut": 0.06, "slow": 0.03}
ROOT = Path(preprocess.__file__).resolve().parent.parent
RUN = """
import sys
from pipelines import preprocess
from xlnet.corpus.settings import CorpusSettings
from xlnet.errors import UserError

print("ready", flush=True)
sys.stdin.readline()
try:
    preprocess.run(["gs://b/text/*.txt"], sys.argv[1], vocabulary="gs://b/spiece.model", settings=SETTINGS)
except UserError as error:
    print(error)
    sys.exit(7)
"""


def load(name):
    """A file of the tests which is no test."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).resolve().parent.parent / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


server, kept = load("storage_server"), load("storage_objects")


@pytest.fixture
def service(text, vocabulary, monkeypatch):
    """A bucket `b` with the text and the vocabulary."""
    objects = kept.Objects("b", page=4)
    for name, path in [(f"text/{path.name}", path) for path in text] + [("spiece.model", Path(vocabulary))]:
        objects.insert("b", name, {}, content=path.read_bytes(), properties={})
    objects.written.clear()
    with server.serving(objects) as service:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", service.address)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield service


@pytest.fixture(scope="module")
def expected(text, vocabulary, tmp_path_factory):
    """The data set as it is made of files on the disk."""
    folder = tmp_path_factory.mktemp("expected") / "data"
    preprocess.run(list(map(str, text)), str(folder), vocabulary=vocabulary, settings=SMALL)
    return folder


def run(output="gs://b/data", **options):
    return preprocess.run(["gs://b/text/*.txt"], output, vocabulary="gs://b/spiece.model", settings=SMALL, **options)


def require_same(service, expected):
    """The bucket holds the data set and nothing else, and says so."""
    objects = service.objects.buckets["b"]
    found = {name.removeprefix("data/"): each.content for name, each in objects.items() if name.startswith("data/")}
    local = {path.relative_to(expected).as_posix(): path.read_bytes() for path in expected.rglob("*") if path.is_file()}
    manifests = [json.loads(files.pop("manifest.json")) for files in (found, local)]
    assert found == local
    for manifest in manifests:
        for entry in manifest["inputs"]:
            entry["path"] = os.path.basename(entry["path"])
        for source in manifest["sources"]:
            source.pop("patterns")
    assert manifests[0] == manifests[1]
    service.set([])
    Manifest.read("gs://b/data").verify()


@pytest.mark.parametrize("workers", [1, 2])
def test_in_rough_weather_the_bytes_are_those_of_a_calm_disk(service, expected, workers):
    service.set(server.Faults(**ROUGH, seed=workers).draws())
    manifest = run(workers=workers)
    assert sum(service.met.values()) > 5
    require_same(service, expected)
    assert manifest.counts == Manifest.read(str(expected)).counts
    assert {times for name, times in Counter(service.objects.written).items() if name.startswith("data/shards/")} == {1}
    assert service.objects.written.count("data/manifest.json") == 1
    assert run().directory == "gs://b/data"  # it is left as it is
    assert service.objects.written.count("data/manifest.json") == 1


def started(output="gs://b/data"):
    """A run of its own process, which waits for a line."""
    code = RUN.replace("SETTINGS", repr(SMALL))
    begun = subprocess.Popen(
        [sys.executable, "-c", code, output], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert begun.stdout.readline() == "ready\n"
    return begun


def test_a_killed_run_is_gone_on_with_and_finished_shards_are_kept(service, expected):
    service.set(server.Faults(**ROUGH, seed=3).draws())
    for most in (1, 2):  # each is killed as soon as there are so many shards
        begun = started()
        begun.stdin.write("\n")
        begun.stdin.flush()
        while begun.poll() is None and len(shards(service)) < most:
            time.sleep(0.002)
        begun.send_signal(signal.SIGKILL)
        assert begun.wait() == -signal.SIGKILL
        begun.stdin.close()
        begun.stdout.close()
        finished = shards(service)
        assert most <= len(finished) <= 3
        assert not storage.exists("gs://b/data/manifest.json")
        with pytest.raises(UserError, match="half-written"):
            Manifest.read("gs://b/data")
    run()
    require_same(service, expected)
    assert {name: shards(service)[name] for name in finished} == finished


def shards(service):
    """The generations of the shards by name."""
    with service.objects.lock:
        objects = service.objects.buckets["b"]
        return {name: each.generation for name, each in objects.items() if name.startswith("data/shards/")}


def test_of_two_runs_at_once_into_one_folder_one_wins_whole_and_the_other_says_so(service, expected):
    service.set(server.Faults(**ROUGH, seed=4).draws())
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda _: started(), range(2)))
    for begun in runs:
        begun.stdin.write("\n")
        begun.stdin.flush()
    said = [begun.communicate()[0] for begun in runs]
    codes = sorted(begun.returncode for begun in runs)
    assert codes == [0, 7], said
    assert any(
        word in "".join(said) for word in ("another run has finished the data set gs://b/data first", "already holds")
    )
    assert service.objects.written.count("data/manifest.json") == 1
    require_same(service, expected)


def test_a_vocabulary_is_trained_of_remote_text_into_a_remote_file(service, vocabulary):
    service.set(server.Faults(**ROUGH, seed=5).draws())
    vocab.train(["gs://b/text/*.txt"], "gs://b/new/spiece.model", settings=vocab.VocabularySettings(size=500))
    assert storage.read_bytes("gs://b/new/spiece.model") == Path(vocabulary).read_bytes()
    assert storage.read_json("gs://b/new/spiece.model.json")["sha256"] == storage.sha256(vocabulary)
    assert sorted(set(service.objects.written)) == sorted(service.objects.written)


def test_a_remote_data_set_is_inspected(service, expected, capsys):
    for path in expected.rglob("*"):
        if path.is_file():
            storage.publish(f"gs://b/data/{path.relative_to(expected)}", path.read_bytes())
    service.set(server.Faults(**ROUGH, seed=6).draws())
    shown = []
    for data in ("gs://b/data", str(expected)):
        assert not main(["inspect", data, "--records", "2", "--verify"])
        shown.append(capsys.readouterr().out.replace(data, "DATA"))
    assert shown[0] == shown[1]
    assert len(shown[0].splitlines()) > 20


def test_an_input_that_is_not_there_leaves_nothing(service):
    with pytest.raises(UserError, match=r"no file matches 'gs://b/none/\*'"):
        preprocess.run(["gs://b/none/*"], "gs://b/data", vocabulary="gs://b/spiece.model", settings=SMALL)
    assert service.objects.written == []
    np.testing.assert_equal(storage.exists("gs://b/data"), False)
