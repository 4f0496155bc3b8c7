"""Dataflow's jobs as its service tells of them: found by name, submitted, waited for, stopped."""

import contextlib
import logging
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions

from pipelines.running import mendable
from xlnet import buckets
from xlnet.errors import UserError

POLL = 5.0  # seconds between looks at a job
TELL = 60.0  # seconds between lines about it
PATIENCE = 60.0  # seconds in which the service may be away, or a job's reason come after its end
ENDED = ("DONE", "FAILED", "CANCELLED", "UPDATED", "DRAINED")
ENDING = ("CANCELLING", "RESOURCE_CLEANING_UP")
REFUSALS = {  # exceptions of google.api_core, google.auth and requests by name
    "BadRequest": "Dataflow refuses the job: {}",
    "InvalidArgument": "Dataflow refuses the job: {}",
    "Unauthorized": "Dataflow needs credentials; run gcloud auth application-default login",
    "Unauthenticated": "Dataflow needs credentials; run gcloud auth application-default login",
    "DefaultCredentialsError": "Dataflow needs credentials; run gcloud auth application-default login",
    "RefreshError": "the credentials are no longer valid; log in again",
    "Forbidden": "these credentials may not use Dataflow ({}); grant the roles that docs/dataflow.md names",
    "PermissionDenied": "these credentials may not use Dataflow ({}); grant the roles that docs/dataflow.md names",
    "NotFound": "Dataflow does not find it ({}); check project and region",
    "TooManyRequests": "a quota of Dataflow is used up: {}",
    "ResourceExhausted": "a quota of Dataflow is used up: {}",
    "RetryError": "Dataflow cannot be reached; check the network",
    "ServiceUnavailable": "Dataflow cannot be reached; try again, a job that runs already is found: {}",
    "ConnectionError": "Dataflow cannot be reached; check the network",
    "TransportError": "Dataflow cannot be reached; check the network",
}


class GoesOn(UserError):
    """The launcher can no longer see its job, which may be running: what it needs must stay where it is."""


class Jobs:
    """The jobs of a project in a region. Raises UserError for what the service refuses."""

    def __init__(self, options: PipelineOptions) -> None:
        try:
            from apache_beam.runners.dataflow.internal import apiclient
        except ImportError:
            raise UserError("Dataflow needs the extra: pip install 'xlnet-pipelines[gcp]'") from None
        self.cloud = options.view_as(GoogleCloudOptions)
        with refusing():
            self.client = apiclient.DataflowApplicationClient(options)

    def page(self, job: str) -> str:
        """Where a person looks at a job."""
        place = f"{self.cloud.region}/{job}?project={self.cloud.project}"
        return f"https://console.cloud.google.com/dataflow/jobs/{place}"

    def active(self, name: str) -> Any:
        """The job of that name that has not ended, or None. One that is being stopped is waited for."""
        from google.api_core.retry import Retry
        from google.cloud import dataflow_v1beta3 as api

        request = api.ListJobsRequest(
            project_id=self.cloud.project,
            location=self.cloud.region,
            filter=api.ListJobsRequest.Filter.ACTIVE,
            name=name,
        )
        with refusing():
            listed = self.client._jobs_client.list_jobs(request, retry=Retry(timeout=PATIENCE))
            found = [job for job in listed if job.name == name]
        going = [job for job in found if state(job) not in ENDED]
        for job in going:
            if state(job) in ENDING:
                self._until_ended(job.id)
        return next((job for job in going if state(job) not in ENDING), None)

    def launch(self, pipeline: beam.Pipeline, name: str) -> Any:
        """Submit a pipeline; the job of that name that another launcher was first to submit is as good."""
        from apache_beam.runners.dataflow.internal.apiclient import DataflowJobAlreadyExistsError
        from google.api_core.exceptions import Conflict

        self._require_buckets()
        try:
            with refusing():
                result: Any = pipeline.run()
                return result._job
        except (Conflict, DataflowJobAlreadyExistsError) as error:
            reason = " ".join(str(error).split())
        until = time.monotonic() + PATIENCE  # a job is not always listed at once
        while (found := self.active(name)) is None:
            if time.monotonic() > until:
                raise UserError(f"Dataflow has a job {name} but does not show it; try again ({reason})")
            time.sleep(POLL)
        print(f"dataflow: another launcher has submitted {name}", file=sys.stderr)
        return found

    def _require_buckets(self) -> None:
        """Beam would try for six minutes to write into a bucket that is not there."""
        for folder in {self.cloud.temp_location, self.cloud.staging_location or self.cloud.temp_location}:
            with buckets.refusing(folder):
                self.client._storage_client.get_bucket(buckets.split(f"{folder}/_")[0])

    def wait(self, job: str) -> None:
        """Wait until a job is done, and tell of it.

        Raises UserError with its page and its last error when it is not, GoesOn when that cannot be seen.
        """
        place = f"--project={self.cloud.project} --region={self.cloud.region}"
        print(f"dataflow: {self.page(job)}", file=sys.stderr)
        print(
            "dataflow: the job goes on when this command is stopped; the same command waits on it again, "
            f"gcloud dataflow jobs cancel {job} {place} stops it",
            file=sys.stderr,
        )
        try:
            ended = self._until_ended(job, tells=True)
        except Exception as error:
            raise GoesOn(f"{error}; the job goes on, the same command waits on it again ({self.page(job)})") from error
        if ended == "FAILED":
            raise UserError(f"the Dataflow job failed: {self._reason(job)} ({self.page(job)})")
        if ended != "DONE":
            raise UserError(f"the Dataflow job was stopped ({ended.lower()}); start it again ({self.page(job)})")

    def stop(self, job: str) -> None:
        """Cancel a job and wait until it has ended."""
        with refusing():
            self.client.modify_job_state(job, "JOB_STATE_CANCELLED")
        self._until_ended(job)

    def _until_ended(self, job: str, *, tells: bool = False) -> str:
        told, last = float("-inf"), ""
        while True:
            with refusing():
                now = state(self.client.get_job(job))
            is_over = now in ENDED
            if tells and (now != last or time.monotonic() - told > TELL):
                print(f"dataflow: {now.lower().replace('_', ' ')}{self._counters(job)}", file=sys.stderr, flush=True)
                told, last = time.monotonic(), now
            if is_over:
                return now
            time.sleep(POLL)

    def _counters(self, job: str) -> str:
        """The pipeline's own counters, summed over its steps."""
        sums: dict[str, int] = defaultdict(int)
        with contextlib.suppress(UserError), refusing():
            for metric in self.client.get_job_metrics(job).metrics:
                if (
                    metric.name.origin == "user"
                    and "tentative" not in metric.name.context
                    and metric.scalar is not None
                ):
                    sums[metric.name.name] += int(metric.scalar)
        told = ", ".join(f"{count:,} {name}" for name, count in sums.items())
        return f": {told}" if told else ""

    def _reason(self, job: str) -> str:
        """The last error of a failed job that says most: what the user can mend, a traceback's last line, any."""
        until = time.monotonic() + PATIENCE
        while not (texts := self._errors(job)) and time.monotonic() < until:
            time.sleep(min(POLL, PATIENCE / 10))
        told = [found for text in texts if (found := mendable(text))]
        tracebacks = [text.strip().splitlines()[-1] for text in texts if "Traceback" in text]
        own = [text for text in texts if "work item was attempted" not in text]
        return next((" ".join(some[-1].split()) for some in (told, tracebacks, own, texts) if some), "no reason given")

    def _errors(self, job: str) -> list[str]:
        texts: list[str] = []
        token = None
        with refusing():
            while True:
                messages, token = self.client.list_messages(
                    job, page_token=token, minimum_importance="JOB_MESSAGE_ERROR"
                )
                texts += [message.message_text for message in messages if message.message_text]
                if not token:
                    return texts


def state(job: Any) -> str:
    """A job's state, such as RUNNING."""
    return "UNKNOWN" if job.current_state is None else job.current_state.name.removeprefix("JOB_STATE_")


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Turns what the services refuse into one line; Beam would log it in many."""
    loud = [logging.getLogger(f"apache_beam.{name}") for name in ("runners.dataflow.internal.apiclient", "utils.retry")]
    levels = [logger.level for logger in loud]
    for logger in loud:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    except Exception as told:
        error = getattr(told, "cause", None) or told  # of a client that has lost its patience
        said = " ".join(str(getattr(error, "message", error)).split())
        if isinstance(error, OSError) and said.startswith("Could not upload to GCS"):
            raise UserError(said) from None
        refusal = next((REFUSALS[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in REFUSALS), None)
        if refusal is None:
            raise
        raise UserError(refusal.format(said)) from None
    finally:
        for logger, level in zip(loud, levels, strict=True):
            logger.setLevel(level)
