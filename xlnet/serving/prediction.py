"""Rows to answers of a fine-tuned model, one object a row, in batches of few shapes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from xlnet.errors import UserError
from xlnet.serving.rows import Row
from xlnet.serving.settings import SPECIAL, PredictionSettings
from xlnet.serving.windows import laid_out, windows
from xlnet.tasks import registry
from xlnet.tasks.batching import bucket
from xlnet.tasks.predictor import Predictor, by_length
from xlnet.tasks.sentence_task import SentenceTask
from xlnet.tasks.span_questions import Questions
from xlnet.tasks.task import Features, Outputs


class Answerer:
    """A fine-tuned model as a maker of answers. Raises UserError for settings that do not fit its task."""

    def __init__(self, predictor: Predictor, settings: PredictionSettings) -> None:
        task = predictor.task
        given = {"text": settings.text_column, "pair": settings.pair_column}
        named = {name: column for name, column in given.items() if column is not None}
        if named or settings.long_texts == "windows":
            if not isinstance(task, SentenceTask):
                raise UserError(
                    f"the model's task is {task.kind}; columns and windows are chosen for texts to classify or rate"
                )
            if settings.long_texts == "windows" and task.columns.pair is not None:
                raise UserError("the model takes pairs of texts, windows are of single ones; leave --long-texts out")
            if "pair" in named and task.columns.pair is None:
                raise UserError("the model takes single texts; leave --pair-column out")
            columns = task.head["columns"] | named | ({"header": None} if named else {})  # names tell of a header
            head = task.head | {"columns": columns}
            task = registry.from_head(head, where="the model")
        self.predictor, self.task, self.settings = predictor, task, settings

    @classmethod
    def load(cls, directory: str, settings: PredictionSettings) -> "Answerer":
        """Reads a fine-tuned model directory. Raises UserError as `Predictor.load`."""
        return cls(Predictor.load(directory), settings)

    @property
    def columns(self) -> list[str]:
        """The columns that all rows must have; none where the task's own reader knows them."""
        return self.task.columns.names(labelled=False) if isinstance(self.task, SentenceTask) else []

    @property
    def is_headed(self) -> bool:
        """Whether a table has a header, as far as the examples of the training tell."""
        if not isinstance(self.task, SentenceTask):
            return True
        known = self.task.columns.header
        return known if known is not None else not all(name.isdecimal() for name in self.columns)

    def checked(self, row: Row) -> Row:
        """The row, or a dead one where it is no example of the task."""
        try:
            examples = self.task.parse([row.record], path="", first_line=row.line)
        except UserError as error:
            return row.dead(str(error).removeprefix(f":{row.line}: "))
        if isinstance(examples, Questions):
            (context,) = examples.contexts
            if not any(map(str.isalnum, context)) and not self.predictor.tokenizer.encode(context):
                return row.dead("nothing is left of the context when it is normalised")
        return row

    def answers(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """The answer to each row, which must be an example, ready for JSON; probabilities by the class's name."""
        task = self.task
        examples: Any = task.parse([row.record for row in rows], path="")
        if self.settings.long_texts == "windows":
            features = Features(inputs={}, example=np.arange(len(rows)))
            outputs = self._by_windows(examples.texts)
        else:
            features = task.features(self.predictor.tokenizer, examples)
            outputs = self._outputs(features)
        return [self._named(answer) for answer in task.answers(examples, features, outputs)]

    def _outputs(self, features: Features) -> Outputs:
        predict, size = self.predictor.model.predict_on_batch, self.settings.batch_size
        return by_length(self.task, predict, features.inputs, batch_size=size)

    def _by_windows(self, texts: Sequence[str]) -> Outputs:
        """The mean output over the windows of each text, weighted by the pieces that a window answers for."""
        ids, lengths = self.predictor.tokenizer.encode_lines(texts)
        longest = self.task.sequence_length
        room = longest - SPECIAL
        cut = windows(lengths, room=room, stride=min(self.settings.stride, room))
        size = int((cut.stops - cut.starts).max()) + SPECIAL
        length = longest if self.task.sees_padding else bucket(size, longest=longest)
        outputs = self._outputs(Features(laid_out(ids, lengths, cut, length=length), cut.text))
        weights = np.maximum(cut.last - cut.first, 1).astype(np.float32).reshape(-1, *[1] * (outputs.ndim - 1))
        begins = np.flatnonzero(np.diff(cut.text, prepend=-1))
        return np.add.reduceat(outputs * weights, begins) / np.add.reduceat(weights, begins)

    def _named(self, answer: dict[str, Any]) -> dict[str, Any]:
        classes, found = self.task.head.get("classes"), answer.get("probabilities")
        if classes is None or not isinstance(found, list) or len(found) != len(classes):
            return answer
        return answer | {"probabilities": dict(zip(classes, found, strict=True))}
