"""Labels of words: named entities, or any other column of a CoNLL file."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from xlnet.tasks import conll, entities, labelling
from xlnet.tasks.conll import Sentences
from xlnet.tasks.task import Features, Task

ROW = ("pieces", "segments", "padding")


class TokenClassification(Task):
    """A label for each word of a sentence. The model's outputs are logits [rows, length, classes]."""

    kind = "token-classification"
    parts: ClassVar[dict[str, Any]] = {"classes": list[str], "columns": {"word": str, "label": str}}
    along_sequence = (*ROW, "label")

    @classmethod
    def prepare(cls, path: str, settings: Any) -> tuple["TokenClassification", Sentences]:
        """See `Task`. The classes are the labels of the training sentences."""
        columns = {
            "word": _column(settings, "text_column", otherwise="0"),
            "label": _column(settings, "label_column", otherwise=conll.LAST),
        }
        examples = conll.read(path, word_column=columns["word"], label_column=columns["label"])
        head = {
            "task": cls.kind,
            "classes": conll.classes(examples),
            "sequence_length": settings.sequence_length,
            "columns": columns,
        }
        return cls(head), examples

    @property
    def are_entities(self) -> bool:
        """Whether the labels are of entities; otherwise each stands for itself."""
        return conll.are_entities(self.head["classes"])

    def read(self, path: str) -> Sentences:
        """See `Task`."""
        columns = self.head["columns"]
        found = conll.read(path, word_column=columns["word"], label_column=columns["label"])
        conll.targets(found, self.head["classes"])
        return found

    def parse(self, records: Sequence[Mapping[str, Any]], *, path: str, first_line: int = 1) -> Sentences:
        """See `Task` and `conll.parse`."""
        return conll.parse(records, path=path, first_line=first_line)

    def features(self, tokenizer: Any, examples: Sentences) -> Features:
        """See `Task` and `labelling.features`."""
        rows = labelling.features(tokenizer, examples, sequence_length=self.sequence_length)
        sentence = np.repeat(np.arange(len(examples)), examples.lengths)
        example = sentence[np.flatnonzero(np.diff(rows.row, prepend=-1))]
        targets = {}
        if examples.labels is not None:
            targets["label"] = rows.targets(conll.targets(examples, self.head["classes"]))
        return Features(inputs=dict(rows.inputs), example=example, targets=targets, notes=rows)

    def model(self, config: Any, **options: Any) -> Any:
        """See `Task`."""
        from xlnet.model.token_classifier import TokenClassifier

        model = TokenClassifier(config, classes=len(self.head["classes"]), **options)
        nothing = np.zeros((1, self.sequence_length), np.int32)
        model({"pieces": nothing, "segments": nothing, "padding": nothing})
        return model

    def losses(self, model: Any, batch: Mapping[str, Any], *, training: bool) -> Any:
        """Negative log probabilities in nats [rows, length], of any label where there is none. See `Task`."""
        from keras import ops

        logits = model({name: batch[name] for name in ROW}, training=training)
        label = ops.maximum(ops.cast(batch["label"], "int32"), 0)
        return ops.logsumexp(logits, axis=-1) - ops.take_along_axis(logits, label[..., None], axis=-1)[..., 0]

    def counts(self, batch: Mapping[str, Any]) -> Any:
        """1 at a word's first piece, 0 elsewhere. See `Task`."""
        from keras import ops

        return ops.cast(ops.not_equal(batch["label"], labelling.IGNORED), "float32")

    def restored(self, outputs: NDArray[np.float32], length: int) -> NDArray[np.float32]:
        """See `Task`."""
        return np.pad(outputs, ((0, 0), (self.sequence_length - length, 0), (0, 0)))

    def answers(self, examples: Sentences, features: Features, outputs: NDArray[np.float32]) -> list[dict[str, Any]]:
        """The label of each word with its probability, and the entities that they tell. See `Task`."""
        labels, confidences = self._labels(features, outputs), self._confidences(features, outputs)
        found = []
        for row in range(len(examples)):
            predicted = list(examples.of(row, labels))
            answer: dict[str, Any] = {"predicted": predicted, "confidences": list(examples.of(row, confidences))}
            if self.are_entities:
                words = examples.of(row, examples.words)
                answer["entities"] = [
                    {"type": kind, "first": first, "end": end, "text": " ".join(words[first:end])}
                    for kind, first, end in entities.entities(predicted)
                ]
            found.append(answer)
        return found

    def _labels(self, features: Features, outputs: NDArray[np.float32]) -> list[str]:
        """The likeliest label of every word."""
        return [self.head["classes"][number] for number in features.notes.of_words(outputs).argmax(axis=-1)]

    def _confidences(self, features: Features, outputs: NDArray[np.float32]) -> list[float]:
        """The probability of the likeliest label of every word."""
        logits = features.notes.of_words(outputs).astype(np.float64)
        found: list[float] = softmax(logits, axis=-1).max(axis=-1).tolist()
        return found

    def measure(self, examples: Sentences, features: Features, outputs: NDArray[np.float32]) -> dict[str, Any]:
        """Of entities precision, recall and F1, as conlleval has them, and the accuracy over words. See `Task`."""
        logits = features.notes.of_words(outputs).astype(np.float64)
        truth = features.notes.of_words(features.targets["label"])
        largest = logits.max(axis=-1)
        losses = largest + np.log(np.exp(logits - largest[:, None]).sum(axis=-1)) - logits[np.arange(len(truth)), truth]
        accuracy = float(np.mean(logits.argmax(axis=-1) == truth))
        found: dict[str, Any] = {"metrics": {"accuracy": accuracy}}
        if self.are_entities:
            labels = self._labels(features, outputs)
            rows = range(len(examples))
            found = entities.score(
                [examples.of(row, examples.labels or []) for row in rows], [examples.of(row, labels) for row in rows]
            )
        return {"loss": float(losses.mean()), "words": len(truth), **found}

    @property
    def best(self) -> str:
        """See `Task`."""
        return "f1" if self.are_entities else "accuracy"

    def fields(self, examples: Sentences, row: int) -> dict[str, Any]:
        """See `Task`."""
        found: dict[str, Any] = {"line": examples.of(row, examples.lines)[0], "words": examples.of(row, examples.words)}
        return found if examples.labels is None else found | {"truth": examples.of(row, examples.labels)}


def _column(settings: Any, name: str, *, otherwise: str) -> str:
    """A column that was chosen. The settings' default is the name of one, which CoNLL files do not have."""
    chosen: str = getattr(settings, name)
    return otherwise if chosen == getattr(type(settings), name) else chosen
