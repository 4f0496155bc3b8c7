"""Texts to answers: the one path that evaluation, prediction and the check of an export share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xlnet import storage
from xlnet.errors import UserError
from xlnet.model import checkpoints
from xlnet.model.heads import SequenceClassifier
from xlnet.tasks.features import features
from xlnet.text import Tokenizer

VOCABULARY = checkpoints.VOCABULARY


@dataclass(frozen=True)
class Predictor:
    """A fine-tuned model with its tokenizer. `head` is the entry of that name in the model's config.json."""

    model: SequenceClassifier
    tokenizer: Tokenizer
    head: dict[str, Any]

    @classmethod
    def load(cls, directory: str) -> "Predictor":
        """Reads a fine-tuned model directory. Raises UserError when it has no head for sentences."""
        head = checkpoints.read_description(directory)["head"]
        if head is None:
            raise UserError(f"{directory} holds a pretrained model without a head; run `xlnet finetune` first")
        config = checkpoints.load_config(directory)
        model = classifier(config, head)
        report = checkpoints.load_weights(model, directory)
        if report.missing:
            raise UserError(f"{directory} lacks the weights {', '.join(sorted(report.missing)[:5])}; write it again")
        return cls(model=model, tokenizer=load_tokenizer(directory), head=head)

    @property
    def classes(self) -> list[str] | None:
        """The names of the classes; None for regression."""
        return self.head["classes"]

    def features(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> dict[str, NDArray[np.int32]]:
        """What the model takes for n texts, or pairs of texts: arrays [n, sequence_length]."""
        wanted = self.head["columns"]["pair"] is not None
        if wanted != (pairs is not None):
            raise UserError(f"the model takes {'pairs of' if wanted else 'single'} texts, given were the other kind")
        return features(self.tokenizer, texts, pairs=pairs, sequence_length=self.head["sequence_length"])

    def logits(
        self, inputs: dict[str, NDArray[np.int32]], *, batch_size: int = 32, report: Callable[[int], Any] | None = None
    ) -> NDArray[np.float32]:
        """The model's answers to features, [n, classes] or [n]; `report` is told after each batch how many are done."""
        return answers(self.model.predict_on_batch, inputs, batch_size=batch_size, report=report)

    def predict(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, batch_size: int = 32
    ) -> NDArray[np.float64]:
        """Probabilities of the classes [n, classes], or the values of a regression [n]."""
        return self.readable(self.logits(self.features(texts, pairs), batch_size=batch_size))

    def readable(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """Logits as probabilities; a regression's values stay what they are."""
        return logits.astype(np.float64) if self.classes is None else softmax(logits)


def classifier(config: checkpoints.ModelConfig, head: dict[str, Any]) -> SequenceClassifier:
    """A built model, with fresh weights, for a head as config.json describes it."""
    model = SequenceClassifier(
        config,
        classes=None if head["classes"] is None else len(head["classes"]),
        summary=head["summary"],
        projection=head["projection"],
    )
    nothing = np.zeros((1, head["sequence_length"]), np.int32)
    model({"pieces": nothing, "segments": nothing, "padding": nothing})
    return model


def load_tokenizer(directory: str) -> Tokenizer:
    """The tokenizer of a model directory. Raises UserError when its vocabulary is not the one trained with."""
    stored = checkpoints.read_description(directory)
    path = storage.join(directory, VOCABULARY)
    tokenizer = Tokenizer(path, **stored["text"])
    if tokenizer.sha256 != stored["vocabulary_sha256"]:
        raise UserError(
            f"{path} has the SHA-256 {tokenizer.sha256}, the model was trained with {stored['vocabulary_sha256']}; "
            "put the right vocabulary back"
        )
    return tokenizer


def answers(
    call: Callable[[Any], Any],
    inputs: dict[str, NDArray[np.int32]],
    *,
    batch_size: int,
    report: Callable[[int], Any] | None = None,
) -> NDArray[np.float32]:
    """What `call` returns for n rows, asked in batches of one shape: the last one is filled with its last row.

    One shape is compiled once, and an answer does not depend on how many came with it.
    """
    count = len(inputs["pieces"])
    size = min(batch_size, count)
    found = []
    for start in range(0, count, size):
        rows = np.minimum(np.arange(start, start + size), count - 1)
        found.append(np.asarray(call({name: values[rows] for name, values in inputs.items()})))
        if report is not None:
            report(min(start + size, count))
    return np.concatenate(found)[:count]


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Logits [n, classes] to probabilities, in float64."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
