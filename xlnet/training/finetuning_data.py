"""The examples of a fine-tuning run, and their batches."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from xlnet.tasks import registry
from xlnet.tasks.task import Arrays, Examples, Features, Task, described
from xlnet.training.finetuning_settings import FinetuningSettings


@dataclass(frozen=True)
class Data:
    """A task, and the examples to learn it from and to measure on."""

    task: Task
    train: Examples
    dev: Examples | None

    @classmethod
    def read(cls, train: str, dev: str | None, *, settings: FinetuningSettings) -> "Data":
        """Reads both; the training examples may define the task (its classes)."""
        task, found = registry.kind_of(settings.kind).prepare(train, settings)
        return cls(task, found, None if dev is None else task.read(dev))

    def described(self) -> dict[str, Any]:
        """Files, checksums and counts."""
        parts = {"train": self.train, "dev": self.dev}
        return {name: described(part) for name, part in parts.items() if part is not None}


def batches(features: Features, *, size: int, seed: int) -> Iterator[tuple[Arrays]]:
    """Batches of `size` rows without end: every row once in each pass, each pass in an order of its own.

    A batch is one dict of inputs and targets, alone in a tuple as Keras wants it.
    """
    arrays = features.inputs | features.targets
    waiting = np.zeros(0, np.int64)
    draw = np.random.Generator(np.random.Philox(key=seed))
    while True:
        while len(waiting) < size:
            waiting = np.concatenate([waiting, draw.permutation(len(features))])
        rows, waiting = waiting[:size], waiting[size:]
        yield ({name: values[rows] for name, values in arrays.items()},)
