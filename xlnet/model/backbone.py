"""The XLNet transformer: embeddings, layers, memories; one stream, or content and query streams.

Batch-major throughout. With `bidirectional` the rows of a batch alternate: row 2k is read forward, row 2k + 1
backward. Source: Yang et al. 2019, section 2; reference modeling.py, `transformer_xl` (time-major there, forward
rows first).
"""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import keras
from keras import ops

from xlnet import frameworks
from xlnet.model.attention import Biases
from xlnet.model.block import Block
from xlnet.model.config import ModelConfig
from xlnet.model.dropout import Dropout
from xlnet.model.made_once import made_once
from xlnet.model.positions import distance_table
from xlnet.model.recompute import recomputed
from xlnet.model.traced_once import traced_once
from xlnet.model.visibility import causal, content_view, over_keys, query_view


class Targets(NamedTuple):
    """What the query stream predicts: see `Backbone.two_stream`."""

    visible: Any
    positions: Any
    mask: Any


class Backbone(keras.layers.Layer):
    """XLNet without a head. All weights exist from construction.

    `remat`: in training, keep only each layer's input and compute the layer again for the gradient; a third slower,
    for models that do not fit otherwise. `seed` fixes the initial weights and the dropout, those of a head too, which
    draws from `random`: nothing that a process draws elsewhere changes them.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        bidirectional: bool = False,
        remat: bool = False,
        seed: int = 0,
        name: str = "transformer",
        **options: Any,
    ) -> None:
        super().__init__(name=name, **options)
        self.config, self.remat = config, remat
        self.directions = 2 if bidirectional else 1
        self.random = keras.random.SeedGenerator(seed, name=f"{name}_random")  # the name is its key in a checkpoint
        self.blocks = [
            Block(
                config,
                directions=self.directions,
                random=self.random,
                name=f"layer_{index}",
                dtype=self.dtype_policy,
            )
            for index in range(config.layers)
        ]
        self.build()

    def build(self, *_: Any) -> None:
        """Make the weights; their shapes follow from the configuration alone."""
        config = self.config
        layers = (config.layers,) if config.untie_biases else ()
        bias = (*layers, config.heads, config.head_dim)
        self.word_embedding = self._add("word_embedding", (config.vocab_size, config.model_dim))
        self.mask_embedding = self._add("mask_emb", (1, 1, config.model_dim))
        self.content_bias = self._add("r_w_bias", bias)
        self.position_bias = self._add("r_r_bias", bias)
        self.segment_bias = self._add("r_s_bias", bias)
        self.segment_keys = self._add("seg_embed", (config.layers, 2, config.heads, config.head_dim))
        for block in self.blocks:
            block.build()
        self.built = True

    def _add(self, name: str, shape: tuple[int, ...]) -> keras.Variable:
        return self.add_weight(name=name, shape=shape, initializer=self.initializer)

    @property
    def initializer(self) -> keras.initializers.Initializer:
        """Of kernels, those of a head too."""
        return keras.initializers.RandomNormal(stddev=self.config.initializer_stddev, seed=self.random)

    def reference_variables(self) -> dict[str, keras.Variable]:
        """The weights under the reference's variable names."""
        own = {
            "word_embedding/lookup_table": self.word_embedding,
            "mask_emb/mask_emb": self.mask_embedding,
            "r_w_bias": self.content_bias,
            "r_r_bias": self.position_bias,
            "r_s_bias": self.segment_bias,
            "seg_embed": self.segment_keys,
        }
        for block in self.blocks:
            own.update({f"{block.name}/{name}": weight for name, weight in block.reference_weights.items()})
        return {f"model/transformer/{name}": weight for name, weight in own.items()}

    def two_stream(
        self,
        pieces: Any,
        segments: Any = None,
        *,
        visible: Any,
        query_visible: Any,
        target_positions: Any,
        target_mask: Any,
        memories: Sequence[Any] | None = None,
        memory_padding: Any = None,
        memory_length: int | None = None,
        reuse_length: int | None = None,
        boundary: int = 0,
        training: bool | None = None,
    ) -> tuple[Any, list[Any]]:
        """The query stream at the targets, for pretraining -> (query output [B, T, D], new memories).

        visible bool [B, L, L]; query_visible bool [B, T, L], its rows at target_positions int [B, T]; target_mask
        [B, T], 0 where a target is padding. With target_positions None the query stream runs over all positions
        and target_mask [B, L] says which of them hide their piece; the others show it. boundary: no position before it
        sees one from it on, so that these pairs need not be computed (0: there is none).
        The content stream of the last layer is not computed: nothing reads it.
        """
        return self(
            pieces,
            segments,
            visible=visible,
            memories=memories,
            memory_padding=memory_padding,
            memory_length=memory_length,
            reuse_length=reuse_length,
            targets=Targets(query_visible, target_positions, target_mask),
            boundary=boundary,
            training=training,
        )

    def call(
        self,
        pieces: Any,
        segments: Any = None,
        *,
        padding: Any = None,
        visible: Any = None,
        memories: Sequence[Any] | None = None,
        memory_padding: Any = None,
        memory_length: int | None = None,
        reuse_length: int | None = None,
        targets: Targets | None = None,
        boundary: int = 0,
        last_only: bool = False,
        training: bool | None = None,
    ) -> tuple[Any, list[Any]]:
        """pieces int [B, L] -> (output [B, L, D], new memories: [B, M', D] a layer, or [] without memory_length).

        segments int [B, L]; padding [B, L], 1 or True at padding; visible bool [B, L, L]; memories: [B, M, D] a
        layer; memory_padding bool [B, M], True where they hold nothing (None: they are full). The new memories are the
        last `memory_length` of the memories and the layer's input, of which only the first `reuse_length` positions if
        given; no gradient flows into them. boundary: see `two_stream`.
        last_only: the output is wanted at the last position alone, [B, 1, D]; the last layer computes no other.
        """
        training = bool(training)
        held = 0 if not memories else ops.shape(memories[0])[1]
        length = ops.shape(pieces)[1]
        padding = over_keys(padding, memory_padding if held else None, length=length, memory_length=held)
        about_all = self._views(
            segments, visible, padding=padding, length=length, held=held, targets=targets, boundary=boundary
        )
        about_all["table"] = self._table(length, held, training=training)
        # A gather from the plain variable would hand the optimizer a sparse gradient, with repeated rows.
        content = ops.take(ops.convert_to_tensor(self.word_embedding) * 1.0, pieces, axis=0)
        query = None
        if targets is not None:
            query = self._drop(self._query_start(content, targets), training=training)
        content = self._drop(content, training=training)
        streams = [content] if query is None else [content, query]
        own = [
            {
                "memory": memories[index] if memories and held else None,
                "biases": self.layer_biases(index, segments),
                "seed": self.random.next() if training else None,  # drawn here: a layer may be computed again
            }
            for index in range(len(self.blocks))
        ]
        shared = [about_all] * len(self.blocks)
        if targets is not None or last_only:
            shared[-1] = about_all | {"content_wanted": targets is None, "last_only": last_only}
        if training:
            streams, entered = self._by_kinds(streams, own, shared)
        else:
            streams, entered = self._one_by_one(range(len(own)), streams, own, shared)
        new_memories = [
            _remember(each["memory"], before, memory_length, reuse_length)
            for each, before in zip(own, entered, strict=True)
            if memory_length
        ]
        return self._drop(streams[-1], training=training), new_memories

    def _one_by_one(
        self, layers: Iterable[int], streams: list[Any], own: list[Any], shared: list[Any]
    ) -> tuple[list[Any], list[Any]]:
        """-> the streams after these layers, and the content that entered each.

        own, shared: what every layer is told, alone and as others are; of the last, less may be wanted.
        """
        entered = []
        for index in layers:
            entered.append(streams[0])
            streams = self._through(index, streams, shared[index] | own[index])
        return streams, entered

    def _by_kinds(self, streams: list[Any], own: list[Any], shared: list[Any]) -> tuple[list[Any], list[Any]]:
        """As of all `_one_by_one`; equal ones are traced once, or with `remat` computed again for the gradient."""
        entered: list[Any] = []
        for same in self._alike(shared):
            about = shared[same[0]]
            is_last_alone = same == [len(shared) - 1]  # its gradient comes next: nothing is gained by keeping less
            if about.get("last_only") or is_last_alone or not (self.remat or same[1:]):
                streams, before = self._one_by_one(same, streams, own, shared)
            else:
                streams, before = self._way_through(self.blocks[same[0]])(
                    partial(self._with_weights, same[0], about),
                    streams,
                    learned=[_learned(self.blocks[index], own[index]) for index in same],
                    given=[_given(self.blocks[index], own[index]) for index in same],
                )
            entered += before
        return streams, entered

    def _way_through(self, block: Block) -> Callable[..., tuple[list[Any], list[Any]]]:
        """How layers like this one are run in training. A loop compiles fast, but holds what is learned twice."""
        if not self.remat:
            return traced_once
        learned, frozen = (sum(map(_size, kind)) for kind in (block.trainable_weights, block.non_trainable_weights))
        return partial(traced_once, again=True) if frameworks.is_on_cpu() and learned > frozen else recomputed

    def _alike(self, shared: list[Any]) -> list[list[int]]:
        """Layers that follow each other and run alike: those that are told and learn the same."""

        def kind(index: int) -> tuple[bool, list[bool]]:
            return shared[index] is shared[0], [weight.trainable for weight in self.blocks[index].weights]

        return [list(same) for _, same in itertools.groupby(range(len(self.blocks)), kind)]

    def _with_weights(
        self, index: int, shared: dict[str, Any], streams: list[Any], learned: dict[str, Any], given: dict[str, Any]
    ) -> list[Any]:
        """Through a layer with the weights of another of its kind."""
        block = self.blocks[index]
        weights = [*block.trainable_weights, *block.non_trainable_weights]
        about = {"memory": given.get("memory"), "biases": Biases(*learned["biases"]), "seed": given["seed"]}
        values = [*learned["weights"], *given["weights"]]
        with keras.StatelessScope(state_mapping=list(zip(weights, values, strict=True))):
            return self._through(index, streams, shared | about)

    def _through(self, index: int, streams: list[Any], about: dict[str, Any]) -> list[Any]:
        """Through a layer; a content that is not wanted stays as it is."""
        after = self.blocks[index](*streams, **about)
        return after if len(after) == len(streams) else [streams[0], *after]

    def _views(
        self,
        segments: Any,
        visible: Any,
        *,
        padding: Any,
        length: Any,
        held: Any,
        targets: Targets | None,
        boundary: int,
    ) -> dict[str, Any]:
        """What the streams see, the same in every layer."""
        is_causal = self.config.attention == "uni"
        history = causal(length, held, same_length=self.config.same_length) if is_causal else None
        about = {"padding": padding, "history": history, "memory_length": held, "directions": self.directions}
        views: dict[str, Any] = {"content_view": content_view(segments, visible, boundary=boundary, **about)}
        if targets is not None:
            views["query_view"] = query_view(segments, targets.visible, positions=targets.positions, **about)
            views["target_mask"] = None if targets.positions is None else targets.mask
        return views

    def _query_start(self, content: Any, targets: Targets) -> Any:
        mask_embedding = ops.convert_to_tensor(self.mask_embedding)
        if targets.positions is None:
            hidden = ops.cast(targets.mask, content.dtype)[:, :, None]
            return hidden * mask_embedding + (1 - hidden) * content
        batch, count = ops.shape(targets.positions)
        return ops.broadcast_to(mask_embedding, (batch, count, self.config.model_dim))

    def _table(self, length: Any, held: Any, *, training: bool) -> tuple[Any, Any]:
        """The distances' sines and cosines; dropout is drawn once for both directions and all rows."""
        config = self.config
        make = partial(made_once, distance_table) if training else distance_table  # an export has it for itself
        table = make(length, held, config.model_dim, attention=config.attention, clamp_length=config.clamp_length)
        sines, cosines = (ops.cast(half, self.compute_dtype) for half in table)
        return self._drop(sines, training=training), self._drop(cosines, training=training)

    def layer_biases(self, index: int, segments: Any = None) -> Biases:
        """What a layer adds to its queries; without segments, those are left out."""
        content, position, segment = (
            bias[index] if self.config.untie_biases else ops.convert_to_tensor(bias)
            for bias in (self.content_bias, self.position_bias, self.segment_bias)
        )
        if segments is None:
            return Biases(content, position)
        same, other = self.segment_keys[index, 0], self.segment_keys[index, 1]
        return Biases(content, position, segment, other - same)

    def _drop(self, values: Any, *, training: bool) -> Any:
        return Dropout(self.config.dropout, self.random if training else None)(values)


def _size(weight: keras.Variable) -> int:
    return math.prod(weight.shape)


def _learned(block: Block, about: dict[str, Any]) -> dict[str, Any]:
    """What a layer is given that may have a gradient."""
    weights = [weight.value for weight in block.trainable_weights]
    return {"weights": weights, "biases": [bias for bias in about["biases"] if bias is not None]}


def _given(block: Block, about: dict[str, Any]) -> dict[str, Any]:
    """What a layer is given beside that, and not every other is."""
    weights = [weight.value for weight in block.non_trainable_weights]
    memory = {} if about["memory"] is None else {"memory": about["memory"]}
    return {"weights": weights, "seed": about["seed"], **memory}


def _remember(memory: Any, content: Any, memory_length: int, reuse_length: int | None) -> Any:
    """[B, M, D] or None and [B, L, D] -> what the next segment remembers, [B, at most memory_length, D]."""
    recent = content[:, :reuse_length] if reuse_length else content
    joined = recent if memory is None else ops.concatenate([ops.cast(memory, recent.dtype), recent], axis=1)
    return ops.stop_gradient(joined[:, -memory_length:])
