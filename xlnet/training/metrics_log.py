"""Metrics of a run: JSON lines for machines, TensorBoard scalars for people."""

import json
from pathlib import Path
from typing import Any

from xlnet import storage


class MetricsLog:
    """Metrics appended to `metrics.jsonl` and written as TensorBoard scalars, in one folder.

    A run that goes on from a checkpoint drops the lines that came after it (`resume_at`), so that each step
    stands in the file once. `last` holds the newest value of each metric that is in the file.
    """

    def __init__(self, folder: str, *, resume_at: int | None = None):
        import tensorflow as tf

        self.path = Path(folder) / "metrics.jsonl"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = []
        if resume_at is not None and self.path.exists():
            kept = [line for line in self.path.read_text().splitlines() if _step(line) <= resume_at]
        storage.publish(str(self.path), "".join(line + "\n" for line in kept).encode())
        self.last: dict[str, Any] = {}
        for line in kept:
            self.last |= json.loads(line)
        self.writer = tf.summary.create_file_writer(str(Path(folder) / "tensorboard"))
        self._scalar = tf.summary.scalar

    def write(self, step: int, values: dict[str, Any]) -> None:
        """Append the values of one step."""
        with self.path.open("a") as stream:
            stream.write(json.dumps({"step": step, **values}) + "\n")
        self.last |= {"step": step, **values}
        with self.writer.as_default(step=step):
            for name, value in values.items():
                self._scalar(name, value)
        self.writer.flush()


def _step(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):
        return float("inf")  # a line that a kill cut short
