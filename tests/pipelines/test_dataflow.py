import logging
import os
import re
import signal
import threading

import apache_beam as beam
import pytest
from apache_beam.portability.api import beam_runner_api_pb2

from pipelines import dataflow, dataflow_jobs
from pipelines.cancelling import on_termination
from xlnet.errors import UserError

IMAGE = "example/xlnet-beam:1"  # as the service's flags have it
MEMORY = "Traceback (most recent call last):\n  File a.py\nMemoryError: 7 GB\n"
PDF = """Traceback (most recent call last):
  File a.py
xlnet.errors.UserError: gs://b/a.pdf is not text; give text [while running 'Tokenize-ptransform-7']

During handling of the above exception, another exception occurred:
Traceback (most recent call last):
other"""


def execute(service, *flags, identity="books"):
    pipeline = beam.Pipeline(options=dataflow.options([*service.flags, *flags]))
    _ = pipeline | beam.Create([1, 2, 3]) | "Doubled" >> beam.Map(abs)
    return dataflow.execute(pipeline, identity=identity)


def posts(service):
    return service.asked.count("POST")


def refused(service, *flags, code=None, **options):
    with pytest.raises(UserError) as caught:
        execute(service, *flags, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.slow
def test_a_job_is_submitted_with_its_name_its_labels_its_image_and_the_workers_that_were_asked_for(
    service, bucket, capsys
):
    service.counters = {"documents": 1234}
    assert execute(service, "--labels=team=nlp", "--max_num_workers=7", "--machine_type=n2-standard-4")
    posted = service.jobs[0].posted
    assert posted["name"] == dataflow.job_name("books")
    assert posted["labels"] == {
        "team": "nlp",
        "xlnet-version": "0-1-0",
        "xlnet-data": posted["name"].removeprefix("xlnet-preprocess-"),
    }
    pool = posted["environment"]["workerPools"][0]
    assert pool["sdkHarnessContainerImages"][0]["containerImage"] == IMAGE
    assert pool["machineType"] == "n2-standard-4"
    assert pool["autoscalingSettings"]["maxNumWorkers"] == 7
    told = capsys.readouterr().err
    assert "https://console.cloud.google.com/dataflow/jobs/europe-west1/job-1?project=test-project" in told
    assert "dataflow: done: 1,234 documents" in told
    steps = staged(bucket).components.transforms.values()
    assert [step.unique_name for step in steps if step.unique_name == "Doubled"]


def staged(bucket):
    """The pipeline that was staged last."""
    name = [name for name in bucket if name.endswith("/pipeline.pb")][-1]
    return beam_runner_api_pb2.Pipeline.FromString(bucket[name].content)


NEEDED = ["--project=test-project", "--region=europe-west1", "--temp_location=gs://bucket/temp"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "Dataflow needs project, region, temp_location; add --beam=--project=my-project --beam=--region=europe-"),
        (NEEDED[1:], "Dataflow needs project; add --beam=--project=my-project$"),
        (["--temp_location=/tmp", *NEEDED[:2]], "temp_location is '/tmp', wanted is a folder on gs://"),
        (["--staging_location=/tmp", *NEEDED], "staging_location is '/tmp', wanted is a folder on gs://"),
        (NEEDED, "workers need this package: build docker/beam.Dockerfile, .* --beam=--sdk_container_image=IMAGE"),
        (["--max_num_worker=3", *NEEDED], "unknown Beam option --max_num_worker; did you mean 'max_num_workers'"),
        (["--num_workers=many", *NEEDED], "--num_workers: invalid int value: 'many'"),
        (["--project=12345", f"--sdk_container_image={IMAGE}", *NEEDED[1:]], "project is '12345', wanted are a-z"),
        (
            ["--labels={", f"--sdk_container_image={IMAGE}", *NEEDED],
            "labels are '{', wanted are KEY=VALUE or a JSON object",
        ),
    ],
)
def test_an_option_that_is_missing_or_wrong_is_one_line_with_what_to_add(flags, message):
    with pytest.raises(UserError, match=message) as caught:
        dataflow.options(["--runner=DataflowRunner", *flags])
    assert "\n" not in str(caught.value)


def test_a_path_that_workers_cannot_reach_is_refused():
    flags = ["--runner=DataflowRunner", f"--sdk_container_image={IMAGE}", *NEEDED]
    assert dataflow.options(flags, paths=["gs://bucket/a.txt"])
    with pytest.raises(UserError, match=r"/data/a.txt is on this machine.*copy it to gs://"):
        dataflow.options(flags, paths=["gs://bucket/a.txt", "/data/a.txt"])


def test_dataflow_is_told_from_other_runners():
    assert dataflow.is_wanted(["--project=p", "--runner=DataflowRunner"])
    assert dataflow.is_wanted(["--runner", "dataflow"])
    assert not dataflow.is_wanted(["--runner=FlinkRunner"])
    assert not dataflow.is_wanted([])


def test_names_tell_jobs_apart_and_are_allowed():
    assert dataflow.job_name("a") == dataflow.job_name("a") != dataflow.job_name("b")
    assert len(dataflow.job_name("a")) <= 63


@pytest.mark.slow
def test_a_retry_waits_on_the_job_that_runs(service, monkeypatch, capsys):
    """The first launcher is interrupted; its job goes on."""

    def interrupt(job):
        monkeypatch.setattr(service, "during", lambda job: None)
        raise KeyboardInterrupt

    real = dataflow_jobs.Jobs._until_ended
    monkeypatch.setattr(dataflow_jobs.Jobs, "_until_ended", lambda *_, **__: interrupt(None))
    with pytest.raises(KeyboardInterrupt):
        execute(service)
    assert (posts(service), service.jobs[0].state) == (1, "PENDING")
    monkeypatch.setattr(dataflow_jobs.Jobs, "_until_ended", real)
    assert execute(service)
    assert (posts(service), len(service.jobs), service.jobs[0].state) == (1, 1, "DONE")
    assert "there already; nothing is submitted" in capsys.readouterr().err
    assert execute(service, identity="other")
    assert posts(service) == 2


@pytest.mark.slow
def test_a_launcher_that_is_lost_between_the_launch_and_its_record_leaves_a_job_that_its_retry_finds(
    service, monkeypatch
):
    class Lost(BaseException):
        """The pod is gone."""

    def lose(jobs, pipeline, name):
        launch(jobs, pipeline, name)
        raise Lost

    launch = dataflow_jobs.Jobs.launch
    monkeypatch.setattr(dataflow_jobs.Jobs, "launch", lose)
    with pytest.raises(Lost):
        execute(service)
    assert [job.state for job in service.jobs] == ["PENDING"]
    monkeypatch.setattr(dataflow_jobs.Jobs, "launch", launch)
    assert execute(service)
    assert (posts(service), [job.state for job in service.jobs]) == (1, ["DONE"])


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["while it runs", "before its launch is recorded"])
def test_a_step_that_gets_sigterm_cancels_its_job_and_a_retry_starts_another(service, monkeypatch, moment):
    def stop(job=None):
        monkeypatch.setattr(service, "during", lambda job: None)
        os.kill(os.getpid(), signal.SIGTERM)

    def launch_and_stop(jobs, pipeline, name):
        launch(jobs, pipeline, name)
        stop()

    launch = dataflow_jobs.Jobs.launch
    if moment == "while it runs":
        service.states = ["RUNNING"] * 1000
        service.during = stop
    else:
        monkeypatch.setattr(dataflow_jobs.Jobs, "launch", launch_and_stop)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended, on_termination():
        execute(service)
    assert ended.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == before
    assert [job.state for job in service.jobs] == ["CANCELLED"]
    monkeypatch.setattr(dataflow_jobs.Jobs, "launch", launch)
    service.states = ["RUNNING", "DONE"]
    assert execute(service)
    assert [job.state for job in service.jobs] == ["CANCELLED", "DONE"]


@pytest.mark.slow
def test_of_two_launchers_at_once_one_submits_and_both_wait(service, monkeypatch):
    """Neither sees the other's job when it looks; the service lets one in."""
    service.states = ["PENDING", *["RUNNING"] * 20, "DONE"]
    assert service.start({"name": dataflow.job_name("books"), "clientRequestId": "another"})
    service.hidden = 2
    assert execute(service)
    assert (posts(service), len(service.jobs), service.jobs[0].state) == (1, 1, "DONE")


@pytest.mark.slow
def test_an_answer_that_is_lost_makes_no_second_job(service, monkeypatch):
    service.lost = 1
    monkeypatch.setattr("apache_beam.utils.retry.Clock.sleep", lambda clock, seconds: None)
    assert execute(service)
    assert (posts(service), len(service.jobs)) == (2, 1)


@pytest.mark.slow
def test_a_job_that_has_ended_is_not_waited_on(service):
    assert execute(service)
    assert execute(service)
    assert [job.state for job in service.jobs] == ["DONE", "DONE"]


@pytest.mark.slow
def test_a_job_that_is_being_stopped_is_waited_for_and_then_replaced(service):
    stopped = service.start({"name": dataflow.job_name("books")})
    stopped.states[:] = ["CANCELLING", "CANCELLING", "CANCELLED"]
    assert execute(service)
    assert [job.state for job in service.jobs] == ["CANCELLED", "DONE"]


@pytest.mark.slow
def test_a_job_of_the_given_name_that_makes_something_else_is_not_waited_on(service):
    service.start({"name": "mine", "labels": {"xlnet-data": "0123"}})
    assert "the job mine that runs makes another data set (https" in refused(service, "--job_name=mine")
    assert posts(service) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        ([], "no reason given"),
        (["Workflow failed.", "The work item was attempted 4 times."], "Workflow failed."),
        ([MEMORY, "Workflow failed."], "MemoryError: 7 GB"),
        ([PDF, MEMORY, "Workflow failed."], "gs://b/a.pdf is not text; give text"),
    ],
)
def test_a_failed_job_is_one_line_with_its_reason_and_its_page(errors, reason, service):
    service.states, service.errors = ["RUNNING", "FAILED"], errors
    page = "https://console.cloud.google.com/dataflow/jobs/europe-west1/job-1?project=test-project"
    assert refused(service) == f"the Dataflow job failed: {reason} ({page})"


@pytest.mark.slow
def test_a_job_can_be_cancelled_and_then_its_launcher_says_so(service):
    options = dataflow.options(service.flags)
    assert dataflow.cancel(options, identity="books") is None
    service.states = ["RUNNING"]
    waiting = threading.Thread(target=lambda: messages.append(refused(service)))
    messages = []
    waiting.start()
    while not service.jobs:
        assert waiting.is_alive()
    assert dataflow.cancel(options, identity="books") == "job-1"
    waiting.join()
    assert service.jobs[0].state == "CANCELLED"
    assert "was stopped (cancelled)" in messages[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "refuses the job: .*the reason"),
        (401, "needs credentials; run gcloud"),
        (403, "may not use Dataflow .*the reason.*docs/dataflow.md"),
        (404, "check project and region"),
        (429, "quota"),
    ],
)
def test_what_the_service_refuses_is_one_line(status, words, service, caplog):
    service.refusal = status, "the reason"
    assert re.search(words, refused(service))
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.slow
def test_a_bucket_that_is_not_there_is_one_line(service, bucket):
    wanted = "gs://nowhere/temp does not exist, or its bucket does not"
    assert refused(service, "--temp_location=gs://nowhere/temp") == wanted
    assert refused(service, "--staging_location=gs://nowhere/temp") == wanted
    assert posts(service) == 0
