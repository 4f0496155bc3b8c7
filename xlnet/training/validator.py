"""The model that measures a held-out data set: the mean loss, and the loss by where in a window the targets stand."""

from typing import Any

import keras
from keras import ops

from xlnet.training.pretrainer import Pretrainer

BANDS = 8  # equal parts of the window


class Validator(Pretrainer):
    """A `Pretrainer` that is only evaluated; see the module."""

    def __init__(self, *given: Any, **named: Any):
        super().__init__(*given, **named)
        self.band_losses = [keras.metrics.Mean(name=f"band_{band}") for band in range(BANDS)]

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The mean loss of the batch's targets, in nats."""
        length = self.objective.length
        places = ops.minimum(ops.cast(self.objective.positions(x), "int32"), length - 1) * BANDS // length
        inside = ops.one_hot(places, BANDS, dtype="float32") * ops.cast(y_pred["counts"], "float32")[..., None]
        totals, counts = ops.sum(y_pred["losses"][..., None] * inside, axis=(0, 1)), ops.sum(inside, axis=(0, 1))
        if keras.backend.backend() == "tensorflow":
            from xlnet.training import replicas

            totals, counts = replicas.across([totals, counts])
        for band, measured in enumerate(self.band_losses):
            measured.update_state(totals[band] / ops.maximum(counts[band], 1.0), sample_weight=counts[band])
        return super().compute_loss(x, y, y_pred, sample_weight, training)
