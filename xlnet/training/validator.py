"""The model that measures a held-out data set: the mean loss, and the loss by where in a window the targets stand."""

from typing import Any

import keras
from keras import ops

from xlnet.training import steps
from xlnet.training.pretrainer import Pretrainer

BANDS = 8  # equal parts of the window


class Validator(Pretrainer):
    """A `Pretrainer` that is only evaluated; see the module."""

    def __init__(self, *given: Any, **named: Any):
        super().__init__(*given, **named)
        self.band_losses = [keras.metrics.Mean(name=f"band_{band}") for band in range(BANDS)]

    def test_step(self, *given: Any) -> Any:
        """One step of `evaluate`; see `training.steps`."""
        *state, data = given
        batch, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return steps.measuring_of_backend()(self, *state, batch)

    def make_test_function(self, force: bool = False) -> Any:
        """See `make_function_of`."""
        return self.make_function_of("test", force=force)

    def sums(self, batch: dict[str, Any], losses: Any, counts: Any) -> list[Any]:
        """What measures some rows, and adds up over devices: of the targets that count the losses, and how many.

        `losses`, `counts`: [B, T], of `row_losses`. Returns [], [] of all targets, then [BANDS], [BANDS] by band.
        """
        length, counts = self.objective.length, ops.cast(counts, losses.dtype)
        places = ops.minimum(ops.cast(self.objective.positions(batch), "int32"), length - 1) * BANDS // length
        inside = ops.one_hot(places, BANDS, dtype=losses.dtype) * counts[..., None]
        return [
            ops.sum(losses * counts),
            ops.sum(counts),
            ops.sum(losses[..., None] * inside, axis=(0, 1)),
            ops.sum(inside, axis=(0, 1)),
        ]

    def measure(self, sums: list[Any]) -> None:
        """Take the `sums` of a batch into the metrics: means in nats, of all targets and of those in each band."""
        total, count, totals, counts = sums
        self.target_loss.update_state(total / ops.maximum(count, 1.0), sample_weight=count)
        for band, measured in enumerate(self.band_losses):
            measured.update_state(totals[band] / ops.maximum(counts[band], 1.0), sample_weight=counts[band])
