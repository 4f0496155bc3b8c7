"""One step of a pipeline on this machine: started, started again when it fails, and believed only with its outputs."""

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pipelines.graph import Values
from pipelines.launchers import Launcher
from xlnet import storage
from xlnet.errors import UserError

MENDABLE = 2  # the exit code of what a user must mend first: starting again would not help
OUTPUT = "executor_output.json"


class StepFailed(UserError):
    """A step has failed for good. The message says which, and why."""


@dataclass(frozen=True)
class Step:
    """A step as it was compiled, with its inputs and the folder for its outputs."""

    name: str
    component: Mapping[str, Any]
    task: Mapping[str, Any]
    container: Mapping[str, Any]
    limit: float | None  # seconds an attempt may take
    inputs: Values
    folder: str

    @property
    def key(self) -> str:
        """What the outputs are a function of: program, image and inputs."""
        told = [self.container, self.inputs.parameters, self.inputs.artifacts, self.component.get("outputDefinitions")]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]

    @property
    def is_cached(self) -> bool:
        """Whether outputs of an earlier run may be taken."""
        return bool(self.task.get("cachingOptions", {}).get("enableCache"))


class Watch(Protocol):
    """Who looks on."""

    def began(self, step: str) -> None:
        """A step begins."""

    def said(self, step: str, line: str) -> None:
        """A step, or what tries it, says something."""

    def ended(self, step: str, seconds: float) -> None:
        """A step has succeeded."""


@dataclass
class Attempts:
    """How steps are tried."""

    launcher: Launcher
    watch: Watch
    cache: str | None = None  # the folder of what earlier runs made
    longest_wait: float = 60.0  # seconds between two attempts, at most
    reused: list[str] = field(default_factory=list)
    is_stopped: bool = False

    def stop(self) -> None:
        """Ask what runs to end, and try nothing again."""
        self.is_stopped = True
        self.launcher.stop()

    def run(self, step: Step) -> Values:
        """The outputs of a step. Raises StepFailed when no attempt succeeds."""
        began = time.monotonic()
        self.watch.began(step.name)
        found = self._found(step)
        self.watch.ended(step.name, time.monotonic() - began)
        return found

    def _found(self, step: Step) -> Values:
        record = os.path.join(self.cache, f"{step.key}.json") if self.cache and step.is_cached else None
        if record and (kept := _kept(record)):
            self.reused.append(step.name)
            self.watch.said(step.name, "taken from the cache")
            return kept
        policy = step.task.get("retryPolicy", {})
        reason: str | None = None
        tries = 1 + int(policy.get("maxRetryCount", 0))
        wait = _seconds(policy.get("backoffDuration", "0s"))
        for attempt in range(1, tries + 1):
            reason, is_final = self._attempt(step)
            if reason is None:
                found = _outputs(step)
                if record:
                    storage.publish_json(record, {"step": step.name, **vars(found)})
                return found
            if attempt == tries or is_final or self.is_stopped:
                break
            self.watch.said(step.name, f"attempt {attempt} of {tries} failed: {reason}")
            time.sleep(min(wait, self.longest_wait))
            wait *= float(policy.get("backoffFactor", 2.0))
        raise StepFailed(f"step {step.name!r} failed: {reason}")

    def _attempt(self, step: Step) -> tuple[str | None, bool]:
        """Why an attempt failed, None if it did not; and whether another would fail as well."""
        os.makedirs(step.folder, exist_ok=True)
        storage.remove(os.path.join(step.folder, OUTPUT))  # of an attempt that failed after it wrote it
        said: list[str] = []

        def listen(line: str) -> None:
            if line.startswith("error: "):
                said.append(line.removeprefix("error: ").rstrip())
            self.watch.said(step.name, line)

        ended = self.launcher.run(step.name, step.container, executor_input(step), limit=step.limit, listen=listen)
        if ended.timed_out:
            return f"it took longer than {step.limit:g} s", False
        if ended.code != 0:
            return (said[-1] if said else f"exit code {ended.code}"), ended.code == MENDABLE
        missing = _missing(step)
        if missing:  # a container that was lost can look as if it had succeeded
            return f"it ended as if well, but {missing} is not there", False
        return None, False


def executor_input(step: Step) -> dict[str, Any]:
    """What a step's program is told, as Kubeflow's launcher tells it."""
    told = step.component.get("outputDefinitions", {})
    return {
        "inputs": {
            "parameterValues": step.inputs.parameters,
            "artifacts": {name: {"artifacts": found} for name, found in step.inputs.artifacts.items()},
        },
        "outputs": {
            "parameters": {
                name: {"outputFile": os.path.join(step.folder, name)} for name in told.get("parameters", {})
            },
            "artifacts": {
                name: {"artifacts": [_artifact(step, name, entry)]} for name, entry in told.get("artifacts", {}).items()
            },
            "outputFile": os.path.join(step.folder, OUTPUT),
        },
    }


def _artifact(step: Step, name: str, definition: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "type": definition["artifactType"],
        "uri": os.path.join(step.folder, name),
        "metadata": {},
    }


def _missing(step: Step) -> str | None:
    """What a step that succeeded should have left and did not."""
    path = os.path.join(step.folder, OUTPUT)
    if not os.path.exists(path):
        return "the record of its outputs"
    told = storage.read_json(path)
    wanted = step.component.get("outputDefinitions", {})
    for name in wanted.get("parameters", {}):
        if name not in told.get("parameterValues", {}):
            return f"its output {name!r}"
    for name in wanted.get("artifacts", {}):
        found = told.get("artifacts", {}).get(name, {}).get("artifacts", [])
        stored = [artifact["uri"] for artifact in found if _is_stored(wanted["artifacts"][name])]
        if not found or not all(storage.is_remote(uri) or os.path.exists(uri) for uri in stored):
            return f"its output {name!r}"
    return None


def _outputs(step: Step) -> Values:
    """What a step says that it made."""
    told = storage.read_json(os.path.join(step.folder, OUTPUT))
    wanted = step.component.get("outputDefinitions", {})
    parameters = {
        name: int(value) if wanted["parameters"][name]["parameterType"] == "NUMBER_INTEGER" else value
        for name, value in told.get("parameterValues", {}).items()
    }
    artifacts = {
        name: [
            {"type": wanted["artifacts"][name]["artifactType"], "metadata": {}} | artifact
            for artifact in entry["artifacts"]
        ]
        for name, entry in told.get("artifacts", {}).items()
    }
    return Values(parameters, artifacts)


def _kept(record: str) -> Values | None:
    """The outputs of an earlier run, if they are still there."""
    if not os.path.exists(record):
        return None
    told = storage.read_json(record)
    uris = [
        artifact["uri"]
        for found in told["artifacts"].values()
        for artifact in found
        if _is_stored({"artifactType": artifact["type"]})
    ]
    return Values(told["parameters"], told["artifacts"]) if all(map(storage.exists, uris)) else None


def _is_stored(definition: Mapping[str, Any]) -> bool:
    """Metrics live in their metadata and have no file."""
    return "Metrics" not in definition["artifactType"]["schemaTitle"]


def _seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))
