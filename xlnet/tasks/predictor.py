"""Examples to answers: the one path that evaluation, prediction and the check of an export share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from xlnet import storage
from xlnet.errors import UserError
from xlnet.file_names import VOCABULARY
from xlnet.model import checkpoints
from xlnet.tasks import registry
from xlnet.tasks.batching import answered
from xlnet.tasks.sentence_task import SentenceTask
from xlnet.tasks.task import Arrays, Examples, Features, Outputs, Task
from xlnet.text import Tokenizer


@dataclass(frozen=True)
class Predictor:
    """A fine-tuned model with its tokenizer and its task."""

    model: keras.Model
    tokenizer: Tokenizer
    task: Task

    @classmethod
    def load(cls, directory: str) -> "Predictor":
        """Reads a fine-tuned model directory. Raises UserError when it has no head."""
        head = checkpoints.read_description(directory)["head"]
        if head is None:
            raise UserError(f"{directory} holds a pretrained model without a head; run `xlnet finetune` first")
        task = registry.from_head(head, where=storage.join(directory, checkpoints.CONFIG))
        model = task.model(checkpoints.load_config(directory))
        report = checkpoints.load_weights(model, directory)
        if report.missing:
            raise UserError(f"{directory} lacks the weights {', '.join(sorted(report.missing)[:5])}; write it again")
        return cls(model=model, tokenizer=load_tokenizer(directory), task=task)

    def features(self, examples: Examples) -> Features:
        """What the model takes for examples."""
        return self.task.features(self.tokenizer, examples)

    def outputs(self, inputs: Arrays, *, batch_size: int = 32, report: Callable[[int], Any] | None = None) -> Outputs:
        """What the model returns for rows; `report` is told after each batch how many are done."""
        return answers(self.model.predict_on_batch, inputs, batch_size=batch_size, report=report)

    def predict(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, batch_size: int = 32
    ) -> NDArray[np.float64]:
        """Of texts or pairs: probabilities of the classes [n, classes], or the values of a regression [n]."""
        task = self.task
        if not isinstance(task, SentenceTask):
            raise UserError(f"the model answers {task.kind}, asked for was a class or a number for texts")
        inputs = self.features(task.texts(texts, pairs)).inputs
        return task.readable(self.outputs(inputs, batch_size=batch_size))


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
    inputs: Arrays,
    *,
    batch_size: int,
    report: Callable[[int], Any] | None = None,
) -> Outputs:
    """What `call` returns for n rows (an array, or a dict of them), asked in batches of one shape.

    The last batch is filled with its last row: one shape is compiled once, and an answer does not depend on how many
    came with it.
    """
    count = len(next(iter(inputs.values())))
    size = min(batch_size, count)
    found = []
    for start in range(0, count, size):
        rows = np.minimum(np.arange(start, start + size), count - 1)
        found.append(call({name: values[rows] for name, values in inputs.items()}))
        if report is not None:
            report(min(start + size, count))
    return keras.tree.map_structure(lambda *parts: np.concatenate([np.asarray(part) for part in parts])[:count], *found)


def by_length(task: Task, call: Callable[[Arrays], Outputs], inputs: Arrays, *, batch_size: int) -> Outputs:
    """What `call` returns for n rows, in batches as long as their longest row asks for, if padding is nothing to it."""
    if task.sees_padding:
        return answers(call, inputs, batch_size=batch_size)
    return answered(call, inputs, batch_size=batch_size, along=task.along_sequence, restored=task.restored)
