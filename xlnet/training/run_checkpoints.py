"""The checkpoints of a training run: all that a step changes."""

import sys
from typing import Any

from xlnet import storage
from xlnet.training import resume


class RunCheckpoints:
    """Saves and restores a trainer (a Keras model with `target_loss`) in a run's folder.

    `fixed`: what must be the same for the run to go on.
    """

    def __init__(self, output: str, *, trainer: Any, keep: resume.Keep, fixed: dict[str, Any]):
        self.folder = storage.join(output, "checkpoints")
        self.trainer, self.keep, self.fixed = trainer, keep, fixed

    def save(self, step: int) -> None:
        """Write a checkpoint."""
        resume.save(self.folder, step, variables=self._variables(), settings=self.fixed, keep=self.keep)

    def restore(self) -> int:
        """Go back to the newest sound checkpoint -> its step, 0 without one. Those passed over are told on stderr."""
        checkpoint, passed = resume.restore(self.found(), variables=self._variables(), settings=self.fixed)
        for line in passed:
            print(line, file=sys.stderr, flush=True)
        return 0 if checkpoint is None else checkpoint.step

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
            f"{kind}/{index:05d}/{variable.name}": variable
            for kind, variables in kinds.items()
            for index, variable in enumerate(variables)
        }
