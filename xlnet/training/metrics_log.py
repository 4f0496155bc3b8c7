"""Metrics of a run: JSON lines for machines, TensorBoard scalars for people."""

import contextlib
import json
import math
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xlnet import disk, storage
from xlnet.errors import UserError
from xlnet.training.event_file import EventFile

FLUSHED = 60.0  # seconds between uploads of what was written, where the folder is on gs://
SPENT = "spent.json"  # seconds of the run as it last went on: those of lines that were dropped are in no other file


class MetricsLog:
    """Metrics appended to `metrics.jsonl` and written as TensorBoard scalars, in one folder.

    A run that goes on from a checkpoint drops the lines that came after it (`resume_at`), so that each step
    stands in the file once. `lines` are those that stay, `last` has the newest value of each metric in them, `reached`
    the seconds that the run had taken, as far as is known, when this life of it `begun` (by time.monotonic).
    On gs:// nothing can be appended to: files are written on the disk and uploaded whole. Of many hosts, one `writes`.
    """

    def __init__(self, folder: str, *, resume_at: int = 0, begun: float | None = None, writes: bool = True):
        self.writes = writes
        published, spent = (storage.join(folder, name) for name in ("metrics.jsonl", SPENT))
        found = _read(published)
        self.lines = [line for line in found if line["step"] <= resume_at]
        self.last: dict[str, Any] = {}
        for line in self.lines:
            self.last |= line
        self.reached: float = max([_spent(spent), *(line.get("seconds", 0.0) for line in found)])
        if not writes:
            return
        now = time.monotonic()
        storage.publish_json(spent, {"seconds": round(self.reached + now - (now if begun is None else begun), 3)})
        self.remote = folder if storage.is_remote(folder) else None
        self._aside = tempfile.TemporaryDirectory(prefix="xlnet-metrics-") if self.remote else None
        self.folder = Path(self._aside.name if self._aside else folder)
        self.path = self.folder / "metrics.jsonl"
        storage.publish(str(self.path), "".join(json.dumps(line) + "\n" for line in self.lines).encode())
        self.events = EventFile(str(self.folder / "tensorboard"), first=resume_at + 1)
        self.flushed = now

    def write(self, step: int, values: dict[str, Any]) -> None:
        """Append the values of one step; a list is a scalar for each of its places in TensorBoard.

        In JSON null stands for what is not finite. Raises UserError where there is no room.
        """
        self.last |= {"step": step, **values}
        if not self.writes:
            return
        line = {name: _finite(value) for name, value in {"step": step, **values}.items()}
        with disk.mendable(str(self.path)), self.path.open("a") as stream:
            stream.write(json.dumps(line, allow_nan=False) + "\n")
        self.events.write(step, dict(_scalars(values)))
        if time.monotonic() - self.flushed > FLUSHED:
            self.flush()

    def flush(self) -> None:
        """Bring to gs:// what was written; elsewhere it is there already."""
        self.flushed = time.monotonic()
        if not self.writes or self.remote is None:
            return
        for path in sorted(path for path in self.folder.rglob("*") if path.is_file()):
            storage.publish(storage.join(self.remote, path.relative_to(self.folder).as_posix()), path.read_bytes())


def _scalars(values: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        if isinstance(value, list):
            yield from ((f"{name}/{place}", each) for place, each in enumerate(value))
        else:
            yield name, value


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return value if math.isfinite(value) else None


def _read(path: str) -> list[dict[str, Any]]:
    """The lines of a file; one that a kill cut short, or that is damaged otherwise, is left out."""
    found = []
    for line in storage.read_bytes(path).decode(errors="replace").splitlines() if storage.exists(path) else []:
        with contextlib.suppress(ValueError):
            found.append(json.loads(line, parse_constant=lambda name: None))
    return [line for line in found if isinstance(line, dict) and _is_whole(line)]


def _is_whole(line: dict[str, Any]) -> bool:
    times = [value for name, value in line.items() if name.endswith("seconds")]
    return isinstance(line.get("step"), int) and all(isinstance(value, int | float) for value in times)


def _spent(path: str) -> float:
    """Seconds by the file that keeps them; 0 where there is none, or one that is damaged."""
    with contextlib.suppress(UserError, KeyError, TypeError, ValueError):
        return float(storage.read_json(path)["seconds"])
    return 0.0
