"""Classification of texts and pairs of texts."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from xlnet.errors import require
from xlnet.tasks import known, metrics, sentence
from xlnet.tasks.sentence_task import SentenceTask
from xlnet.tasks.task import Features


def class_weights(wanted: str, labels: NDArray[np.integer], *, classes: list[str]) -> NDArray[np.float32]:
    """The weight of each class, [classes], of which the examples' mean is 1.

    `wanted` is "balanced", so that all classes count alike together, or "CLASS=WEIGHT,..." (others weigh 1).
    Raises UserError for another form or an unknown class.
    """
    counts = np.bincount(labels, minlength=len(classes))
    if wanted == "balanced":
        weights = 1.0 / np.maximum(counts, 1)
    else:
        given = dict(_class_and_weight(part, classes) for part in wanted.split(","))
        weights = np.array([given.get(name, 1.0) for name in classes])
    return (weights * len(labels) / (weights * counts).sum()).astype(np.float32)


def _class_and_weight(part: str, classes: list[str]) -> tuple[str, float]:
    name, _, weight = part.rpartition("=")
    form = f"'balanced' or CLASS=WEIGHT,... with weights above 0 and classes among {', '.join(classes[:20])}"
    try:
        number = float(weight)
    except ValueError:
        number = 0.0
    require(name in classes and 0 < number < math.inf, "class_weights", part, form)
    return name, number


class Classification(SentenceTask):
    """One of several classes for a text. The model's outputs are logits [rows, classes]."""

    kind = "classification"
    parts = SentenceTask.parts | {"classes": list[str]}

    @classmethod
    def _classes(cls, examples: sentence.Examples, data_set: str | None) -> list[str]:
        classes = None if data_set is None else known.DATA_SETS[data_set].classes
        return sentence.classes(examples) if classes is None else list(classes)

    def weights(self, features: Features, wanted: str | None) -> NDArray[np.float32] | None:
        """See `Task` and `class_weights`."""
        if wanted is None:
            return None
        return class_weights(wanted, features.targets["label"], classes=self.head["classes"])[features.targets["label"]]

    def losses(self, model: Any, batch: Mapping[str, Any], *, training: bool) -> Any:
        """Negative log probabilities in nats. See `Task`."""
        from keras import ops

        logits = model({name: batch[name] for name in self.along_sequence}, training=training)
        chosen = ops.take_along_axis(logits, ops.cast(batch["label"], "int32")[:, None], axis=-1)[:, 0]
        return ops.logsumexp(logits, axis=-1) - chosen

    def answers(
        self, examples: sentence.Examples, features: Features, outputs: NDArray[np.float32]
    ) -> list[dict[str, Any]]:
        """The class and the probabilities of all, in the order of the classes. See `Task`."""
        names = self.head["classes"]
        return [
            {"predicted": names[int(row.argmax())], "probabilities": row.tolist()} for row in self.readable(outputs)
        ]

    def measure(self, examples: sentence.Examples, features: Features, outputs: NDArray[np.float32]) -> dict[str, Any]:
        """See `Task` and `metrics.classification`."""
        truth, probabilities = features.targets["label"], self.readable(outputs)
        right = np.maximum(probabilities[np.arange(len(truth)), truth], np.finfo(np.float64).tiny)
        data_set = self.head.get("data_set")
        positive = None if data_set is None else known.DATA_SETS[data_set].positive
        found = metrics.classification(truth, outputs.argmax(axis=-1), classes=self.head["classes"], positive=positive)
        return {"loss": float(-np.log(right).mean()), **found}

    @property
    def best(self) -> str:
        """See `Task`: what the data set is measured by, or the accuracy."""
        data_set = self.head.get("data_set")
        return "accuracy" if data_set is None else known.DATA_SETS[data_set].metrics[0]

    def readable(self, outputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Logits [n, classes] as probabilities, in float64."""
        found: NDArray[np.float64] = softmax(outputs.astype(np.float64), axis=-1)
        return found
