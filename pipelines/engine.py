"""A compiled pipeline run on this machine as a cluster would run it.

Graphs in graphs, conditions, loops, exit handlers, retries with backoff, time limits and the cache are taken from the
compiled pipeline itself. `kfp.local` runs no exit handlers, retries nothing, keeps no cache and takes exit codes at
their word, so that a red run can look green; its place is here.
"""

import json
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from pipelines import graph
from pipelines.attempts import Attempts, Step, StepFailed
from pipelines.graph import Values
from xlnet.errors import UserError
from xlnet.settings import suggestion

EXIT = "ALL_UPSTREAM_TASKS_COMPLETED"


class NotRun(Exception):
    """A task did not run: its condition does not hold, or one that it needs did not run."""


@dataclass
class Engine:
    """Runs the pipeline `spec` (KFP's IR as mappings), its steps' outputs in folders under `root`."""

    spec: Mapping[str, Any]
    root: str
    attempts: Attempts
    name: str = "local"
    platform: Mapping[str, Any] = field(default_factory=dict)
    parallel: int = 1

    def __post_init__(self) -> None:
        self.free = threading.Semaphore(self.parallel)
        self.failure: StepFailed | None = None
        self.ran: list[str] = []
        self.job = {"pipeline_job_name": self.name, "pipeline_job_uuid": self.name}
        self.job["pipeline_job_resource_name"] = self.name

    def run(self, parameters: Mapping[str, Any]) -> Values:
        """Run all of it. Raises StepFailed for the first step that failed, after the exit handler has run.

        When the run is stopped, its steps are asked to end, and the exit handler runs before the exception goes on.
        """
        root = self.spec["root"]
        known = root.get("inputDefinitions", {}).get("parameters", {})
        if unknown := sorted(set(parameters) - set(known)):
            raise UserError(f"the pipeline has no parameter {unknown[0]!r}{suggestion(unknown[0], known)}")
        given = graph.with_defaults(root, Values(dict(parameters)))
        found = self._graph(root["dag"], given, path=())
        if self.failure is not None:
            raise self.failure
        return found

    def _graph(self, dag: Mapping[str, Any], outer: Values, *, path: Sequence[str]) -> Values:
        """Run the tasks of a graph, each as soon as those that it needs have ended; returns what comes out."""
        tasks = dag["tasks"]
        futures: dict[str, Future[Values]] = {}
        with ThreadPoolExecutor(len(tasks)) as pool:
            for name in graph.order(tasks):
                futures[name] = pool.submit(self._task, name, tasks[name], dict(futures), outer, path)
            try:
                wait(futures.values())
            except BaseException:  # Ctrl-C or SIGTERM, which reach the main thread: the outermost graph
                self.failure = self.failure or StepFailed("the run was stopped")
                self.attempts.stop()
                raise
        done = {name: future.result() for name, future in futures.items() if future.exception() is None}
        for future in futures.values():
            error = future.exception()
            if error is not None and not isinstance(error, NotRun | StepFailed):
                raise error
        return graph.outputs(dag, done=done)

    def _task(
        self, name: str, task: Mapping[str, Any], others: Mapping[str, Future], outer: Values, path: Sequence[str]
    ) -> Values:
        needed = {other: others[other] for other in graph.task_needs(task)}
        errors = [error for future in needed.values() if (error := future.exception()) is not None]
        is_exit = task.get("triggerPolicy", {}).get("strategy") == EXIT
        if not is_exit and (errors or self.failure is not None):
            raise NotRun(name)
        done = {other: future.result() for other, future in needed.items() if future.exception() is None}
        given = graph.inputs(task, outer=outer, done=done, job=self.job, final=self._status() if is_exit else None)
        if not graph.holds(task, given):
            raise NotRun(name)
        component = self.spec["components"][task["componentRef"]["name"]]
        if "parameterIterator" in task:
            return self._loop(name, task, component, given, path)
        return self._component(name, task, component, given, path, is_exit=is_exit)

    def _loop(
        self, name: str, task: Mapping[str, Any], component: Mapping[str, Any], given: Values, path: Sequence[str]
    ) -> Values:
        """Run a component once an item; each output becomes the list of the items' outputs."""
        told = task["parameterIterator"]
        items = told["items"]
        values = given.parameters[items["inputParameter"]] if "inputParameter" in items else json.loads(items["raw"])
        found = []
        with ThreadPoolExecutor(max(1, len(values))) as pool:
            futures = [
                pool.submit(
                    self._component,
                    name,
                    task,
                    component,
                    Values(given.parameters | {told["itemInput"]: value}, given.artifacts),
                    [*path, str(number)],
                )
                for number, value in enumerate(values)
            ]
            found = [future.result() for future in futures]
        return Values(
            {key: [one.parameters[key] for one in found] for key in (found[0].parameters if found else ())},
            {key: [item for one in found for item in one.artifacts[key]] for key in _names(component)},
        )

    def _component(
        self,
        name: str,
        task: Mapping[str, Any],
        component: Mapping[str, Any],
        given: Values,
        path: Sequence[str],
        *,
        is_exit: bool = False,
    ) -> Values:
        given = graph.with_defaults(component, given)
        if "dag" in component:
            found = self._graph(component["dag"], given, path=path)
            if self.failure is not None:
                raise self.failure
            return found
        label = component["executorLabel"]
        limit = self._platform(label).get("activeDeadlineSeconds")
        called = ".".join([name, *path])
        step = Step(
            name=called,
            component=component,
            task=task,
            container=self.spec["deploymentSpec"]["executors"][label]["container"],
            limit=None if limit is None else float(limit),
            inputs=given,
            folder=os.path.join(self.root, called),
        )
        with self.free:
            if self.failure is not None and not is_exit:
                raise NotRun(name)
            self.ran.append(called)
            try:
                return self.attempts.run(step)
            except StepFailed as failure:
                self.failure = self.failure or failure
                raise

    def _platform(self, label: str) -> Mapping[str, Any]:
        """What Kubernetes gives a step's pod."""
        kubernetes = self.platform.get("platforms", {}).get("kubernetes", {})
        return kubernetes.get("deploymentSpec", {}).get("executors", {}).get(label, {})

    def _status(self) -> dict[str, Any]:
        """What the exit handler is told, as PipelineTaskFinalStatus."""
        told: dict[str, Any] = {"state": "SUCCEEDED" if self.failure is None else "FAILED"}
        told |= {"pipelineJobResourceName": self.name, "pipelineTaskName": "run"}
        return told if self.failure is None else told | {"error": {"code": 1, "message": str(self.failure)}}


def _names(component: Mapping[str, Any]) -> list[str]:
    return list(component.get("outputDefinitions", {}).get("artifacts", {}))
