"""Measuring on the dev examples during a run, and keeping the best weights on the disk until it ends."""

import hashlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops
from safetensors.numpy import load, save

from xlnet import storage
from xlnet.errors import UserError
from xlnet.tasks.metrics import score
from xlnet.tasks.predictor import Predictor
from xlnet.tasks.task import Examples
from xlnet.training.skipped import BEGIN_ANEW

FOLDER = "best"
CHECKSUM = ".sha256"  # of weights, in a file beside them

Line = dict[str, Any]  # of metrics.jsonl: step, epoch, dev_loss, dev_<metric>, ...


class BestWeights:
    """The evaluations of a run and the weights of the best `count` of them.

    Best is what the task says (`Task.best`); the lower loss settles a tie, then the earlier one. `lines` are those of
    an earlier life of the run; raises UserError when the weights that they call best are not what was written.
    """

    def __init__(
        self, output: str, predictor: Predictor, dev: Examples, *, count: int, batch_size: int, lines: list[Line]
    ):
        self.folder = storage.join(output, FOLDER)
        self.predictor, self.dev, self.count, self.batch_size = predictor, dev, count, batch_size
        self.features = predictor.features(dev)
        self.evaluations = [
            line for line in lines if "averaged" not in line and any(name.startswith("dev_") for name in line)
        ]
        for line in self.ranked()[: self.count]:
            self._read(line["step"])  # what is damaged is told before the training, not after it

    def measure(self, *, report: Callable[[int], Any] | None = None) -> Line:
        """The metrics of the weights as they are; `report` as of `Predictor.outputs`."""
        predictor, features = self.predictor, self.features
        outputs = predictor.outputs(features.inputs, batch_size=self.batch_size, report=report)
        found = predictor.task.measure(self.dev, features, outputs)
        values = {"loss": found["loss"], **found["metrics"]}
        return {f"dev_{name}": value for name, value in values.items() if value is not None}

    def evaluate(self, step: int, *, epoch: int, report: Callable[[int], Any] | None = None) -> Line:
        """Measure after a step; the weights are written down if they are among the best."""
        line = {"step": step, "epoch": epoch} | self.measure(report=report)
        self.evaluations.append(line)
        if line in self.ranked()[: self.count]:
            arrays = {name: np.asarray(ops.convert_to_numpy(weight)) for name, weight in self._weights().items()}
            content = save(arrays)
            storage.publish(self._path(step), content)
            storage.publish(f"{self._path(step)}{CHECKSUM}", hashlib.sha256(content).hexdigest().encode())
        return line

    def ranked(self, *, until: float = float("inf")) -> list[Line]:
        """The evaluations up to a step, best first."""
        return sorted((line for line in self.evaluations if line["step"] <= until), key=self.key, reverse=True)

    def key(self, line: Line) -> tuple[float, float]:
        """What is greater for a better evaluation; of one with a loss that is not finite no metric counts."""
        values = metrics_of(line) if is_finite(line) else {}
        return score(self.predictor.task.best, values), score("loss", values)

    @property
    def since_best(self) -> int:
        """How many evaluations came after the best one."""
        return len(self.evaluations) - 1 - self.evaluations.index(self.ranked()[0]) if self.evaluations else 0

    def forget(self, checkpoints: list[int]) -> None:
        """Remove weights that are not among the best at any of these steps, from which the run may go on."""
        kept = {line["step"] for step in checkpoints for line in self.ranked(until=step)[: self.count]}
        for name in storage.list_folder(self.folder):
            if int(name.partition(".")[0]) not in kept:
                storage.remove(storage.join(self.folder, name))

    def take(self) -> Line:
        """Give the model the best weights, or the mean of the best `count` where that is better -> its line.

        Raises UserError when no weights have a finite loss on the dev examples.
        """
        best, *others = self.ranked()[: self.count]
        if not is_finite(best):
            raise UserError(f"the loss on the dev examples is never finite, so no model is published; {BEGIN_ANEW}")
        if not others:
            self._assign(self._read(best["step"]))
            return best
        self._assign(self._mean([line["step"] for line in (best, *others)]))
        averaged = {"step": self.evaluations[-1]["step"], "averaged": 1 + len(others)} | self.measure()
        if self.key(averaged) >= self.key(best):
            return averaged
        self._assign(self._read(best["step"]))
        return best

    def _mean(self, steps: list[int]) -> dict[str, np.ndarray]:
        total: dict[str, np.ndarray] = {}
        for step in steps:
            for name, array in self._read(step).items():
                total[name] = total.get(name, 0.0) + array.astype(np.float64)
        return {name: array / len(steps) for name, array in total.items()}

    def _assign(self, arrays: dict[str, np.ndarray]) -> None:
        for name, variable in self._weights().items():
            variable.assign(arrays[name].astype(np.float32))

    def _weights(self) -> dict[str, Any]:
        weights = self.predictor.model.trainable_variables
        return {f"{index:05d}/{variable.name}": variable for index, variable in enumerate(weights)}

    def _read(self, step: int) -> dict[str, np.ndarray]:
        path = self._path(step)
        try:
            content, expected = storage.read_bytes(path), storage.read_bytes(f"{path}{CHECKSUM}")
        except UserError as error:
            raise UserError(f"{error}; {self._again(step)}") from None
        if hashlib.sha256(content).hexdigest().encode() != expected:
            raise UserError(f"{path} is damaged (checksums differ); {self._again(step)}")
        return load(content)

    def _again(self, step: int) -> str:
        return f"remove the checkpoints from step {step} on, to go on from one before, or name another --output"

    def _path(self, step: int) -> str:
        return storage.join(self.folder, f"{step:08d}.safetensors")


def is_finite(line: Line) -> bool:
    """Whether the loss was a number, of tasks that have one; null is what a file has for one that is none."""
    loss = line.get("dev_loss", 0.0)
    return loss is not None and math.isfinite(loss)


def metrics_of(line: Line) -> dict[str, Any]:
    """What was measured on the dev examples, by its name there."""
    return {name.removeprefix("dev_"): value for name, value in line.items() if name.startswith("dev_")}
