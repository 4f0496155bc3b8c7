"""Runs and schedules on a Kubeflow cluster, by name: submitted once, found again, watched, stopped."""

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kfp_server_api as api
import urllib3

from pipelines import compiling, inputs
from pipelines.cluster import Cluster
from xlnet import storage
from xlnet.corpus import sources
from xlnet.errors import UserError, require

HOST, TOKEN = "KF_PIPELINES_ENDPOINT", "KF_PIPELINES_TOKEN"  # environment variables
IN_CLUSTER = Path("/var/run/secrets/kubeflow/pipelines/token")  # where Kubeflow mounts a pod's token
PAGE = 100  # runs at a time
ENDED_BADLY = ("FAILED", "CANCELED", "CANCELING")
NAMES = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,100}")
LOG = "/apis/v1alpha1/runs/{run_id}/nodes/{node_id}/log"  # the API server's only way to a pod's log
FIELDS = (("second", 0, 59), ("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
PART = re.compile(r"(\*|\?|(\d+)(-(\d+))?)(/[1-9]\d*)?|[A-Za-z]{3}(-[A-Za-z]{3})?")


@dataclass(frozen=True)
class Submitted:
    """A run or a schedule, and whether this call made it."""

    id: str
    name: str
    is_new: bool
    state: str


class Kubeflow:
    """The pipelines of a cluster, in one experiment. Raises UserError for what the service refuses."""

    def __init__(self, host: str | None = None, *, experiment: str = "xlnet", namespace: str | None = None) -> None:
        host = host or os.environ.get(HOST)
        if not host or not re.fullmatch(r"https?://\S+", host):
            raise UserError(f"the host is {host!r}; give --host or set {HOST}, for example http://localhost:8080")
        configuration = api.Configuration(host=host.rstrip("/"))
        token = os.environ.get(TOKEN) or (IN_CLUSTER.read_text().strip() if IN_CLUSTER.exists() else "")
        if token:
            configuration.api_key["authorization"] = token
            configuration.api_key_prefix["authorization"] = "Bearer"
        configuration.retries = urllib3.Retry(3, backoff_factor=0.5, status_forcelist=[502, 503, 504])  # not of POST
        self.client = api.ApiClient(configuration)
        self.runs = api.RunServiceApi(self.client)
        self.schedules = api.RecurringRunServiceApi(self.client)
        self.experiments = api.ExperimentServiceApi(self.client)
        self.experiment, self.namespace = require_name("the experiment", experiment), namespace

    def submit(
        self, name: str, parameters: Mapping[str, Any], cluster: Cluster, *, root: str | None = None
    ) -> Submitted:
        """Start a run, unless one of that name is going on or has ended well: that one is returned.

        So whoever does not know whether a submission arrived submits again.
        """
        require_name("the run's name", name)
        require_reachable(parameters)
        for run in self._runs(name):
            if run.state not in ENDED_BADLY:
                return Submitted(run.run_id, name, False, run.state or "PENDING")
        body = api.V2beta1Run(
            experiment_id=self._own_experiment(),
            display_name=name,
            pipeline_spec=_specification(cluster),
            runtime_config=api.V2beta1RuntimeConfig(parameters=dict(parameters), pipeline_root=root),
            service_account=cluster.service_account or None,
        )
        with refusing():
            made = self.runs.run_service_create_run(run=body)
        return Submitted(made.run_id, name, True, made.state or "PENDING")

    def schedule(
        self,
        name: str,
        cron: str,
        parameters: Mapping[str, Any],
        cluster: Cluster,
        *,
        root: str | None = None,
        concurrency: int = 1,
        catches_up: bool = False,
    ) -> Submitted:
        """Run again and again. A schedule of that name that says the same stays; one that says another is replaced."""
        require_name("the schedule's name", name)
        require_reachable(parameters)
        require(1 <= concurrency <= 10, "max_concurrency", concurrency, "1 to 10")
        body = api.V2beta1RecurringRun(
            experiment_id=self._own_experiment(),
            display_name=name,
            pipeline_spec=_specification(cluster),
            runtime_config=api.V2beta1RuntimeConfig(parameters=dict(parameters), pipeline_root=root),
            service_account=cluster.service_account or None,
            trigger=api.V2beta1Trigger(cron_schedule=api.V2beta1CronSchedule(cron=cron_of(cron))),
            max_concurrency=str(concurrency),
            no_catchup=not catches_up,
            mode=api.RecurringRunMode.ENABLE,
        )
        before = self._schedules(name)
        for found in before:
            if all(_same(found, body, key) for key in ("trigger", "runtime_config", "pipeline_spec")) and (
                str(found.max_concurrency),
                bool(found.no_catchup),
            ) == (body.max_concurrency, body.no_catchup):
                return Submitted(found.recurring_run_id, name, False, str(found.status))
        with refusing():
            for found in before:  # so that never two of them run
                self.schedules.recurring_run_service_disable_recurring_run(found.recurring_run_id)
            made = self.schedules.recurring_run_service_create_recurring_run(recurring_run=body)
            for found in before:
                self.schedules.recurring_run_service_delete_recurring_run(found.recurring_run_id)
        return Submitted(made.recurring_run_id, name, True, "ENABLED")

    def pause(self, name: str) -> None:
        """Let a schedule rest."""
        with refusing():
            self.schedules.recurring_run_service_disable_recurring_run(self._schedule(name).recurring_run_id)

    def resume(self, name: str) -> None:
        """Let a schedule that rests go on."""
        with refusing():
            self.schedules.recurring_run_service_enable_recurring_run(self._schedule(name).recurring_run_id)

    def remove(self, name: str) -> None:
        """End a schedule; its runs stay."""
        with refusing():
            self.schedules.recurring_run_service_delete_recurring_run(self._schedule(name).recurring_run_id)

    def listed(self) -> tuple[list[Any], list[Any]]:
        """The runs of the experiment, newest first, and its schedules."""
        return self._runs(), self._schedules()

    def run(self, name: str) -> Any:
        """The newest run of that name, or of that id, with its tasks. Raises UserError when there is none."""
        found = [run.run_id for run in self._runs(name)] or [name]
        with refusing(f"there is no run {name!r}; xlnet pipeline list names them"):
            return self.runs.run_service_get_run(found[0])

    def cancel(self, name: str) -> Any:
        """Stop a run; its pods get SIGTERM, and Dataflow's job is cancelled with them. Returns the run as it was."""
        run = self.run(name)
        if run.state in ("PENDING", "RUNNING", "PAUSED", None):
            with refusing():
                self.runs.run_service_terminate_run(run.run_id)
        return run

    def logs(self, name: str, *, step: str | None = None) -> Iterator[tuple[str, str]]:
        """The name of each step that has a pod, and the pod's log; of one step, where it is given."""
        run = self.run(name)
        tasks = [task for task in steps(run) if step is None or task.display_name == step]
        if not tasks:
            known = ", ".join(sorted({task.display_name for task in steps(run)})) or "none yet"
            raise UserError(f"the run {name!r} has no step {step!r} with a log; there are {known}")
        for task in tasks:
            for pod in pods(task):
                with refusing():
                    text, _, _ = self.client.call_api(
                        LOG,
                        "GET",
                        path_params={"run_id": run.run_id, "node_id": pod},
                        response_type="str",
                        auth_settings=["Bearer"],
                    )
                yield task.display_name, text or ""

    def _experiment(self) -> str | None:
        with refusing():
            told = self.experiments.experiment_service_list_experiments(filter=_named(self.experiment), **self._place())
        return next((found.experiment_id for found in told.experiments or []), None)

    def _own_experiment(self) -> str:
        """The experiment, made where it is missing."""
        known = self._experiment()
        if known is not None:
            return known
        with refusing():
            body = api.V2beta1Experiment(display_name=self.experiment, namespace=self.namespace)
            return self.experiments.experiment_service_create_experiment(experiment=body).experiment_id

    def _runs(self, name: str | None = None) -> list[Any]:
        return list(self._pages(self.runs.run_service_list_runs, "runs", name))

    def _schedules(self, name: str | None = None) -> list[Any]:
        return list(self._pages(self.schedules.recurring_run_service_list_recurring_runs, "recurring_runs", name))

    def _pages(self, listing: Any, kind: str, name: str | None) -> Iterator[Any]:
        experiment = self._experiment()
        if experiment is None:
            return
        token = ""
        options = {"experiment_id": experiment, "sort_by": "created_at desc", "page_size": PAGE}
        while True:
            with refusing():
                told = listing(page_token=token, **options, **({"filter": _named(name)} if name else {}))
            yield from getattr(told, kind) or []
            token = told.next_page_token
            if not token:
                return

    def _schedule(self, name: str) -> Any:
        found = self._schedules(name)
        if not found:
            raise UserError(f"there is no schedule {name!r}; xlnet pipeline list names them")
        return found[0]

    def _place(self) -> dict[str, str]:
        return {"namespace": self.namespace} if self.namespace else {}


def steps(run: Any) -> list[Any]:
    """The tasks of a run that have pods, in the order of their start; drivers and graphs have none to show."""
    tasks = (run.run_details.task_details if run.run_details else None) or []
    return sorted((task for task in tasks if pods(task)), key=lambda task: str(task.start_time))


def pods(task: Any) -> list[str]:
    """The pods of a task, one an attempt."""
    found = [child.pod_name for child in task.child_tasks or [] if child.pod_name]
    return list(dict.fromkeys(found + ([task.pod_name] if task.pod_name else [])))


def cron_of(text: str) -> str:
    """A cron expression with seconds, as Kubeflow wants it. Raises UserError for what is none."""
    parts = text.split()
    parts = ["0", *parts] if len(parts) == 5 else parts
    if len(parts) != 6:
        raise UserError(f"cron is {text!r}, wanted are 5 fields, minute to weekday, or 6 with seconds: '0 3 * * 1'")
    for part, (field, low, high) in zip(parts, FIELDS, strict=True):
        for item in part.split(","):
            found = PART.fullmatch(item)
            numbers = [int(number) for number in (found[2], found[4]) if number] if found else []
            if found is None or any(not low <= number <= high for number in numbers) or numbers != sorted(numbers):
                raise UserError(f"cron is {text!r}: {item!r} is no {field}, wanted are {low} to {high}, '*' or '*/N'")
    return " ".join(parts)


def require_name(what: str, name: str) -> str:
    """A name of a run, a schedule or an experiment. Raises UserError for what is none."""
    if not NAMES.fullmatch(name):
        raise UserError(f"{what} is {name!r}, wanted are letters, digits, blanks, '.', '_' and '-'")
    return name


def require_reachable(parameters: Mapping[str, Any]) -> None:
    """Raises UserError for a path that a cluster's pods cannot reach."""
    paths = [str(parameters["store"]), str(parameters.get("vocabulary") or "")]
    for name in ("corpus", "heldout"):
        paths += [pattern for source in sources.parse(parameters[name]) for pattern in source.patterns]
    paths += [str(task.get(key, "")) for task in parameters["tasks"] for key in ("train", "dev")]
    for path in filter(None, paths):
        if not storage.is_remote(path):
            raise UserError(f"{path} is on this machine, where a cluster cannot reach it; copy it to gs://")
        inputs.require_path("a path", path)


@contextlib.contextmanager
def refusing(missing: str | None = None) -> Iterator[None]:
    """Turns what the service refuses into one line."""
    try:
        yield
    except api.ApiException as error:
        if error.status == 404 and missing:
            raise UserError(missing) from None
        told = {401: "it wants credentials: set " + TOKEN, 403: "these credentials may not do that"}
        raise UserError(f"Kubeflow refuses ({error.status}): {told.get(error.status) or _reason(error)}") from None
    except urllib3.exceptions.HTTPError as error:
        raise UserError(f"Kubeflow cannot be reached ({type(error).__name__}); check --host and the network") from None


def _reason(error: Any) -> str:
    try:
        told = json.loads(error.body)
        text = str(told.get("error_message") or told.get("message") or told.get("error"))
    except (TypeError, ValueError, AttributeError):
        text = str(error.reason)
    return " ".join(text.split())[:300]


def _specification(cluster: Cluster) -> dict[str, Any]:
    spec, platform = compiling.documents(compiling.placed("kubeflow", cluster))
    return {"pipeline_spec": spec, "platform_spec": platform}


def _named(name: str) -> str:
    predicate = {"operation": "EQUALS", "key": "display_name", "stringValue": name}
    return json.dumps({"predicates": [predicate]})


def _same(one: Any, other: Any, key: str) -> bool:
    return _plain(getattr(one, key)) == _plain(getattr(other, key))


def _plain(value: Any) -> Any:
    """As JSON has it, without what is not set."""
    value = value.to_dict() if hasattr(value, "to_dict") else value
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    return [_plain(item) for item in value] if isinstance(value, list) else value
