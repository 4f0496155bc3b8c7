"""Multiple choice: which of a question's options answers it, as in RACE.

Source: Yang et al. 2019, section 3.3; reference: run_race.py.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from xlnet.tasks import choices, race
from xlnet.tasks.race import LETTERS, Questions
from xlnet.tasks.task import Features, Task


class MultipleChoice(Task):
    """A score for each option. The model's outputs are logits [rows, options]; a row is a question."""

    kind = "multiple-choice"
    parts: ClassVar[dict[str, Any]] = {"summary": str, "projection": bool, "option_length": int}

    @property
    def sees_padding(self) -> bool:
        """See `Task`. The first position, and the mean over all, may be padding, as in the reference."""
        return self.head["summary"] in ("first", "mean")

    @classmethod
    def prepare(cls, path: str, settings: Any) -> tuple["MultipleChoice", Questions]:
        """See `Task`."""
        head = {
            "task": cls.kind,
            "summary": settings.summary,
            "projection": settings.projection,
            "sequence_length": settings.sequence_length,
            "option_length": settings.option_length,
        }
        return cls(head), race.read(path)

    def read(self, path: str) -> Questions:
        """See `Task`."""
        return race.read(path)

    def parse(self, records: Sequence[Mapping[str, Any]], *, path: str, first_line: int = 1) -> Questions:
        """See `Task` and `race.parse`."""
        return race.parse(records, path=path, first_line=first_line)

    def features(self, tokenizer: Any, examples: Questions) -> Features:
        """See `Task`: inputs [questions, options, sequence_length]."""
        inputs, is_cut = choices.features(
            tokenizer, examples, sequence_length=self.sequence_length, option_length=self.head["option_length"]
        )
        targets = {} if examples.labels is None else {"label": np.array(examples.labels, np.int32)}
        return Features(dict(inputs), np.arange(len(examples)), targets, cut=int(is_cut.sum()))

    def model(self, config: Any, **options: Any) -> Any:
        """See `Task`."""
        from xlnet.model.multiple_choice import MultipleChoice

        return MultipleChoice(config, summary=self.head["summary"], projection=self.head["projection"], **options)

    def losses(self, model: Any, batch: Mapping[str, Any], *, training: bool) -> Any:
        """Negative log probabilities in nats of the right options. See `Task`."""
        from keras import ops

        logits = model({name: batch[name] for name in self.along_sequence}, training=training)
        chosen = ops.take_along_axis(logits, ops.cast(batch["label"], "int32")[:, None], axis=-1)[:, 0]
        return ops.logsumexp(logits, axis=-1) - chosen

    def answers(self, examples: Questions, features: Features, outputs: NDArray[np.float32]) -> list[dict[str, Any]]:
        """The letter of the option, and the probabilities of all. See `Task`."""
        found = []
        for options, row in zip(examples.options, softmax(outputs.astype(np.float64), axis=-1), strict=True):
            there = row[: len(options)]
            found.append({"predicted": LETTERS[int(there.argmax())], "probabilities": there.tolist()})
        return found

    def measure(self, examples: Questions, features: Features, outputs: NDArray[np.float32]) -> dict[str, Any]:
        """Accuracy over all and of each level that there is, beside that of one constant answer. See `Task`."""
        truth = features.targets["label"]
        right = outputs.argmax(axis=-1) == truth
        probabilities = softmax(outputs.astype(np.float64), axis=-1)[np.arange(len(truth)), truth]
        chances = np.maximum(probabilities, np.finfo(np.float64).tiny)
        levels = np.array(examples.levels)
        majority = int(np.bincount(truth).argmax())
        return {
            "loss": float(-np.log(chances).mean()),
            "metrics": {
                "accuracy": float(right.mean()),
                **{f"accuracy_{level}": float(right[levels == level].mean()) for level in sorted(set(levels)) if level},
            },
            "majority": {"class": LETTERS[majority], "accuracy": float(np.mean(truth == majority))},
        }

    @property
    def best(self) -> str:
        """See `Task`."""
        return "accuracy"

    def fields(self, examples: Questions, row: int) -> dict[str, Any]:
        """See `Task`."""
        found = {
            "place": examples.where(row).removeprefix(examples.path).lstrip("/:"),
            "passage": examples.passages[examples.passage[row]],
            "question": examples.questions[row],
            "options": examples.options[row],
        }
        return found if examples.labels is None else found | {"truth": LETTERS[examples.labels[row]]}
