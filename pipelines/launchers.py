"""Where a step's program runs: a process of this environment, or a container."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from xlnet.errors import UserError

Listen = Callable[[str], None]
Container = Mapping[str, Any]  # image, command, args, env, as they were compiled
LIGHTWEIGHT = "kfp.dsl.executor_main"


@dataclass(frozen=True)
class Ended:
    """How a program ended: its exit code, and whether it was stopped because it took too long."""

    code: int
    timed_out: bool = False


class Launcher(Protocol):
    """Runs the container specification of a step."""

    def run(
        self, name: str, container: Container, told: dict[str, Any], *, limit: float | None, listen: Listen
    ) -> Ended:
        """Run it to its end, or for `limit` seconds; its lines go to `listen`."""

    def stop(self) -> None:
        """Ask all that runs to end, as Kubernetes asks a pod."""


@dataclass(frozen=True)
class Processes:
    """Steps as processes of this Python environment: what the images hold is installed here."""

    running: set[subprocess.Popen] = field(default_factory=set)

    def run(
        self, name: str, container: Container, told: dict[str, Any], *, limit: float | None, listen: Listen
    ) -> Ended:
        """See Launcher. Only for components that are Python functions."""
        words = _words(container, told)
        if LIGHTWEIGHT not in " ".join(words[:3]):
            listen(f"error: {name} is no Python component; run it in a container (--runner docker)")
            return Ended(2)
        words[2] = words[2].replace("python3 -m", f"{sys.executable} -m")
        places = [os.getcwd(), *sys.path[:1], os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, **_environment(container), "PYTHONPATH": os.pathsep.join(filter(None, places))}
        environment["PYTHONIOENCODING"] = "utf-8"  # what is read here, whatever the locale
        return self.listened(words, environment=environment, limit=limit, listen=listen)

    def stop(self) -> None:
        """See Launcher."""
        for process in list(self.running):
            _signal(process, signal.SIGTERM)

    def listened(
        self, words: Sequence[str], *, limit: float | None, listen: Listen, environment: Mapping[str, str]
    ) -> Ended:
        """Run a command to its end; each line of its output is told."""
        late = threading.Event()
        with subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            env=environment,
            start_new_session=True,  # a group, that ends as one
        ) as process:

            def end() -> None:
                late.set()
                _signal(process, signal.SIGKILL)

            timer = threading.Timer(limit or 0, end)
            if limit:
                timer.start()
            self.running.add(process)
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    listen(line.rstrip("\n"))
                code = process.wait()
            finally:
                self.running.discard(process)
                timer.cancel()
        return Ended(code, late.is_set())


@dataclass(frozen=True)
class Containers:
    """Steps as containers of their images: read-only, without capabilities, as the user who asks.

    `shared` are the folders that they share with this machine, `mounts` those that they read. A container's exit
    code is read from the container, which is removed only then: one that removes itself can be gone before.
    """

    shared: Sequence[str]
    mounts: Sequence[str] = ()
    network: str = "none"
    more: Sequence[str] = ()  # further flags of `docker run`
    processes: Processes = field(default_factory=Processes)
    names: set[str] = field(default_factory=set)

    def run(
        self, name: str, container: Container, told: dict[str, Any], *, limit: float | None, listen: Listen
    ) -> Ended:
        """See Launcher. The image's entry point is set aside, as Kubernetes does where a command is given."""
        program, *words = _words(container, told)
        known = f"xlnet-{name.replace('.', '-')}-{uuid.uuid4().hex[:8]}"
        asked = ["docker", "run", "--name", known, "--entrypoint", program, "--network", self.network]
        asked += ["--read-only", "--tmpfs", "/tmp:exec", "--cap-drop", "ALL", "--user", f"{os.getuid()}:{os.getgid()}"]
        asked += [f"--volume={folder}:{folder}" for folder in self.shared]
        asked += [f"--volume={folder}:{folder}:ro" for folder in [*self.mounts, *self._made_before(told)]]
        asked += [f"--env={key}={value}" for key, value in _environment(container).items()]
        self.names.add(known)
        try:
            ended = self.processes.listened(
                [*asked, *self.more, container["image"], *words],
                environment=os.environ,
                limit=limit,
                listen=listen,
            )
            told_code = _docker("inspect", "--format", "{{.State.ExitCode}}", known)
            return Ended(ended.code or int(told_code or 125), ended.timed_out)
        finally:
            _docker("rm", "--force", known)
            self.names.discard(known)

    def _made_before(self, told: dict[str, Any]) -> list[str]:
        """Where inputs lie that another run has made, and that come from the cache."""
        found = [item["uri"] for listed in told["inputs"].get("artifacts", {}).values() for item in listed["artifacts"]]
        places = {os.path.dirname(uri) for uri in found if uri.startswith("/")}
        return sorted(place for place in places if not any(f"{place}/".startswith(f"{at}/") for at in self.shared))

    def stop(self) -> None:
        """See Launcher."""
        for name in list(self.names):
            _docker("kill", "--signal", "TERM", name)


def require_engine() -> None:
    """Raises UserError where no container can be started, with the reason."""
    if shutil.which("docker") is None:
        raise UserError("--runner docker: there is no docker on the PATH")
    asked = subprocess.run(["docker", "version"], capture_output=True, text=True, check=False)
    if asked.returncode:
        reason = asked.stderr.strip().splitlines() or [f"docker version ends with {asked.returncode}"]
        raise UserError(f"--runner docker: {reason[-1]}")


def _words(container: Container, told: dict[str, Any]) -> list[str]:
    """The command with its one placeholder, the step's whole input, filled in."""
    words = [*container.get("command", ()), *container.get("args", ())]
    return [json.dumps(told) if word == "{{$}}" else word for word in words]


def _environment(container: Container) -> dict[str, str]:
    return {"PYTHONUNBUFFERED": "1"} | {entry["name"]: entry["value"] for entry in container.get("env", ())}


def _signal(process: subprocess.Popen, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=False).stdout.strip()
