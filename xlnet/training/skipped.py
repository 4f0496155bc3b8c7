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
LAST = 2  # skipped steps in a row that are too many at the end of a run; one may be its batch's fault
BEGIN_ANEW = "begin anew with a lower learning_rate or clip_norm"


class Skipped:
    """Watches an optimizer's counts in a run of `steps`.

    `batch_at` makes the batch of a step again; one of many hosts `writes` them.
    """

    def __init__(
        self,
        output: str,
        *,
        optimizer: Guarded,
        batch_at: Callable[[int], Mapping[str, Any]],
        steps: int,
        writes: bool = True,
    ):
        self.writes, self.steps = writes, steps
        self.folder = storage.join(output, FOLDER)
        self.optimizer, self.batch_at = optimizer, batch_at
        self.seen = self.count

    @property
    def count(self) -> int:
        """How many steps were skipped so far."""
        return int(ops.convert_to_numpy(self.optimizer.skipped))

    def check(self) -> None:
        """Save what was skipped since the last look. Raises UserError when too many were, one after the other.

        No step comes after the last one that could show the weights to be sound: there `LAST` in a row are too many,
        and a run of which no step was sound is refused.
        """
        is_over, count = self.optimizer.position >= self.steps, self.count
        if is_over and not self.optimizer.updates:
            raise UserError(f"of {self.steps} steps none was finite, so no model is published; {BEGIN_ANEW}")
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
        most = self.optimizer.care.most_skipped or in_row + 1
        if in_row >= (min(most, LAST) if is_over else most):
            where = " at the end of the run" if in_row < most else ""
            last, again = _listed(fresh).rpartition(", ")[2], self._spike("go on with another spike_deviations, or ")
            raise UserError(
                f"{in_row} steps in a row{where} had a loss or gradient that is not finite"
                f"{self._spike(', or a spike of the loss (mean {:.4g})')}; the last one is {last}; their batches are "
                f"in {self.folder}: look there, then {again}{BEGIN_ANEW}"
            )
        print(
            f"{len(fresh)} steps were skipped ({_listed(fresh)}): not finite"
            f"{self._spike(', or far above the mean of {:.4g}')}; batches in {self.folder}",
            flush=True,
        )

    def _spike(self, told: str) -> str:
        """What is told of spikes, with the mean of the sound losses; nothing where none is looked for."""
        is_wanted = self.optimizer.care.spike_deviations
        return told.format(float(ops.convert_to_numpy(self.optimizer.losses.mean))) if is_wanted else ""

    def _save(self, step: int, loss: float) -> None:
        content = io.BytesIO()
        arrays: dict[str, Any] = {name: np.asarray(values) for name, values in self.batch_at(step).items()}
        np.savez(content, loss=loss, **arrays)
        storage.publish(storage.join(self.folder, f"step-{step:08d}.npz"), content.getvalue())


def _listed(steps: Mapping[int, float]) -> str:
    return ", ".join(f"step {step}: loss {loss:.4g}" for step, loss in steps.items())
