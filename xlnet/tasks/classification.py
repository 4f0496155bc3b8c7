"""Classification of texts and pairs of texts."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xlnet.tasks import known, metrics, sentence
from xlnet.tasks.sentence_task import SentenceTask
from xlnet.tasks.task import Features


class Classification(SentenceTask):
    """One of several classes for a text. The model's outputs are logits [rows, classes]."""

    kind = "classification"
    parts = SentenceTask.parts | {"classes": list}

    @classmethod
    def _classes(cls, examples: sentence.Examples, data_set: str | None) -> list[str]:
        classes = None if data_set is None else known.DATA_SETS[data_set].classes
        return sentence.classes(examples) if classes is None else list(classes)

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
        powers = np.exp(outputs.astype(np.float64) - outputs.max(axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)
