"""The checkpoints of a training run: all that a step changes."""

import sys
from typing import Any

import numpy as np
from keras import ops

from xlnet import storage
from xlnet.errors import UserError
from xlnet.training import resume
from xlnet.training.devices import Devices


class RunCheckpoints:
    """Saves and restores a trainer (a Keras model with `target_loss`) in a run's folder.

    `fixed`: what must be the same for the run to go on.
    """

    def __init__(
        self,
        output: str,
        *,
        trainer: Any,
        keep: resume.Keep,
        fixed: dict[str, Any],
        devices: Devices | None = None,
    ):
        self.folder = storage.join(output, "checkpoints")
        self.trainer, self.keep, self.fixed = trainer, keep, fixed
        self.devices = devices or Devices()
        self.passed: tuple[resume.Checkpoint, ...] = ()

    def save(self, step: int) -> None:
        """Write a checkpoint: the chief does, of what all have."""
        arrays = {name: ops.convert_to_numpy(variable) for name, variable in self._variables().items()}
        self.devices.by_chief(
            lambda: resume.save(
                self.folder, step, variables=arrays, settings=self.fixed, keep=self.keep, passed=self.passed
            )
        )
        self.passed = ()

    def restore(self) -> int:
        """Go back to the newest sound checkpoint -> its step, 0 without one. Those passed over are told on stderr."""
        checkpoint, passed = resume.restore(self.found(), variables=self._variables(), settings=self.fixed)
        self.passed = tuple(passed)
        for broken, why in passed.items() if self.devices.is_chief else []:
            print(f"{broken.path} is passed over: {why}", file=sys.stderr, flush=True)
        step = 0 if checkpoint is None else checkpoint.step
        if self.devices.total(np.array([step])) != step * self.devices.hosts:
            raise UserError(
                f"hosts find different checkpoints, this one step {step}: --output must be one that all share"
            )
        return step

    def found(self) -> list[resume.Checkpoint]:
        """Those that there are, oldest first."""
        return resume.find(self.folder)

    def _variables(self) -> dict[str, Any]:
        """By place and name: Keras numbers the paths anew in every process."""
        kinds = {
            "model": self.trainer.variables,
            "optimizer": self.trainer.optimizer.variables,
            "interval": self.trainer.target_loss.variables,
        }
        return {
            f"{kind}/{index:05d}/{variable.name}": self.devices.whole(variable)
            for kind, variables in kinds.items()
            for index, variable in enumerate(variables)
        }
