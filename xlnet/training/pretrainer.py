"""The model that is pretrained: the transformer and a language model head, with memories as its state.

Source: Yang et al. 2019, sections 2.2 to 2.5; reference: function_builder.py.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from xlnet.corpus.settings import CorpusSettings
from xlnet.model.backbone import Backbone
from xlnet.model.heads import LanguageModelHead
from xlnet.training import steps
from xlnet.training.objectives import OBJECTIVES, Objective


class Pretrainer(keras.Model):
    """An objective over batches of records; each row's memories stay with it from step to step.

    Called with a batch (see `training.data`), it returns losses, counts and targets, [rows, targets] each.
    `objective`: one of `training.objectives`.
    `parts`: a batch is trained on in so many parts, one after the other, whose gradients are added.
    Two of them may share backbone and head: one trains, the other measures, each with memories of its own.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: LanguageModelHead,
        *,
        corpus: CorpusSettings,
        objective: str = "permutation",
        rows: int,
        memory_length: int,
        parts: int = 1,
        name: str = "model",
    ):
        super().__init__(name=name)
        self.backbone = backbone
        self.head = head
        self.objective: Objective = OBJECTIVES[objective](corpus)
        for weight in self.objective.untrained(backbone):
            weight.trainable = False
        self.memory_length = memory_length
        self.parts = parts
        self.target_loss = keras.metrics.Mean(name="target_loss")
        self.resets_metrics = True
        shape = (rows, memory_length, backbone.config.model_dim)
        stored = {"initializer": "zeros", "trainable": False, "dtype": backbone.compute_dtype}
        self.memories = [
            self.add_weight(shape=shape, name=f"memory_{layer}", **stored)
            for layer in range(backbone.config.layers if memory_length else 0)
        ]
        self.built = True  # all weights exist: nothing need be run to make them

    def call(self, batch: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Losses of the targets, which of them count, and the targets; memories are carried over to the next batch."""
        losses, counts, new = self.row_losses(batch, self.carried(batch), training=training)
        for memory, value in zip(self.memories, new, strict=True):
            memory.assign(value)
        return {"losses": losses, "counts": counts, "targets": self.objective.targets(batch)[0]}

    def row_losses(
        self, batch: dict[str, Any], memories: list[Any] | None, *, training: bool
    ) -> tuple[Any, Any, list[Any]]:
        """Of some rows and their memories: losses [B, T] of the targets, which of them count [B, T], new memories."""
        losses, new = self.objective.losses(
            self.backbone, self.head, batch, memories, memory_length=self.memory_length, training=training
        )
        return losses, self.objective.targets(batch)[1], new or []

    def target_count(self, batch: dict[str, Any]) -> Any:
        """How many targets of a batch count: what its loss is the mean over, float32 []."""
        return ops.sum(self.objective.targets(batch)[1])

    def carried(self, batch: dict[str, Any]) -> list[Any] | None:
        """The memories, empty in the rows whose stream begins here."""
        if not self.memories:
            return None
        keeps = 1.0 - ops.cast(batch["reset"], "float32")[:, None, None]
        return [memory * ops.cast(keeps, memory.dtype) for memory in self.memories]

    def train_step(self, *given: Any) -> Any:
        """One step of `fit`; see `training.steps`."""
        *state, data = given
        batch, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return steps.of_backend()(self, *state, batch)

    def make_train_function(self, force: bool = False) -> Any:
        """See `make_function_of`."""
        return self.make_function_of("train", force=force)

    def make_function_of(self, kind: str, *, force: bool) -> Any:
        """What Keras calls for each step to "train" or "test"; its own knows nothing of steps compiled part by part."""
        if keras.backend.backend() == "tensorflow":
            from xlnet.training import replicas

            if replicas.are_many(self):
                if force or getattr(self, f"{kind}_function") is None:
                    setattr(self, f"{kind}_function", replicas.on_replicas(self, getattr(self, f"{kind}_step")))
                return None
        return getattr(super(), f"make_{kind}_function")(force=force)

    def _maybe_symbolic_build(self, *_: Any, **__: Any) -> None:
        """Nothing: all is built, and Keras would take the mean of the replicas' batches to do it."""

    def reset_metrics(self) -> None:
        """What Keras does as an epoch begins; a run that goes on in the middle of an interval counts on instead."""
        if self.resets_metrics:
            super().reset_metrics()

    def empty_memories(self) -> None:
        """Forget every row's memories."""
        for memory in self.memories:
            memory.assign(ops.zeros(memory.shape, dtype=memory.dtype))


def unigram_losses(
    batches: Any,
    counts: np.ndarray,
    *,
    objective: Objective,
    total: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> dict[str, float]:
    """What a model that knows only how often pieces occur would lose on the targets of the batches, in nats.

    `unigram_loss` counts pieces in the training text (add-one smoothed), as any model must; `unigram_loss_own`
    counts the held-out targets themselves, which no unigram model can beat. `total` sums counts of many hosts.
    """
    own, find = np.zeros(len(counts), np.int64), _as_a_program(objective.targets)
    for batch in batches:
        arrays = {name: np.asarray(values) for name, values in batch.items()}
        targets, counted = (ops.convert_to_numpy(values) for values in find(arrays))
        own += np.bincount(targets[counted > 0], minlength=len(counts))
    own = total(own)
    share = own / max(1, own.sum())
    trained = (counts + 1) / (counts.sum() + len(counts))
    seen = own > 0
    return {
        "unigram_loss": float(-np.sum(share * np.log(trained))),
        "unigram_loss_own": float(-np.sum(share[seen] * np.log(share[seen]))),
    }


def _as_a_program(function: Callable[..., Any]) -> Callable[..., Any]:
    """One operation after the other, with Python in between, a batch would take 10 ms."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function, autograph=False)
