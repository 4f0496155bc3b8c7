"""A model that chooses one of several options.

Source: reference function_builder.py, `get_race_loss`.
"""

from typing import Any

import keras
from keras import ops

from xlnet.model.attention import MASKED
from xlnet.model.backbone import Backbone
from xlnet.model.config import ModelConfig
from xlnet.model.heads import SequenceSummary


class MultipleChoice(keras.Model):
    """Backbone, summary and a linear layer that gives each option a score.

    Its input is a dict of `pieces`, `segments` int [B, options, L] and `padding` [B, options, L] (1 or True at
    padding); an option that is all padding is none. Its output is float32 logits [B, options]: options see nothing of
    each other.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        summary: str = "last",
        projection: bool = True,
        seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.config = config
        self.backbone = Backbone(config, seed=seed, dtype=self.dtype_policy)
        self.backbone.mask_embedding.trainable = False  # nothing reads it outside pretraining
        self.summary = SequenceSummary(
            config, summary=summary, projection=projection, random=self.backbone.random, dtype=self.dtype_policy
        )
        self.logit = keras.layers.Dense(
            1,
            kernel_initializer=self.backbone.initializer,
            dtype=self.dtype_policy,
            name="logits",
        )
        self.logit.build((None, config.model_dim))

    def reference_variables(self) -> dict[str, keras.Variable]:
        """The last layer's weights."""
        return {"logits/dense/kernel": self.logit.kernel, "logits/dense/bias": self.logit.bias}

    def call(self, inputs: dict[str, Any], *, training: bool | None = None) -> Any:
        """See the class."""
        _, options, length = ops.shape(inputs["pieces"])
        rows = {name: ops.reshape(values, (-1, length)) for name, values in inputs.items()}
        hidden, _ = self.backbone(
            rows["pieces"],
            rows["segments"],
            padding=rows["padding"],
            last_only=self.summary.last_only,
            training=training,
        )
        scores = self.logit(self.summary(hidden, rows["padding"], training=training))
        is_none = ops.all(ops.cast(inputs["padding"], "bool"), axis=-1)
        return ops.where(is_none, MASKED, ops.reshape(ops.cast(scores, "float32"), (-1, options)))
