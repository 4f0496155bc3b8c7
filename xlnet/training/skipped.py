"""Steps that were skipped because a loss or gradient was not finite: their batches are saved, for a person to look at.

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
    """Watches an optimizer's counts. `batch_at` makes the batch of a step again."""

    def __init__(self, output: str, *, optimizer: Guarded, batch_at: Callable[[int], Mapping[str, Any]]):
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
        steps = ops.convert_to_numpy(self.optimizer.skipped_steps)
        fresh = [int(steps[place % REMEMBERED]) for place in range(max(self.seen, count - REMEMBERED), count)]
        self.seen = count
        for step in fresh:
            self._save(step)
        in_row = int(ops.convert_to_numpy(self.optimizer.skipped_in_row))
        if in_row >= (self.optimizer.care.most_skipped or in_row + 1):
            raise UserError(
                f"{in_row} steps in a row had a loss or gradient that is not finite, the last one is step {fresh[-1]}; "
                f"their batches are in {self.folder}: look there, then lower learning_rate or clip_norm and begin anew"
            )
        print(f"{len(fresh)} steps were skipped ({_listed(fresh)}): not finite; batches in {self.folder}", flush=True)

    def _save(self, step: int) -> None:
        content = io.BytesIO()
        arrays: dict[str, Any] = {name: np.asarray(values) for name, values in self.batch_at(step).items()}
        np.savez(content, **arrays)
        storage.publish(storage.join(self.folder, f"step-{step:08d}.npz"), content.getvalue())


def _listed(steps: list[int]) -> str:
    return ", ".join(map(str, steps))
