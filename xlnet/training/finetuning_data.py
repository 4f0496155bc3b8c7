"""The examples of a fine-tuning run, and their batches."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xlnet import storage
from xlnet.serving.predictor import Predictor
from xlnet.tasks import sentence


@dataclass(frozen=True)
class Data:
    """The examples of a run and their numbered labels."""

    train: sentence.Examples
    dev: sentence.Examples | None
    classes: list[str] | None
    train_targets: NDArray[np.int32] | NDArray[np.float32]
    dev_targets: NDArray[np.int32] | NDArray[np.float32] | None

    @classmethod
    def read(cls, train: str, dev: str | None, *, task: str, columns: sentence.Columns) -> "Data":
        """Reads both files; the training examples tell the classes."""
        found = sentence.read(train, columns=columns)
        held = None if dev is None else sentence.read(dev, columns=columns)
        names = sentence.classes(found) if task == "classification" else None
        return cls(
            train=found,
            dev=held,
            classes=names,
            train_targets=sentence.targets(found, names),
            dev_targets=None if held is None else sentence.targets(held, names),
        )

    def dev_inputs(self, predictor: Predictor) -> tuple[dict[str, Any], Any] | None:
        """Features and targets to measure on, if there are any."""
        if self.dev is None:
            return None
        return predictor.features(self.dev.texts, self.dev.pairs), self.dev_targets

    def described(self) -> dict[str, Any]:
        """Files, checksums and counts."""
        files = {"train": self.train, "dev": self.dev}
        return {
            name: {"path": part.path, "sha256": storage.sha256(part.path), "examples": len(part)}
            for name, part in files.items()
            if part is not None
        }


def batches(
    inputs: dict[str, NDArray[np.int32]], targets: NDArray[np.int32] | NDArray[np.float32], *, size: int, seed: int
) -> Iterator[tuple[dict[str, NDArray[np.int32]], NDArray[np.int32] | NDArray[np.float32]]]:
    """Batches of `size` rows without end: every example once in each pass, each pass in an order of its own."""
    count = len(targets)
    waiting = np.zeros(0, np.int64)
    draw = np.random.Generator(np.random.Philox(key=seed))
    while True:
        while len(waiting) < size:
            waiting = np.concatenate([waiting, draw.permutation(count)])
        rows, waiting = waiting[:size], waiting[size:]
        yield {name: values[rows] for name, values in inputs.items()}, targets[rows]
