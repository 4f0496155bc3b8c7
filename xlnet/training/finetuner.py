"""The model that is fine-tuned: a task's, with the task's loss; its step is that of pretraining, without memories."""

from typing import Any

import keras
from keras import ops

from xlnet.tasks.task import Task
from xlnet.training import steps


class Finetuner(keras.Model):
    """A task's model over batches of `Features.inputs` and `targets` in one dict, each value [rows, ...].

    `weight` [rows] in a batch: how much each row counts. `parts`: a batch is trained on in so many parts, one after
    the other, whose gradients are added.
    """

    def __init__(self, task: Task, model: keras.Model, *, parts: int = 1):
        super().__init__(name="finetuner")
        self.task, self.inner, self.parts = task, model, parts
        self.target_loss = keras.metrics.Mean(name="target_loss")
        self.memories: list[Any] = []
        self.built = True

    def call(self, batch: dict[str, Any], training: bool = False) -> Any:
        """The outputs of the task's model."""
        return self.inner(batch, training=training)

    def row_losses(
        self, batch: dict[str, Any], memories: list[Any] | None, *, training: bool
    ) -> tuple[Any, Any, list[Any]]:
        """Losses, how much each counts, and no memories."""
        return self.task.losses(self.inner, batch, training=training), self._counts(batch), []

    def target_count(self, batch: dict[str, Any]) -> Any:
        """What a batch's loss is divided by, float32 []."""
        return ops.sum(self._counts(batch))

    def _counts(self, batch: dict[str, Any]) -> Any:
        counts = ops.cast(self.task.counts(batch), "float32")
        if "weight" not in batch:
            return counts
        return counts * ops.reshape(batch["weight"], (-1, *[1] * (len(counts.shape) - 1)))

    def carried(self, batch: dict[str, Any]) -> None:
        """No memories."""

    def train_step(self, *given: Any) -> Any:
        """One step of `fit`; see `training.steps`."""
        *state, data = given
        batch, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return steps.of_backend()(self, *state, batch)

    def reset_metrics(self) -> None:
        """Nothing, where Keras begins an epoch: a run goes on in the middle of an interval, and its loss with it."""
