"""The job on Google Cloud Dataflow: submitted once, found again by a retry, waited for.

A job's name is a hash of what it makes, and Dataflow runs one job of a name at a time. So a launcher that is started
again looks for the name first, and waits on the job that it finds; whoever comes second in a race is told so by the
service, and waits as well. The job belongs to the service, not to the launcher: stopping the launcher (Ctrl-C,
SIGTERM, a lost pod) does not stop the job. `cancel` does, and SIGTERM to a pipeline's step (`cancelling`).
"""

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    GoogleCloudOptions,
    PipelineOptions,
    SetupOptions,
    TestOptions,
    WorkerOptions,
)
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator as Rules

from pipelines.cancelling import Terminated
from pipelines.options import one_line, require_known
from xlnet import __version__, storage
from xlnet.errors import UserError

RUNNERS = ("dataflowrunner", "dataflow", "apache_beam.runners.dataflow.dataflow_runner.dataflowrunner")
NEEDED = {  # options without which no job can start, with an example of each
    "project": "my-project",
    "region": "europe-west1",
    "temp_location": "gs://my-bucket/temp",
}
CODE = ("sdk_container_image", "setup_file", "extra_packages", "requirements_file")  # how workers get this package
VERSION, DATA = "xlnet-version", "xlnet-data"  # labels


def is_wanted(flags: Sequence[str]) -> bool:
    """Whether Beam's options name Dataflow as the runner."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--runner", default="")
    with one_line():
        return parser.parse_known_args(list(flags))[0].runner.lower() in RUNNERS


def options(flags: Sequence[str], *, paths: Sequence[str] = ()) -> PipelineOptions:
    """Beam's options for a job on Dataflow that reads and writes `paths`.

    Raises UserError for what is missing, misspelt or wrong, with the flag that mends it. Asks no service.
    """
    with one_line():
        parsed = PipelineOptions(list(flags))
        views = [parsed.view_as(kind) for kind in (GoogleCloudOptions, WorkerOptions, SetupOptions)]
    cloud = views[0]
    if not cloud.template_location:  # to which a template's launcher adds what is not Beam's
        require_known(parsed)  # here it would be found on the bill
    if missing := [name for name in NEEDED if not getattr(cloud, name)]:
        added = " ".join(f"--beam=--{name}={NEEDED[name]}" for name in missing)
        raise UserError(f"Dataflow needs {', '.join(missing)}; add {added}")
    for name in ("temp_location", "staging_location"):
        if not storage.is_remote(getattr(cloud, name) or storage.REMOTE):
            raise UserError(f"{name} is {getattr(cloud, name)!r}, wanted is a folder on gs://, which workers can reach")
    if not any(getattr(view, name, None) for view in views for name in CODE):
        raise UserError(
            "Dataflow's workers need this package: build docker/beam.Dockerfile, push the image, and add "
            "--beam=--sdk_container_image=IMAGE"
        )
    _labels(cloud)
    for path in paths:
        if not storage.is_remote(path):
            raise UserError(f"{path} is on this machine, where Dataflow's workers cannot reach it; copy it to gs://")
    for name, pattern in (("project", Rules.PROJECT_ID_PATTERN), ("job_name", Rules.JOB_PATTERN)):
        if not re.fullmatch(pattern, getattr(cloud, name) or "a-0"):
            raise UserError(f"{name} is {getattr(cloud, name)!r}, wanted are a-z, 0-9 and -, beginning with a letter")
    return parsed


def job_name(identity: str) -> str:
    """The name of the job that makes what `identity` describes: output, settings, vocabulary, inputs."""
    return f"xlnet-preprocess-{_digest(identity)}"


def execute(pipeline: beam.Pipeline, *, identity: str) -> bool:
    """Run a pipeline that was made with `options` to its end, as the one job of its name.

    A job of that name that runs already is waited on, and nothing is submitted. Returns whether a job has run to its
    end: not so with `--dry_run` and `--template_location`, which only describe it.

    Where `cancelling.on_termination` holds, SIGTERM cancels the job.

    Raises UserError in one line, with the job's page, when it fails, and when the service refuses it; GoesOn, which
    is one as well, when the job cannot be seen any more.
    """
    from pipelines.dataflow_jobs import Jobs, refusing

    options = pipeline.options  # a copy of those that it was made with
    cloud = options.view_as(GoogleCloudOptions)
    cloud.job_name = cloud.job_name or job_name(identity)
    cloud.labels = [*_labels(cloud), f"{VERSION}={__version__.replace('.', '-')}", f"{DATA}={_digest(identity)}"]
    if options.view_as(TestOptions).dry_run or cloud.template_location:
        with refusing():
            pipeline.run()
        return False
    jobs = Jobs(options)
    try:
        _follow(jobs, pipeline, cloud.job_name, digest=_digest(identity))
    except Terminated:  # also between the launch and what the service answered
        if (going := jobs.active(cloud.job_name)) is not None:
            jobs.stop(going.id)
            print(f"dataflow: cancelled {cloud.job_name} ({jobs.page(going.id)})", file=sys.stderr, flush=True)
        raise
    return True


def _follow(jobs: Any, pipeline: beam.Pipeline, name: str, *, digest: str) -> None:
    """Wait on the job of that name, which is launched where none runs."""
    job = jobs.active(name)
    if job is None:
        job = jobs.launch(pipeline, name)
    else:
        print(f"dataflow: {name} is there already; nothing is submitted", file=sys.stderr)
    other = dict(job.labels or {}).get(DATA, digest)
    if other != digest:
        raise UserError(
            f"the job {name} that runs makes another data set ({jobs.page(job.id)}); wait until it has "
            "ended, or leave out --beam=--job_name"
        )
    jobs.wait(job.id)


def cancel(options: PipelineOptions, *, identity: str) -> str | None:
    """Stop the job that makes `identity`, and wait until it has ended; returns its id, None when none runs."""
    from pipelines.dataflow_jobs import Jobs

    jobs = Jobs(options)
    job = jobs.active(options.view_as(GoogleCloudOptions).job_name or job_name(identity))
    if job is not None:
        jobs.stop(job.id)
    return None if job is None else job.id


def _digest(identity: str) -> str:
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def _labels(cloud: Any) -> list[str]:
    """The user's labels: `key=value`, each, or all as one JSON object."""
    given = [cloud.labels] if isinstance(cloud.labels, str) else list(cloud.labels or [])
    try:
        read = [json.loads(label) if label.startswith("{") else dict([label.split("=", 1)]) for label in given]
    except ValueError:
        raise UserError(f"labels are {' '.join(given)!r}, wanted are KEY=VALUE or a JSON object") from None
    return [f"{key}={value}" for labels in read for key, value in labels.items() if key not in (VERSION, DATA)]
