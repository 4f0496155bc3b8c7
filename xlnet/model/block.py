"""One transformer layer: attention and feed-forward, for the content stream and the query stream.

Both streams share every weight. Source: Yang et al. 2019, section 2.2; reference modeling.py,
`two_stream_rel_attn`, `positionwise_ffn`.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from xlnet.model.attention import Biases, View, attend, from_heads, to_heads
from xlnet.model.config import ModelConfig
from xlnet.model.dropout import Draws, Dropout
from xlnet.model.gradients import in_turn, product_again
from xlnet.model.layer_norm import layer_norm
from xlnet.model.positions import position_keys


class Block(keras.layers.Layer):
    """A layer of XLNet. Weights carry the reference's names, with a dot for each slash."""

    def __init__(
        self, config: ModelConfig, *, directions: int, random: keras.random.SeedGenerator, **options: Any
    ) -> None:
        super().__init__(**options)
        self.config, self.directions, self.random = config, directions, random
        self.reference_weights: dict[str, keras.Variable] = {}
        self.lora_weights: dict[str, tuple[keras.Variable, keras.Variable]] = {}
        self.lora_scale = 1.0

    def build(self, *_: Any) -> None:
        """Make the weights; their shapes follow from the configuration alone."""
        config = self.config
        normal = keras.initializers.RandomNormal(stddev=config.initializer_stddev, seed=self.random)
        projection = (config.model_dim, config.heads, config.head_dim)
        for role in "qkvro":
            self._add(f"rel_attn/{role}/kernel", projection, normal)
        for part in ("rel_attn", "ff"):
            self._add(f"{part}/LayerNorm/gamma", (config.model_dim,), "ones")
            self._add(f"{part}/LayerNorm/beta", (config.model_dim,), "zeros")
        self._add("ff/layer_1/kernel", (config.model_dim, config.feedforward_dim), normal)
        self._add("ff/layer_1/bias", (config.feedforward_dim,), "zeros")
        self._add("ff/layer_2/kernel", (config.feedforward_dim, config.model_dim), normal)
        self._add("ff/layer_2/bias", (config.model_dim,), "zeros")
        self.built = True

    def _add(self, name: str, shape: tuple[int, ...], initializer: Any) -> None:
        weight = self.add_weight(name=name.replace("/", "."), shape=shape, initializer=initializer)
        self.reference_weights[name] = weight

    def enable_lora(self, rank: int, *, alpha: float | None = None, kernels: Sequence[str]) -> None:
        """Freeze the layer, but for a product of two matrices of that rank beside each of the kernels.

        As Keras' own layers have it: the kernel counts as kernel + alpha / rank * a b, with b zero at first and alpha
        `rank` by default. `kernels`: of q, k, v, o, r and ff. Source: Hu et al. 2021.
        """
        self._tracker.unlock()
        for weight in self.reference_weights.values():
            weight.trainable = False
        for name in self._kernel_names(kernels):
            rows, *columns = self.reference_weights[name].shape
            self.lora_weights[name] = (
                self.add_weight(
                    name=f"{name.replace('/', '.')}.lora_kernel_a",
                    shape=(rows, rank),
                    initializer=keras.initializers.HeUniform(seed=self.random),
                ),
                self.add_weight(
                    name=f"{name.replace('/', '.')}.lora_kernel_b",
                    shape=(rank, math.prod(columns)),
                    initializer="zeros",
                ),
            )
        self.lora_scale = 1.0 if alpha is None else alpha / rank
        self._tracker.lock()

    def _kernel_names(self, kernels: Sequence[str]) -> list[str]:
        dense = ["ff/layer_1/kernel", "ff/layer_2/kernel"]
        return [name for kernel in kernels for name in (dense if kernel == "ff" else [f"rel_attn/{kernel}/kernel"])]

    def merge_lora(self) -> None:
        """Put the products into the kernels; they are zero then."""
        for name, (_, second) in self.lora_weights.items():
            self.reference_weights[name].assign(self._weight(name))
            second.assign(ops.zeros_like(second))

    def call(
        self,
        content: Any,
        query: Any = None,
        memory: Any = None,
        *,
        table: tuple[Any, Any],
        biases: Biases,
        content_view: View,
        query_view: View | None = None,
        target_mask: Any = None,
        content_wanted: bool = True,
        last_only: bool = False,
        seed: Any = None,
    ) -> list[Any]:
        """content [B, L, D], query [B, T, D] or None, memory [B, M, D] or None -> [content, query], a layer on.

        A stream that is not given or not wanted is left out; `last_only`: of the content, only the last position is
        wanted, [B, 1, D]. `table`: sines and cosines of `distance_table`. `target_mask` [B, T]: 0 where a target is
        padding. `seed` uint32 [2] of the dropout; None: no dropout.
        """
        known = [self.keys_and_values(hidden) for hidden in (memory, content) if hidden is not None]
        keys, values = (
            known[0] if len(known) == 1 else (ops.concatenate(both, axis=3) for both in zip(*known, strict=True))
        )
        if last_only:
            content, content_view = content[:, -1:], content_view.of_last()
            table = tuple(half[: ops.shape(keys)[3] + 1] for half in table)  # the distances that it meets
        return self.attend(
            content,
            query,
            keys=keys,
            values=values,
            distant=self.position_keys(table),
            biases=biases,
            content_view=content_view,
            query_view=query_view,
            target_mask=target_mask,
            content_wanted=content_wanted,
            seed=seed,
        )

    def keys_and_values(self, hidden: Any) -> tuple[Any, Any]:
        """[B, L, D] -> keys and values, [H, X, C, L, d] each."""
        keys, values = (
            to_heads(hidden, self._weight(f"rel_attn/{role}/kernel"), directions=self.directions) for role in "kv"
        )
        return keys, values

    def position_keys(self, table: tuple[Any, Any]) -> Any:
        """Sines and cosines of `distance_table` -> the keys of distances [H, X, R, d]."""
        return position_keys(*table, self._weight("rel_attn/r/kernel"), directions=self.directions)

    def attend(
        self,
        content: Any,
        query: Any = None,
        *,
        keys: Any,
        values: Any,
        distant: Any,
        biases: Biases,
        content_view: View,
        query_view: View | None = None,
        target_mask: Any = None,
        content_wanted: bool = True,
        seed: Any = None,
    ) -> list[Any]:
        """As a call, with the keys and values that are attended to, and the keys of distances."""
        draws = None if seed is None else Draws(seed)
        drop = Dropout(self.config.attention_dropout, draws)
        streams: list[Any] = [content] if content_wanted else []
        views: list[Any] = [content_view] if content_wanted else []
        if query is not None:
            streams.append(query)
            views.append(query_view)
        joint = _joined(streams, axis=1)  # all that follows but the attention itself is done once for both
        queries = _parted(to_heads(joint, self._weight("rel_attn/q/kernel"), directions=self.directions), streams)

        def found_by(own: Any, view: View) -> Any:
            return attend(own, keys, values, distant, biases, view=view, drop=drop)

        found = in_turn(found_by, queries, views, training=draws is not None)
        seen = self._join(_joined(found, axis=3))
        if query is not None and target_mask is not None:
            real = [ops.cast(target_mask, seen.dtype)]
            if content_wanted:
                real.insert(0, ops.ones(ops.shape(content)[:2], dtype=seen.dtype))
            seen = seen * _joined(real, axis=1)[:, :, None]
        return _parted(self._finish(joint, seen, draws=draws), streams, axis=1)

    def _weight(self, name: str) -> Any:
        weight = ops.convert_to_tensor(self.reference_weights[name])
        if name not in self.lora_weights:
            return weight
        first, second = (ops.convert_to_tensor(part) for part in self.lora_weights[name])
        return weight + ops.reshape(ops.matmul(first, second) * self.lora_scale, weight.shape)

    def _finish(self, stream: Any, seen: Any, *, draws: Draws | None) -> Any:
        drop = Dropout(self.config.dropout, draws)
        stream = self._normalize("rel_attn", drop(seen) + stream)
        inner = ops.matmul(stream, self._weight("ff/layer_1/kernel")) + self._weight("ff/layer_1/bias")
        kernel = self._weight("ff/layer_2/kernel")
        if drop.is_active:  # to draw its masks again takes 4 % of a step
            outer = ops.matmul(drop(self._activated(inner)), kernel)
        else:
            outer = product_again(self._activated, inner, kernel)
        outer = outer + self._weight("ff/layer_2/bias")
        return self._normalize("ff", drop(outer) + stream)

    def _activated(self, inner: Any) -> Any:
        if self.config.activation == "relu":
            return ops.relu(inner)
        return ops.gelu(inner, approximate=self.config.activation == "gelu")

    def _join(self, heads: Any) -> Any:
        return from_heads(heads, self._weight("rel_attn/o/kernel"))

    def _normalize(self, part: str, hidden: Any) -> Any:
        return layer_norm(hidden, self._weight(f"{part}/LayerNorm/gamma"), self._weight(f"{part}/LayerNorm/beta"))


def _joined(parts: Sequence[Any], *, axis: int) -> Any:
    return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=axis)


def _parted(whole: Any, streams: Sequence[Any], *, axis: int = 3) -> list[Any]:
    """What `_joined` joined of these streams."""
    if len(streams) == 1:
        return [whole]
    first = ops.shape(streams[0])[1]
    return ops.split(whole, [first], axis=axis)
