"""Two sides of a comparison, each in a process of its own, that take turns: what else the machine does hits both.

A side is a module with `imports()`, which loads its frameworks, and `runs(options)`, which makes what can be run: names
and functions that return a number, or nothing. The peer's interpreter has PyTorch and knows this repository by
PYTHONPATH alone: its modules import NumPy and the peer's libraries, nothing else.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any

HERE = Path(__file__).resolve().parent.parent
FORGET_PEAK = "5"  # what Linux wants in clear_refs to count the peak anew


class Side:
    """A process that waits to be told what to run. `options` must be ready for JSON."""

    def __init__(
        self,
        module: str,
        *,
        python: str = sys.executable,
        options: Mapping[str, Any],
        threads: int,
        backend: str = "",
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        environment = {
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # the peer needs memory of the same accelerator
            **os.environ,
            **environment,
            "OMP_NUM_THREADS": str(threads),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "TOKENIZERS_PARALLELISM": "false",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")])),
        }
        if backend:
            environment["KERAS_BACKEND"] = backend
        command = [python, "-m", "benchmarks.turns", module, json.dumps(dict(options))]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self._answer()
        self.imported = self.resident()
        self.run("")

    def run(self, name: str) -> tuple[float, float]:
        """Run what has that name on that side -> seconds, value."""
        assert self.process.stdin is not None
        print(name, file=self.process.stdin, flush=True)
        seconds, value = self._answer()
        return seconds, value

    def resident(self) -> int:
        """Bytes in memory now."""
        return self._status("VmRSS")

    def forget_peak(self) -> None:
        """Count the peak from here on."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text(FORGET_PEAK)

    def peak(self) -> int:
        """The most bytes in memory since the start, or since `forget_peak`."""
        return self._status("VmHWM")

    def _status(self, name: str) -> int:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{name}:"))

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("error: one side of the benchmark ended early; its message stands above")
        return json.loads(line)

    def close(self) -> None:
        """Let the process end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def measured(sides: Mapping[str, Side], name: str, *, rounds: int) -> dict[str, list[float]]:
    """Seconds of each round of each side; a first round, that compiles, is not counted."""
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    with ThreadPoolExecutor() as pool:  # they compile at once
        list(pool.map(lambda side: side.run(name), sides.values()))
    for _ in range(rounds):
        for side, process in sides.items():
            seconds[side].append(process.run(name)[0])
    return seconds


def serve(module: str, options: dict[str, Any]) -> None:
    """Answer each line of the input, a name of something to run, with its seconds and its value."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    side = importlib.import_module(module)
    side.imports()
    print(json.dumps("imported"), file=answers, flush=True)
    runs: dict[str, Any] = {}
    for line in sys.stdin:
        begin = time.perf_counter()
        if runs:
            value = runs[line.strip()]()
        else:
            runs, value = side.runs(argparse.Namespace(**options)), None
        seconds = time.perf_counter() - begin
        print(json.dumps([seconds, value if isinstance(value, float) else 0.0]), file=answers, flush=True)


def threads_flag(parser: argparse.ArgumentParser) -> None:
    """The flag that bounds the threads of every side."""
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), metavar="N")


def conditions(threads: int) -> str:
    """What figures were measured on, in a line."""
    from benchmarks.machine import accelerator, processor

    found = ", ".join(filter(None, [processor(), accelerator()]))
    return f"machine: {found}, {os.cpu_count()} cores, {threads} threads; load {os.getloadavg()[0]:.1f}"


def best(seconds: Sequence[float]) -> str:
    """Median and best of some seconds, as text."""
    middle = sorted(seconds)[len(seconds) // 2]
    return f"median {middle:.3f} s, best {min(seconds):.3f} s"


if __name__ == "__main__":
    serve(sys.argv[1], json.loads(sys.argv[2]))
