"""What stands on the backbone: the language model's loss, a summary of the sequence, a classifier.

Source: reference modeling.py, `lm_loss`, `summarize_sequence`, `classification_loss`, `regression_loss`.
"""

from typing import Any

import keras
from keras import ops

from xlnet.errors import UserError
from xlnet.model.attention import MASKED, from_heads, to_heads, weigh
from xlnet.model.backbone import Backbone
from xlnet.model.config import SUMMARIES, ModelConfig
from xlnet.model.dropout import Dropout
from xlnet.model.layer_norm import layer_norm


class LanguageModelHead(keras.layers.Layer):
    """Scores for every piece of the vocabulary: the backbone's word embedding, and a bias of its own."""

    def __init__(self, backbone: Backbone, *, name: str = "lm_loss", **options: Any) -> None:
        super().__init__(name=name, dtype=options.pop("dtype", backbone.dtype_policy), **options)
        self._table = lambda: ops.convert_to_tensor(backbone.word_embedding)  # the backbone's, not a weight of ours
        self._size = backbone.config.vocab_size
        self.build()

    def build(self, *_: Any) -> None:
        """Make the bias."""
        self.bias = self.add_weight(name="bias", shape=(self._size,), initializer="zeros")
        self.built = True

    def reference_variables(self) -> dict[str, keras.Variable]:
        """The weights under the reference's variable names."""
        return {"model/lm_loss/bias": self.bias}

    def logits(self, hidden: Any) -> Any:
        """[B, T, D] -> float32 [B, T, vocab]."""
        return self(hidden)

    def loss(self, hidden: Any, targets: Any) -> Any:
        """Negative log probability in nats of targets int [B, T] given hidden [B, T, D] -> float32 [B, T]."""
        logits = self(hidden)
        # Not gathered: the gradient would be a scatter into zeros, an array of all logits more.
        is_target = ops.arange(self._size, dtype="int32") == ops.cast(targets, "int32")[..., None]
        return ops.logsumexp(logits, axis=-1) - ops.sum(ops.where(is_target, logits, 0.0), axis=-1)

    def call(self, hidden: Any) -> Any:
        """[B, T, D] -> float32 [B, T, vocab]."""
        scores = ops.matmul(hidden, ops.transpose(self._table())) + ops.convert_to_tensor(self.bias)
        return ops.cast(scores, "float32")


class SequenceSummary(keras.layers.Layer):
    """One vector for a sequence: its last or first position, the mean over all, or a learned attention.

    "first" and "mean" do not look at the padding, as in the reference. `projection`: a tanh layer on top.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        summary: str = "last",
        projection: bool = True,
        random: keras.random.SeedGenerator,
        name: str = "summary",
        **options: Any,
    ) -> None:
        super().__init__(name=name, **options)
        if summary not in SUMMARIES:
            raise UserError(f"summary is {summary!r}; choose one of {', '.join(SUMMARIES)}")
        self.config, self.summary, self.projection, self.random = config, summary, projection, random
        self._named: dict[str, keras.Variable] = {}
        self.build()

    def build(self, *_: Any) -> None:
        """Make the weights that this summary needs."""
        dim, heads, head_dim = self.config.model_dim, self.config.heads, self.config.head_dim
        normal = keras.initializers.RandomNormal(stddev=self.config.initializer_stddev, seed=self.random)
        shapes: dict[str, tuple[tuple[int, ...], Any]] = {}
        if self.summary == "attn":
            shapes["summary_bias"] = ((dim,), normal)
            shapes |= {f"abs_attn/{role}/kernel": ((dim, heads, head_dim), normal) for role in "qkvo"}
            shapes["abs_attn/LayerNorm/beta"] = ((dim,), "zeros")
            shapes["abs_attn/LayerNorm/gamma"] = ((dim,), "ones")
        if self.projection:
            shapes["summary/kernel"] = ((dim, dim), normal)
            shapes["summary/bias"] = ((dim,), "zeros")
        for name, (shape, initializer) in shapes.items():
            self._named[name] = self.add_weight(name=name.replace("/", "."), shape=shape, initializer=initializer)
        self.built = True

    def reference_variables(self) -> dict[str, keras.Variable]:
        """The weights under the reference's variable names, its spelling included."""
        return {f"model/sequnece_summary/{name}": weight for name, weight in self._named.items()}

    @property
    def last_only(self) -> bool:
        """Whether it reads the last position alone: hidden may be [B, 1, D]."""
        return self.summary == "last"

    def call(self, hidden: Any, padding: Any = None, *, training: bool | None = None) -> Any:
        """hidden [B, L, D], padding [B, L] (1 or True at padding) -> [B, D]."""
        if self.summary == "attn":
            vector = self._attend(hidden, padding, training=training)
        elif self.summary == "mean":
            vector = ops.mean(hidden, axis=1)
        else:
            vector = hidden[:, -1 if self.summary == "last" else 0]
        if self.projection:
            vector = ops.tanh(ops.matmul(vector, self._weight("summary/kernel")) + self._weight("summary/bias"))
        return self._dropout(self.config.dropout, training=training)(vector)

    def _attend(self, hidden: Any, padding: Any, *, training: bool | None) -> Any:
        def heads(values: Any, role: str) -> Any:
            return to_heads(values, self._weight(f"abs_attn/{role}/kernel"), directions=1)

        query = heads(self._weight("summary_bias")[None, None], "q") * self.config.head_dim**-0.5
        scores = ops.cast(ops.matmul(query, ops.swapaxes(heads(hidden, "k"), -1, -2)), "float32")
        if padding is not None:
            scores = scores + ops.where(ops.cast(padding, "bool")[None, None, :, None, :], MASKED, 0.0)
        vectors = weigh(
            scores,
            heads(hidden, "v"),
            drop=self._dropout(self.config.attention_dropout, training=training),
        )
        attended = from_heads(vectors, self._weight("abs_attn/o/kernel"))
        attended = self._dropout(self.config.dropout, training=training)(attended)
        gamma, beta = (self._weight(f"abs_attn/LayerNorm/{part}") for part in ("gamma", "beta"))
        return layer_norm(attended, gamma, beta)[:, 0]

    def _weight(self, name: str) -> Any:
        return ops.convert_to_tensor(self._named[name])

    def _dropout(self, rate: float, *, training: bool | None) -> Dropout:
        return Dropout(rate, self.random if training else None)


class SequenceClassifier(keras.Model):
    """Backbone, summary and a linear layer; regression when `classes` is None.

    Its input is a dict of `pieces`, `segments` int [B, L] and `padding` [B, L] (1 or True at padding; segments and
    padding may be left out); its output float32 logits [B, classes], or [B] for a regression.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        classes: int | None,
        summary: str = "last",
        projection: bool = True,
        seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if classes is not None and classes < 2:
            raise UserError(f"{classes} classes were given; a classifier needs at least 2")
        self.config, self.classes = config, classes
        self.backbone = Backbone(config, seed=seed, dtype=self.dtype_policy)
        self.backbone.mask_embedding.trainable = False  # nothing reads it outside pretraining
        self.summary = SequenceSummary(
            config, summary=summary, projection=projection, random=self.backbone.random, dtype=self.dtype_policy
        )
        self.logit = keras.layers.Dense(
            classes or 1,
            kernel_initializer=self.backbone.initializer,
            dtype=self.dtype_policy,
            name="logit",
        )
        self.logit.build((None, config.model_dim))

    def reference_variables(self) -> dict[str, keras.Variable]:
        """The last layer's weights; the reference puts the task's name between `classification_` and `/`."""
        scope = "model/regression" if self.classes is None else "model/classification"
        return {f"{scope}/logit/kernel": self.logit.kernel, f"{scope}/logit/bias": self.logit.bias}

    def call(self, inputs: dict[str, Any], *, training: bool | None = None) -> Any:
        """See the class."""
        padding = inputs.get("padding")
        hidden, _ = self.backbone(
            inputs["pieces"],
            inputs.get("segments"),
            padding=padding,
            last_only=self.summary.last_only,
            training=training,
        )
        logits = ops.cast(self.logit(self.summary(hidden, padding, training=training)), "float32")
        return logits[:, 0] if self.classes is None else logits
