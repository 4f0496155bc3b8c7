"""What a model is pretrained to do with a window: predict its targets in a factorization order, or every next piece.

Batches are those of `training.data`. Source: Yang et al. 2019, section 2.2, and Dai et al. 2019, section 3;
reference: function_builder.py, `two_stream_loss`, and modeling.py, `lm_loss`.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from keras import ops

from xlnet.corpus.settings import CorpusSettings
from xlnet.errors import UserError
from xlnet.model.backbone import Backbone
from xlnet.model.config import ModelConfig
from xlnet.model.heads import LanguageModelHead
from xlnet.model.permutation import target_positions, visible, visible_from
from xlnet.model.visibility import empty
from xlnet.special_pieces import CLS, SEP


class Permutation:
    """The targets of a window, each from what comes before it in the window's order, by two-stream attention."""

    name = "permutation"

    def __init__(self, corpus: CorpusSettings):
        self.corpus = corpus

    @property
    def length(self) -> int:
        """Pieces of a window that the model reads."""
        return self.corpus.sequence_length

    @property
    def queries(self) -> int | None:
        """Places of the query stream in a row; None: there is none."""
        return self.corpus.predictions

    @property
    def boundary(self) -> int:
        """Where the reuse half ends, which sees nothing of the other."""
        return self.corpus.reuse_length

    def untrained(self, backbone: Backbone) -> list[Any]:
        """The weights that it has no use for."""
        return []

    def targets(self, batch: dict[str, Any]) -> tuple[Any, Any]:
        """What is to be predicted: pieces int [B, T], and 1 where there is a target, float32 [B, T]."""
        _, _, positions, counts = self._places(batch)
        return ops.take_along_axis(ops.cast(batch["pieces"], "int32"), positions, axis=1), counts

    def positions(self, batch: dict[str, Any]) -> Any:
        """Where in the window the targets stand, int [B, T]."""
        return self._places(batch)[2]

    def losses(
        self,
        backbone: Backbone,
        head: LanguageModelHead,
        batch: dict[str, Any],
        memories: Sequence[Any] | None,
        *,
        memory_length: int,
        training: bool,
    ) -> tuple[Any, list[Any]]:
        """Losses of the targets in nats, float32 [B, T], and the new memories."""
        is_target, is_functional, positions, counts = self._places(batch)
        sight = {"reuse_length": self.corpus.reuse_length}
        hidden, new = backbone.two_stream(
            batch["pieces"],
            batch["segments"],
            visible=visible(batch["order"], is_target, is_functional, **sight),
            query_visible=visible_from(positions, batch["order"], is_target, is_functional, **sight),
            target_positions=positions,
            target_mask=counts,
            memories=memories,
            memory_length=memory_length,
            reuse_length=self.corpus.reuse_length,
            boundary=self.boundary,
            training=training,
        )
        return head.loss(hidden, ops.take_along_axis(batch["pieces"], positions, axis=1)), new

    def _places(self, batch: dict[str, Any]) -> tuple[Any, Any, Any, Any]:
        pieces = batch["pieces"]
        is_functional = ops.logical_or(ops.equal(pieces, SEP), ops.equal(pieces, CLS))
        is_target = ops.logical_and(ops.cast(batch["is_target"], "bool"), ops.logical_not(is_functional))
        return is_target, is_functional, *target_positions(is_target, self.corpus.predictions)


class Causal:
    """Every next piece of a stream, read from left to right with memories: a Transformer-XL.

    The reuse parts of a stream's windows are the stream; the rest of a window gives only the piece after them.
    Unlike the reference, nothing is attended to where a memory is still empty.
    """

    name = "causal"

    def __init__(self, corpus: CorpusSettings):
        self.corpus = corpus

    @property
    def length(self) -> int:
        """Pieces of a window that the model reads."""
        return self.corpus.reuse_length

    @property
    def queries(self) -> int | None:
        """Places of the query stream in a row; None: there is none."""
        return None

    @property
    def boundary(self) -> int:
        """There are no halves."""
        return 0

    def untrained(self, backbone: Backbone) -> list[Any]:
        """The weights that it has no use for: there is no query stream, and text is one segment."""
        return [backbone.mask_embedding, backbone.segment_keys, backbone.segment_bias]

    def targets(self, batch: dict[str, Any]) -> tuple[Any, Any]:
        """What is to be predicted: pieces int [B, T], and 1 where there is a target, float32 [B, T]."""
        pieces = ops.cast(batch["pieces"], "int32")
        is_window = ops.equal(pieces[:, -1:], CLS)  # as every window ends, but not what fills a batch up
        following = pieces[:, 1 : self.length + 1]
        return following, ops.cast(ops.broadcast_to(is_window, ops.shape(following)), "float32")

    def positions(self, batch: dict[str, Any]) -> Any:
        """Where in the window the targets stand, int [B, T]."""
        rows, _ = ops.shape(batch["pieces"])
        return ops.broadcast_to(ops.arange(1, self.length + 1, dtype="int32"), (rows, self.length))

    def losses(
        self,
        backbone: Backbone,
        head: LanguageModelHead,
        batch: dict[str, Any],
        memories: Sequence[Any] | None,
        *,
        memory_length: int,
        training: bool,
    ) -> tuple[Any, list[Any]]:
        """Losses of the targets in nats, float32 [B, T], and the new memories."""
        pieces = batch["pieces"]
        hidden, new = backbone(
            pieces[:, : self.length],
            memories=memories,
            memory_padding=empty(memories) if memories else None,
            memory_length=memory_length,
            training=training,
        )
        return head.loss(hidden, pieces[:, 1 : self.length + 1]), new


Objective = Permutation | Causal
OBJECTIVES: dict[str, type[Objective]] = {kind.name: kind for kind in (Permutation, Causal)}


def fit(config: ModelConfig, *, objective: str, memory_length: int) -> ModelConfig:
    """The configuration of a model for an objective: a causal one reads from left to right.

    Raises UserError where the two contradict each other.
    """
    if objective == Causal.name:
        config = dataclasses.replace(config, attention="uni")
    elif config.attention != "bi":
        raise UserError(f"attention is {config.attention!r}, which objective {objective} cannot train; pass causal")
    if config.same_length and not memory_length:
        raise UserError("same_length is True with memory_length 0: no position would see another; give a memory")
    return config
