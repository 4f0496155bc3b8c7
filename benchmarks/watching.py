"""A command watched from outside: its seconds, and the memory of its processes."""

import resource
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

INTERVAL = 0.05  # seconds


def watched(command: list[str], output: str) -> dict[str, Any]:
    """Run a command to its end: seconds, and the largest memory of its processes and of all together."""
    before, started = processor_seconds(), time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    peaks: dict[int, int] = {}
    together = shuffled = 0
    while process.poll() is None:
        found = {pid: memory(pid) for pid in tree(process.pid)}
        peaks |= {pid: max(peaks.get(pid, 0), peak) for pid, (peak, _) in found.items()}
        together = max(together, sum(now for _, now in found.values()))
        shuffled = max(shuffled, sum(file.stat().st_size for file in spilled(output)))
        time.sleep(INTERVAL)
    seconds = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(process.stderr.read() if process.stderr else f"{command} failed")
    return {
        "seconds": seconds,
        "cpu_seconds": processor_seconds() - before,
        "largest_bytes": max(peaks.values()),
        "tree_bytes": together,
        "shuffle_bytes": shuffled,
    }


def processor_seconds() -> float:
    """Of all processes that were waited for, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def tree(pid: int) -> Iterator[int]:
    """A process and those that it has started, and so on."""
    yield pid
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        children = [child for thread in threads for child in (thread / "children").read_text().split()]
    except OSError:  # it has ended
        return
    for child in children:
        yield from tree(int(child))


def memory(pid: int) -> tuple[int, int]:
    """Resident bytes of a process: the most so far, and now."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0, 0
    kilobytes = {
        name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines) if "kB" in value
    }
    return kilobytes.get("VmHWM", 0) << 10, kilobytes.get("VmRSS", 0) << 10


def spilled(output: str) -> Iterator[Path]:
    """The files in which blocks pass between steps."""
    for path in Path(output).glob(".work/*/*"):
        if len(path.name) == 32 and path.is_file():
            yield path
