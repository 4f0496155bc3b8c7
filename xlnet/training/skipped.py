"""Steps that were skipped, not finite or a spike of the loss: their batches are saved, for a person to look at.

The compiled step keeps the positions of the last ones; a batch follows from its position, so nothing is copied from
the device while all is well.
"""

import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from keras import ops

from xlnet import storage
from xlnet.errors import UserError
from xlnet.training.guard import REMEMBERED, Guarded

FOLDER = "skipped"


class Skipped:
    """Watches an optimizer's counts. `batch_at` makes the batch of a step again; one of many hosts `writes` them."""

    def __init__(
        self,
        output: str,
        *,
        optimizer: Guarded,
        batch_at: Callable[[int], Mapping[str, Any]],
        writes: bool = True,
    ):
        self.writes = writes
        self.folder = storage.join(output, FOLDER)
        self.optimizer, self.batch_at = optimizer, batch_at
        self.seen = self.count

    @property
    def count(self) -> int:
        """How many steps were skipped so far."""
        return int(ops.convert_to_numpy(self.optimizer.skipped))

    def check(self) -> None:
        """Save what was skipped since the last look. Raises UserError when too many were, one after the other."""
        count = self.count
        if count == self.seen:
            return
        steps, losses = (
            ops.convert_to_numpy(each) for each in (self.optimizer.skipped_steps, self.optimizer.skipped_losses)
        )
        places = [place % REMEMBERED for place in range(max(self.seen, count - REMEMBERED), count)]
        fresh = {int(steps[place]): float(losses[place]) for place in places}
        self.seen = count
        for step, loss in fresh.items() if self.writes else []:
            self._save(step, loss)
        in_row = int(ops.convert_to_numpy(self.optimizer.skipped_in_row))
        if in_row >= (self.optimizer.care.most_skipped or in_row + 1):
            raise UserError(
                f"{in_row} steps in a row had a loss or gradient that is not finite, or a spike of the loss (mean "
                f"{self._mean():.4g}); the last one is {_listed(fresh).rpartition(', ')[2]}; their batches are in "
                f"{self.folder}: look there, then go on with another spike_deviations, or begin anew with a lower "
                "learning_rate or clip_norm"
            )
        print(
            f"{len(fresh)} steps were skipped ({_listed(fresh)}): not finite, or far above the mean of "
            f"{self._mean():.4g}; batches in {self.folder}",
            flush=True,
        )

    def _mean(self) -> float:
        return float(ops.convert_to_numpy(self.optimizer.losses.mean))

    def _save(self, step: int, loss: float) -> None:
        content = io.BytesIO()
        arrays: dict[str, Any] = {name: np.asarray(values) for name, values in self.batch_at(step).items()}
        np.savez(content, loss=loss, **arrays)
        storage.publish(storage.join(self.folder, f"step-{step:08d}.npz"), content.getvalue())


def _listed(steps: Mapping[int, float]) -> str:
    return ", ".join(f"step {step}: loss {loss:.4g}" for step, loss in steps.items())
