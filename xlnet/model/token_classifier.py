"""A model that gives every piece a label.

The reference has none; this is Hugging Face's XLNetForTokenClassification.
"""

from typing import Any

import keras
from keras import ops

from xlnet.errors import UserError
from xlnet.model.backbone import Backbone
from xlnet.model.config import ModelConfig


class TokenClassifier(keras.Model):
    """Backbone and a linear layer at every position.

    Its input is a dict of `pieces`, `segments` int [B, L] and `padding` [B, L] (1 or True at padding; segments and
    padding may be left out); its output float32 logits [B, L, classes].
    """

    def __init__(self, config: ModelConfig, *, classes: int, seed: int = 0, **options: Any) -> None:
        super().__init__(**options)
        if classes < 2:
            raise UserError(f"{classes} labels were given; a classifier of pieces needs at least 2")
        self.config, self.classes = config, classes
        self.backbone = Backbone(config, seed=seed, dtype=self.dtype_policy)
        self.backbone.mask_embedding.trainable = False  # nothing reads it outside pretraining
        self.logit = keras.layers.Dense(
            classes,
            kernel_initializer=self.backbone.initializer,
            dtype=self.dtype_policy,
            name="logit",
        )
        self.logit.build((None, config.model_dim))

    def reference_variables(self) -> dict[str, keras.Variable]:
        """The last layer's weights; the reference has no name for them."""
        scope = "model/token_classification"
        return {f"{scope}/logit/kernel": self.logit.kernel, f"{scope}/logit/bias": self.logit.bias}

    def call(self, inputs: dict[str, Any], *, training: bool | None = None) -> Any:
        """See the class."""
        padding = inputs.get("padding")
        hidden, _ = self.backbone(inputs["pieces"], inputs.get("segments"), padding=padding, training=training)
        return ops.cast(self.logit(hidden), "float32")
