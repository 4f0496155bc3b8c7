"""The model that is pretrained: two-stream attention and a language model head, with memories as its state.

Source: Yang et al. 2019, sections 2.2 to 2.5; reference: function_builder.py, two_stream_loss.
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from xlnet.corpus.settings import CorpusSettings
from xlnet.model.backbone import Backbone
from xlnet.model.heads import LanguageModelHead
from xlnet.model.permutation import target_positions, visible, visible_from
from xlnet.training import steps
from xlnet.vocab import CLS, SEP


class Pretrainer(keras.Model):
    """Two-stream attention over batches of records; each row's memories stay with it from step to step.

    Called with a batch (see `training.data`), it returns the losses [rows, predictions] and which of them count.
    `parts`: a batch is trained on in so many parts, one after the other, whose gradients are added.
    Two of them may share backbone and head: one trains, the other measures, each with memories of its own.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: LanguageModelHead,
        *,
        corpus: CorpusSettings,
        rows: int,
        memory_length: int,
        parts: int = 1,
        name: str = "model",
    ):
        super().__init__(name=name)
        self.backbone = backbone
        self.head = head
        self.corpus = corpus
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

    def call(self, batch: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Losses of the targets, with the memories carried over to the next batch."""
        losses, counts, new = self.row_losses(batch, self.carried(batch), training=training)
        for memory, value in zip(self.memories, new, strict=True):
            memory.assign(value)
        return {"losses": losses, "counts": counts}

    def row_losses(
        self, batch: dict[str, Any], memories: list[Any] | None, *, training: bool
    ) -> tuple[Any, Any, list[Any]]:
        """Of some rows and their memories: losses [B, T] of the targets, which of them count [B, T], new memories."""
        is_target, is_functional, positions, counts = self._targets(batch)
        sight = {"reuse_length": self.corpus.reuse_length}
        hidden, new = self.backbone.two_stream(
            batch["pieces"],
            batch["segments"],
            visible=visible(batch["order"], is_target, is_functional, **sight),
            query_visible=visible_from(positions, batch["order"], is_target, is_functional, **sight),
            target_positions=positions,
            target_mask=counts,
            memories=memories,
            memory_length=self.memory_length,
            reuse_length=self.corpus.reuse_length,
            training=training,
        )
        return self.head.loss(hidden, ops.take_along_axis(batch["pieces"], positions, axis=1)), counts, new or []

    def _targets(self, batch: dict[str, Any]) -> tuple[Any, Any, Any, Any]:
        pieces = batch["pieces"]
        is_functional = ops.logical_or(ops.equal(pieces, SEP), ops.equal(pieces, CLS))
        is_target = ops.logical_and(ops.cast(batch["is_target"], "bool"), ops.logical_not(is_functional))
        return is_target, is_functional, *target_positions(is_target, self.corpus.predictions)

    def target_count(self, batch: dict[str, Any]) -> Any:
        """How many targets of a batch count: what its loss is the mean over, float32 []."""
        return ops.sum(ops.cast(self._targets(batch)[3], "float32"))

    def carried(self, batch: dict[str, Any]) -> list[Any] | None:
        """The memories, empty in the rows whose stream begins here."""
        if not self.memories:
            return None
        keeps = 1.0 - ops.cast(batch["reset"], "float32")[:, None, None]
        return [memory * ops.cast(keeps, memory.dtype) for memory in self.memories]

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The mean loss of the batch's targets, in nats."""
        total = ops.sum(y_pred["losses"] * y_pred["counts"])
        count = ops.sum(y_pred["counts"])
        loss = total / ops.maximum(count, 1.0)
        self.target_loss.update_state(loss, sample_weight=count)
        return loss

    def train_step(self, *given: Any) -> Any:
        """One step of `fit`; see `training.steps`."""
        *state, data = given
        batch, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return steps.of_backend()(self, *state, batch)

    def reset_metrics(self) -> None:
        """What Keras does as an epoch begins; a run that goes on in the middle of an interval counts on instead."""
        if self.resets_metrics:
            super().reset_metrics()

    def empty_memories(self) -> None:
        """Forget every row's memories."""
        for memory in self.memories:
            memory.assign(ops.zeros(memory.shape, dtype=memory.dtype))


def build(model: Pretrainer, *, rows: int) -> None:
    """Make the variables, by one call on zeros."""
    shape = (rows, model.corpus.sequence_length)
    batch: dict[str, Any] = {name: np.zeros(shape, np.int32) for name in ("pieces", "segments", "order")}
    batch |= {"is_target": np.zeros(shape, bool), "reset": np.zeros(rows, bool)}
    model(batch)
    model.empty_memories()


def unigram_losses(batches: Any, counts: np.ndarray) -> dict[str, float]:
    """What a model that knows only how often pieces occur would lose on the targets of the batches, in nats.

    `unigram_loss` counts pieces in the training text (add-one smoothed), as any model must; `unigram_loss_own`
    counts the held-out targets themselves, which no unigram model can beat.
    """
    own = np.zeros(len(counts), np.int64)
    for batch in batches:
        pieces = np.asarray(batch["pieces"])
        targets = pieces[np.asarray(batch["is_target"]) & (pieces != SEP) & (pieces != CLS)]
        own += np.bincount(targets, minlength=len(counts))
    share = own / max(1, own.sum())
    trained = (counts + 1) / (counts.sum() + len(counts))
    seen = own > 0
    return {
        "unigram_loss": float(-np.sum(share * np.log(trained))),
        "unigram_loss_own": float(-np.sum(share[seen] * np.log(share[seen]))),
    }
