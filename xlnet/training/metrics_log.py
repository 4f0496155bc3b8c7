"""Metrics of a run: JSON lines for machines, TensorBoard scalars for people."""

import contextlib
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from xlnet import storage

FLUSHED = 60.0  # seconds between uploads of what was written, where the folder is on gs://


class MetricsLog:
    """Metrics appended to `metrics.jsonl` and written as TensorBoard scalars, in one folder.

    A run that goes on from a checkpoint drops the lines that came after it (`resume_at`), so that each step
    stands in the file once. `lines` are those that stay, `last` has the newest value of each metric in them, `reached`
    the seconds of the last line that was. On gs:// nothing can be appended to: files are written on the disk and
    uploaded whole. Of many hosts, one `writes`.
    """

    def __init__(self, folder: str, *, resume_at: int | None = None, writes: bool = True):
        import tensorflow as tf

        self.writes = writes
        self.published = storage.join(folder, "metrics.jsonl")
        found = []
        if resume_at is not None and storage.exists(self.published):
            found = _lines(storage.read_bytes(self.published).decode(errors="replace"))
        kept = [line for line in found if line["step"] <= (resume_at or 0)]
        self.last: dict[str, Any] = {}
        self.lines = kept
        for line in kept:
            self.last |= line
        self.reached: float = max((line.get("seconds", 0.0) for line in found), default=0.0)
        if not writes:
            return
        self.remote = folder if storage.is_remote(folder) else None
        self._aside = tempfile.TemporaryDirectory(prefix="xlnet-metrics-") if self.remote else None
        self.folder = Path(self._aside.name if self._aside else folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.path = self.folder / "metrics.jsonl"
        storage.publish(str(self.path), "".join(json.dumps(line) + "\n" for line in kept).encode())
        self.writer = tf.summary.create_file_writer(str(self.folder / "tensorboard"))
        self._scalar = tf.summary.scalar
        self.flushed = time.monotonic()

    def write(self, step: int, values: dict[str, Any]) -> None:
        """Append the values of one step; a list is a scalar for each of its places in TensorBoard."""
        self.last |= {"step": step, **values}
        if not self.writes:
            return
        with self.path.open("a") as stream:
            stream.write(json.dumps({"step": step, **values}) + "\n")
        with self.writer.as_default(step=step):
            for name, value in values.items():
                for number, each in enumerate(value) if isinstance(value, list) else [("", value)]:
                    self._scalar(f"{name}/{number}".rstrip("/"), each)
        self.writer.flush()
        if time.monotonic() - self.flushed > FLUSHED:
            self.flush()

    def flush(self) -> None:
        """Bring to gs:// what was written; elsewhere it is there already."""
        self.flushed = time.monotonic()
        if not self.writes or self.remote is None:
            return
        for path in sorted(path for path in self.folder.rglob("*") if path.is_file()):
            storage.publish(storage.join(self.remote, path.relative_to(self.folder).as_posix()), path.read_bytes())


def _lines(text: str) -> list[dict[str, Any]]:
    """The lines of a file; one that a kill cut short, or that is damaged otherwise, is left out."""
    found = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return [line for line in found if isinstance(line, dict) and _is_whole(line)]


def _is_whole(line: dict[str, Any]) -> bool:
    return isinstance(line.get("step"), int) and isinstance(line.get("seconds", 0.0), int | float)
