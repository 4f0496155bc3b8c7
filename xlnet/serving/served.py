"""What is exported, whatever the format: a model, what it takes and gives by name, and texts to check it with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from xlnet.errors import UserError
from xlnet.model.backbone import Backbone
from xlnet.model.checkpoints import load_config, load_weights, read_description
from xlnet.tasks.classification import Classification
from xlnet.tasks.features import features
from xlnet.tasks.predictor import Predictor, load_tokenizer
from xlnet.tasks.sentence_task import SentenceTask
from xlnet.tasks.task import Arrays, Features, Task
from xlnet.text import Tokenizer

HIDDEN_LENGTH = 64  # pieces, of the check of a model without a head; any length may be served
TEXTS = (
    "It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want "
    "of a wife.",
    "Call me Ishmael.",
    'The price rose by 12.5% to $1,250 (in "real" terms) - or so they say!',
    "I went to the woods because I wished to live deliberately, to front only the essential facts of life, and see "
    "if I could not learn what it had to teach, and not, when I came to die, discover that I had not lived. I did "
    "not wish to live what was not life, living is so dear; nor did I wish to practise resignation, unless it was "
    "quite necessary.",
    "?",
)
RECORDS: dict[str, list[dict[str, Any]]] = {  # of tasks that are not of texts and pairs
    "multiple-choice": [
        {
            "article": TEXTS[3],
            "question": "Why did he go?",
            "options": ["To hunt.", "To live deliberately.", "To sleep."],
        },
        {"article": TEXTS[2], "question": "What rose?", "options": ["The price.", "The sun.", "He."]},
    ],
    "token-classification": [{"text": text} for text in TEXTS],
    "question-answering": [
        {"question": "Where did he go?", "context": TEXTS[3], "id": "1"},
        {"question": "By how much did the price rise?", "context": TEXTS[2], "id": "2"},
    ],
}

Call = Callable[[Any], dict[str, Any]]  # inputs by name to outputs by name


@dataclass(frozen=True)
class Served:
    """A model, its answer by name to a dict of inputs, its tokenizer, its task (None: hidden states are served)."""

    directory: str
    model: keras.layers.Layer
    call: Callable[[dict[str, Any]], dict[str, Any]]
    tokenizer: Tokenizer
    task: Task | None
    description: dict[str, Any]

    @classmethod
    def load(cls, directory: str) -> "Served":
        """The model of a model directory, or its backbone when it has no head."""
        description = read_description(directory)
        if description["head"] is None:
            backbone = Backbone(load_config(directory))
            load_weights(backbone, directory)
            tokenizer = load_tokenizer(directory)
            return cls(directory, backbone, lambda inputs: _hidden(backbone, inputs), tokenizer, None, description)
        predictor = Predictor.load(directory)
        model, task = predictor.model, predictor.task
        return cls(directory, model, lambda inputs: _named(model, task, inputs), predictor.tokenizer, task, description)

    def features(self) -> Features:
        """The texts that an export is checked with, padded as in training."""
        if self.task is None:
            inputs = features(self.tokenizer, TEXTS, sequence_length=HIDDEN_LENGTH)
            return Features(dict(inputs), np.arange(len(TEXTS)))
        if isinstance(self.task, SentenceTask):
            pairs = None if self.task.columns.pair is None else TEXTS[::-1]
            return self.task.features(self.tokenizer, self.task.texts(TEXTS, pairs))
        records = RECORDS.get(self.task.kind)
        if records is None:
            raise UserError(f"no export of a model for {self.task.kind}; tasks that are exported: {', '.join(KINDS)}")
        return self.task.features(self.tokenizer, self.task.parse(records, path="texts"))


KINDS = ("classification", "regression", *RECORDS)


def samples(served: Served) -> list[Arrays]:
    """Features of texts, as in training, and one row of them without the padding that it does not need."""
    whole = served.features().inputs
    length = whole["padding"].shape[-1]
    row = min(1, len(whole["padding"]) - 1)
    real = int((whole["padding"][row] == 0).sum(axis=-1).max())
    along = ("pieces", "segments", "padding") if served.task is None else served.task.along_sequence
    cut = {
        name: values[row : row + 1, ..., length - real :] if name in along else values[row : row + 1]
        for name, values in whole.items()
    }
    return [whole, cut]


def _hidden(backbone: Backbone, inputs: dict[str, Any]) -> dict[str, Any]:
    hidden, _ = backbone(inputs["pieces"], inputs["segments"], padding=inputs["padding"], training=False)
    return {"hidden": ops.cast(hidden, "float32")}


def _named(model: keras.Model, task: Task, inputs: dict[str, Any]) -> dict[str, Any]:
    outputs = model(inputs, training=False)
    if isinstance(outputs, dict):
        return outputs
    if isinstance(task, Classification):
        return {"logits": outputs, "probabilities": ops.softmax(outputs, axis=-1)}
    return {"logits": outputs}


def largest_difference(one: dict[str, Any], other: dict[str, Any]) -> dict[str, float]:
    """The largest absolute difference of each output."""
    return {
        name: float(np.abs(np.asarray(one[name], np.float64) - np.asarray(other[name], np.float64)).max())
        for name in one
    }


def relative_error(expected: Sequence[Any], found: Sequence[Any]) -> float:
    """The root of the mean squared difference, as a share of the same of what is expected, or of 1 if that is less."""
    wanted, given = (
        np.concatenate([np.ravel(part) for part in parts]).astype(np.float64) for parts in (expected, found)
    )
    size = max(1.0, float(np.sqrt(np.mean(wanted**2))))  # logits near 0 say nothing, whatever their error
    return float(np.sqrt(np.mean((wanted - given) ** 2))) / size
