"""A model that finds the span of a context that answers a question, and tells whether there is one.

Source: reference function_builder.py, `get_qa_outputs`; run_squad.py, `get_model_fn`.
"""

from typing import Any

import keras
from keras import ops

from xlnet.errors import UserError
from xlnet.model.attention import MASKED
from xlnet.model.backbone import Backbone
from xlnet.model.config import ModelConfig
from xlnet.model.dropout import Dropout
from xlnet.model.layer_norm import layer_norm

IMPOSSIBLE = "impossible"


class SpanHead(keras.layers.Layer):
    """Scores of starts, of ends given a start, and of there being no answer."""

    def __init__(
        self, config: ModelConfig, *, random: keras.random.SeedGenerator, name: str = "span", **options: Any
    ) -> None:
        super().__init__(name=name, **options)
        self.config, self.random = config, random
        self._named: dict[str, keras.Variable] = {}
        self.build()

    def build(self, *_: Any) -> None:
        """Make the weights."""
        dim = self.config.model_dim
        normal = keras.initializers.RandomNormal(stddev=self.config.initializer_stddev, seed=self.random)
        shapes: dict[str, tuple[tuple[int, ...], Any]] = {
            "start_logits/dense/kernel": ((dim, 1), normal),
            "start_logits/dense/bias": ((1,), "zeros"),
            "end_logits/dense_0/kernel": ((2 * dim, dim), normal),
            "end_logits/dense_0/bias": ((dim,), "zeros"),
            "end_logits/LayerNorm/beta": ((dim,), "zeros"),
            "end_logits/LayerNorm/gamma": ((dim,), "ones"),
            "end_logits/dense_1/kernel": ((dim, 1), normal),
            "end_logits/dense_1/bias": ((1,), "zeros"),
            "answer_class/dense_0/kernel": ((2 * dim, dim), normal),
            "answer_class/dense_0/bias": ((dim,), "zeros"),
            "answer_class/dense_1/kernel": ((dim, 1), normal),
        }
        for weight, (shape, initializer) in shapes.items():
            self._named[weight] = self.add_weight(name=weight.replace("/", "."), shape=shape, initializer=initializer)
        self.built = True

    def reference_variables(self) -> dict[str, keras.Variable]:
        """The weights under the reference's variable names."""
        return dict(self._named)

    def starts(self, hidden: Any, excluded: Any) -> Any:
        """Log probabilities of an answer's start, float32 [B, L], from hidden [B, L, D]; 1 in `excluded` is never."""
        scores = ops.matmul(hidden, self._weight("start_logits/dense/kernel")) + self._weight("start_logits/dense/bias")
        return _log_softmax(scores[..., 0], excluded)

    def ends(self, hidden: Any, starts: Any, excluded: Any) -> Any:
        """Log probabilities of the end for each of K starts: hidden [B, L, D], starts int [B, K] -> [B, K, L]."""
        dim = self.config.model_dim
        kernel = self._weight("end_logits/dense_0/kernel")
        begun = ops.take_along_axis(hidden, starts[..., None], axis=1)
        # The kernel's halves: what stands at the end does not depend on the start, so it is projected once.
        here, there = ops.matmul(hidden, kernel[:dim]), ops.matmul(begun, kernel[dim:])
        mixed = ops.tanh(here[:, None] + there[:, :, None] + self._weight("end_logits/dense_0/bias"))
        gamma, beta = (self._weight(f"end_logits/LayerNorm/{part}") for part in ("gamma", "beta"))
        scores = ops.matmul(layer_norm(mixed, gamma, beta), self._weight("end_logits/dense_1/kernel"))
        return _log_softmax((scores + self._weight("end_logits/dense_1/bias"))[..., 0], excluded[:, None])

    def impossible(self, hidden: Any, starts: Any, cls: Any, *, training: bool | None) -> Any:
        """The logit of there being no answer, float32 [B]; `starts` are their log probabilities, `cls` int [B]."""
        weights = ops.cast(ops.exp(starts), hidden.dtype)
        begun = ops.matmul(weights[:, None], hidden)[:, 0]
        whole = ops.take_along_axis(hidden, ops.cast(cls, "int32")[:, None, None], axis=1)[:, 0]
        mixed = ops.matmul(ops.concatenate([begun, whole], axis=-1), self._weight("answer_class/dense_0/kernel"))
        mixed = ops.tanh(mixed + self._weight("answer_class/dense_0/bias"))
        mixed = Dropout(self.config.dropout, self.random if training else None)(mixed)
        return ops.cast(ops.matmul(mixed, self._weight("answer_class/dense_1/kernel"))[:, 0], "float32")

    def _weight(self, name: str) -> Any:
        return ops.convert_to_tensor(self._named[name])


class SpanAnswerer(keras.Model):
    """Backbone and span head.

    Its input is a dict of `pieces`, `segments`, `padding` and `excluded` int [B, L] (1: no answer begins or ends
    there), and `cls` int [B], where <cls> stands, if it is not last. With `start` int [B], the true starts counted from
    the last position on, its output is a dict of log probabilities `start` and `end` [B, L]. Without, it is a beam: the
    best `start_log_probs` [B, K] with their `starts`, and for each the best `end_log_probs` [B, K, M] with their
    `ends`. `impossible` [B], the logit of there being no answer, is in both.
    """

    def __init__(
        self, config: ModelConfig, *, start_top: int = 5, end_top: int = 5, seed: int = 0, **options: Any
    ) -> None:
        super().__init__(**options)
        if start_top < 1 or end_top < 1:
            raise UserError(f"start_top is {start_top} and end_top {end_top}, wanted is 1 or more of each")
        self.config, self.start_top, self.end_top = config, start_top, end_top
        self.backbone = Backbone(config, seed=seed, dtype=self.dtype_policy)
        self.backbone.mask_embedding.trainable = False  # nothing reads it outside pretraining
        self.head = SpanHead(config, random=self.backbone.random, dtype=self.dtype_policy)

    def call(self, inputs: dict[str, Any], *, training: bool | None = None) -> dict[str, Any]:
        """See the class."""
        padding, excluded = inputs["padding"], inputs["excluded"]
        hidden, _ = self.backbone(inputs["pieces"], inputs["segments"], padding=padding, training=training)
        starts = self.head.starts(hidden, excluded)
        last = ops.shape(excluded)[1] - 1
        cls = inputs.get("cls", ops.zeros_like(excluded[:, 0]) + last)
        found = {IMPOSSIBLE: self.head.impossible(hidden, starts, cls, training=training)}
        if "start" in inputs:
            true_start = last - ops.cast(inputs["start"], "int32")[:, None]
            return found | {"start": starts, "end": self.head.ends(hidden, true_start, excluded)[:, 0]}
        values, indices = ops.top_k(starts, self.start_top)
        ends = self.head.ends(hidden, indices, excluded)
        end_values, end_indices = ops.top_k(ends, self.end_top)
        return found | {
            "start_log_probs": values,
            "starts": indices,
            "end_log_probs": end_values,
            "ends": end_indices,
        }


def span_losses(outputs: dict[str, Any], *, start: Any, end: Any, impossible: Any) -> Any:
    """Losses in nats, float32 [B]: half that of start and end, half that of whether there is an answer.

    `outputs` are a SpanAnswerer's with the true starts. `start` and `end` int [B] are counted from the last position
    on, which is <cls>, where both are if there is no answer; `impossible` [B] is 1 then.
    """
    last = ops.shape(outputs["start"])[1] - 1
    missed = -sum(
        ops.take_along_axis(outputs[name], last - ops.cast(true, "int32")[:, None], axis=1)[:, 0]
        for name, true in (("start", start), ("end", end))
    )
    logits, none = outputs[IMPOSSIBLE], ops.cast(impossible, "float32")
    answerable = ops.softplus(logits) - none * logits  # the sigmoid's cross entropy
    return 0.5 * missed + 0.5 * answerable


def _log_softmax(scores: Any, excluded: Any) -> Any:
    scores = ops.cast(scores, "float32")
    return ops.log_softmax(ops.where(ops.cast(excluded, "bool"), MASKED, scores), axis=-1)
