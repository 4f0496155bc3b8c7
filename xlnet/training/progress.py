"""What a person and a machine see of a training run: progress lines, metrics as JSON lines, TensorBoard."""

import json
import sys
import time
from pathlib import Path
from typing import Any, TextIO


def duration(seconds: float) -> str:
    """Seconds as h:mm:ss, or m:ss below an hour."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


class Progress:
    """One line that tells how far a run is, how fast, and how long it still takes.

    A terminal sees one line that is written over; elsewhere a plain line appears at most every `interval`
    seconds.
    """

    def __init__(self, total: int, *, unit: str, name: str, stream: TextIO | None = None, interval: float = 10.0):
        self.total = total
        self.unit = unit
        self.name = name
        self.stream = stream or sys.stderr
        self.interval = interval if not self.stream.isatty() else 0.2
        self.started = time.monotonic()
        self.first: int | None = None
        self.shown = float("-inf")

    def update(self, done: int, *, rate: str = "", note: str = "") -> None:
        """Tell that `done` of the total are done, with what else is worth a word."""
        now = time.monotonic()
        if self.first is None:
            self.first, self.started = done, now
        if now - self.shown < self.interval and done < self.total:
            return
        self.shown = now
        elapsed = now - self.started
        left = elapsed / (done - self.first) * (self.total - done) if done > self.first else None
        parts = [
            f"{self.name} {done:,}/{self.total:,} {self.unit}",
            note,
            rate,
            f"{duration(left)} left" if left is not None else "",
        ]
        line = "  ".join(part for part in parts if part)
        if self.stream.isatty():
            self.stream.write(f"\r\x1b[K{line}" + ("\n" if done >= self.total else ""))
        else:
            self.stream.write(line + "\n")
        self.stream.flush()


class MetricsLog:
    """Metrics appended to `metrics.jsonl` and written as TensorBoard scalars, in one folder.

    A run that goes on from a checkpoint drops the lines that came after it (`resume_at`), so that each step
    stands in the file once.
    """

    def __init__(self, folder: str, *, resume_at: int | None = None):
        import tensorflow as tf

        self.path = Path(folder) / "metrics.jsonl"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = []
        if resume_at is not None and self.path.exists():
            kept = [line for line in self.path.read_text().splitlines() if _step(line) <= resume_at]
        self.path.write_text("".join(line + "\n" for line in kept))
        self.writer = tf.summary.create_file_writer(str(Path(folder) / "tensorboard"))
        self._scalar = tf.summary.scalar

    def write(self, step: int, values: dict[str, Any]) -> None:
        """Append the values of one step."""
        with self.path.open("a") as stream:
            stream.write(json.dumps({"step": step, **values}) + "\n")
        with self.writer.as_default(step=step):
            for name, value in values.items():
                self._scalar(name, value)
        self.writer.flush()


def _step(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError):
        return float("inf")  # a line that a kill cut short
