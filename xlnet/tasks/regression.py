"""Regression: a number for a text or a pair of texts."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xlnet.tasks import known, metrics, sentence
from xlnet.tasks.sentence_task import SentenceTask
from xlnet.tasks.task import Features


class Regression(SentenceTask):
    """A number for a text. The model's outputs are these numbers, [rows]."""

    kind = "regression"
    parts = SentenceTask.parts | {"classes": type(None)}

    @classmethod
    def _classes(cls, examples: sentence.Examples, data_set: str | None) -> None:
        return None

    def losses(self, model: Any, batch: Mapping[str, Any], *, training: bool) -> Any:
        """Squared errors. See `Task`."""
        from keras import ops

        values = model({name: batch[name] for name in self.along_sequence}, training=training)
        return ops.square(values - ops.cast(batch["label"], values.dtype))

    def answers(
        self, examples: sentence.Examples, features: Features, outputs: NDArray[np.float32]
    ) -> list[dict[str, Any]]:
        """See `Task`."""
        return [{"predicted": float(value)} for value in outputs]

    def measure(self, examples: sentence.Examples, features: Features, outputs: NDArray[np.float32]) -> dict[str, Any]:
        """See `Task` and `metrics.regression`."""
        found = metrics.regression(features.targets["label"], outputs)
        return {"loss": found["metrics"]["mean_squared_error"], **found}

    @property
    def best(self) -> str:
        """See `Task`: what the data set is measured by, or the mean squared error."""
        data_set = self.head.get("data_set")
        return "mean_squared_error" if data_set is None else known.DATA_SETS[data_set].metrics[0]

    def readable(self, outputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """The numbers in float64."""
        return outputs.astype(np.float64)

    def _truth(self, label: str) -> float:
        return float(label)
