"""`xlnet preprocess` on Dataflow, where the service's worker is Beam's runner in memory, on what was staged."""

import subprocess
import sys
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.portability import common_urns, python_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from pipelines import preprocess
from xlnet.cli import main
from xlnet.corpus.manifest import Manifest
from xlnet.corpus.settings import CorpusSettings

pytestmark = pytest.mark.slow

SMALL = CorpusSettings(sequence_length=64, reuse_length=32, permutation_size=32, predictions=10, shards=3)
FLAGS = ["--sequence-length=64", "--reuse-length=32", "--permutation-size=32", "--predictions=10", "--shards=3"]
ROOT = Path(preprocess.__file__).resolve().parent.parent


@pytest.fixture
def words(service, objects, text, vocabulary):
    """The command, with text and vocabulary on the bucket."""
    for name, path in [(f"text/{path.name}", path) for path in text] + [("spiece.model", Path(vocabulary))]:
        objects.insert("bucket", name, {}, content=path.read_bytes(), properties={})
    asked = [f"--beam={flag}" for flag in service.flags]
    return [
        *["preprocess", "gs://bucket/text/*.txt", "--vocabulary=gs://bucket/spiece.model", "--output=gs://bucket/data"],
        *FLAGS,
        *asked,
    ]


def work(bucket):
    """What Dataflow's workers would do with the pipeline that was staged last."""
    name = sorted(name for name in bucket if name.endswith("/pipeline.pb"))[-1]
    pipeline = beam_runner_api_pb2.Pipeline.FromString(bucket[name].content)
    for environment in pipeline.components.environments.values():
        assert environment.urn == common_urns.environments.DOCKER.urn
        environment.urn, environment.payload = python_urns.EMBEDDED_PYTHON, b""
        del environment.dependencies[:]
    options = beam.options.pipeline_options.PipelineOptions([])
    result = FnApiRunner().run_via_runner_api(pipeline, options)
    return {found.key.metric.name: found.committed for found in result.metrics().query()["counters"]}


def content(bucket, prefix="data/shards/"):
    return {name.removeprefix(prefix): kept.content for name, kept in bucket.items() if name.startswith(prefix)}


def test_a_launcher_that_is_killed_and_started_again_gets_the_bytes_of_a_run_in_memory(
    words, service, bucket, text, vocabulary, tmp_path, capsys
):
    service.states = ["PENDING", *["RUNNING"] * 10_000]
    with subprocess.Popen([sys.executable, "-m", "xlnet.cli", *words], cwd=ROOT, stderr=subprocess.PIPE) as launcher:
        assert launcher.stderr is not None
        lines = iter(launcher.stderr.readline, b"")
        assert any(b"waits on it again" in line for line in lines)
        launcher.terminate()
    assert [job.state in ("PENDING", "RUNNING") for job in service.jobs] == [True]

    def finish(job):
        service.counters = work(bucket)
        job.states[:] = ["RUNNING", "DONE"]

    service.during = finish
    assert main(words) == 0
    assert (service.asked.count("POST"), len(service.jobs)) == (1, 1)
    told = capsys.readouterr()
    manifest = Manifest.read("gs://bucket/data")
    assert f"{manifest.counts['documents_in']:,} documents" in told.err
    assert f"{manifest.counts['documents_in']:,}" in told.out

    preprocess.run(list(map(str, text)), str(tmp_path / "data"), vocabulary=vocabulary, settings=SMALL)
    shards = tmp_path / "data/shards"
    paths = [path for path in shards.rglob("*") if path.is_file()]
    assert content(bucket) == {path.relative_to(shards).as_posix(): path.read_bytes() for path in paths}

    asked = list(service.asked)
    assert main(words) == 0  # all of it is there already
    assert service.asked == asked


def test_a_job_that_fails_is_one_line_and_exit_2(words, service, bucket, capsys):
    service.states, service.errors = ["RUNNING", "FAILED"], ["Quota 'CPUS' exceeded. Limit: 8.0"]
    assert main(words) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("error: the Dataflow job failed: Quota 'CPUS' exceeded. Limit: 8.0 (https://console.")
    service.states = ["RUNNING", "DONE"]
    service.during = lambda job: work(bucket)
    assert main(words) == 0  # nothing of the first run is in the way
    assert service.asked.count("POST") == 2


def test_an_option_that_is_missing_is_one_line_and_exit_2(words, service, bucket, capsys):
    assert main([word for word in words if "--region" not in word]) == 2
    assert capsys.readouterr().err == "error: Dataflow needs region; add --beam=--region=europe-west1\n"
    assert not service.asked
    service.during = lambda job: work(bucket)
    assert main(words) == 0  # nothing of the first try is in the way


def test_an_option_that_is_missing_leaves_the_output_as_it_was(words, service, bucket):
    before = set(bucket)
    assert main([word for word in words if "--region" not in word]) == 2
    assert set(bucket) == before


def test_a_template_is_written_and_nothing_runs(words, service, bucket):
    assert main([*words, "--beam=--template_location=gs://bucket/templates/preprocess"]) == 0
    assert b"xlnet-preprocess-" in bucket["templates/preprocess"].content
    assert "POST" not in service.asked
    assert main([*words, "--beam=--dry_run=True"]) == 0
    assert "POST" not in service.asked


def test_a_launcher_that_no_longer_sees_its_job_leaves_what_the_job_needs(words, service, bucket, capsys):
    def vanish(job):
        service.refusal = 403, "the account was closed"

    service.states, service.during = ["RUNNING"] * 3, vanish
    assert main(words) == 2
    assert "the job goes on, the same command waits on it again" in capsys.readouterr().err
    assert "data/spiece.model" in bucket
    service.refusal = None
    service.during = lambda job: (work(bucket), job.states.__setitem__(slice(None), ["RUNNING", "DONE"]))
    assert main(words) == 0
    assert service.asked.count("POST") == 1
