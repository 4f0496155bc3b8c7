"""What classification and regression of texts and pairs share."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from xlnet.errors import UserError
from xlnet.tasks import known, sentence
from xlnet.tasks.features import features_and_cut
from xlnet.tasks.task import Features, Task


class SentenceTask(Task):
    """A text or a pair of texts, a vector for it, and what a linear layer says of that."""

    parts: ClassVar[dict[str, Any]] = {
        "data_set": (None, *known.DATA_SETS),
        "classes": list[str] | None,
        "summary": str,
        "projection": bool,
        "columns": {"text": str, "pair": str | None, "label": str, "header": bool | None},
    }

    @property
    def columns(self) -> sentence.Columns:
        """Where text, pair and label stand."""
        return sentence.Columns(**self.head["columns"])

    @property
    def sees_padding(self) -> bool:
        """See `Task`. The first position, and the mean over all, may be padding, as in the reference."""
        return self.head["summary"] in ("first", "mean")

    @property
    def classes(self) -> list[str] | None:
        """The names of the classes; None for regression."""
        found: list[str] | None = self.head["classes"]
        return found

    @classmethod
    def prepare(cls, path: str, settings: Any) -> tuple["SentenceTask", sentence.Examples]:
        """See `Task`. The classes are those of the data set, or of the training examples."""
        data_set = settings.data_set
        if data_set is None:
            examples, columns = sentence.read(path, columns=settings.columns), settings.columns
        else:
            examples, columns = known.read(path, data_set), known.DATA_SETS[data_set].columns or sentence.Columns()
        head = {
            "task": cls.kind,
            "data_set": data_set,
            "classes": cls._classes(examples, data_set),
            "summary": settings.summary,
            "projection": settings.projection,
            "sequence_length": settings.sequence_length,
            "columns": dataclasses.asdict(columns),
        }
        task = cls(head)
        task.targets(examples)
        return task, examples

    @classmethod
    def _classes(cls, examples: sentence.Examples, data_set: str | None) -> list[str] | None:
        raise NotImplementedError

    def read(self, path: str) -> sentence.Examples:
        """See `Task`."""
        data_set = self.head.get("data_set")
        examples = sentence.read(path, columns=self.columns) if data_set is None else known.read(path, data_set)
        self.targets(examples)
        return examples

    def parse(self, records: Sequence[Mapping[str, Any]], *, path: str, first_line: int = 1) -> sentence.Examples:
        """See `Task`. The keys are those of the columns; texts of a data set are read as its files are."""
        reading = known.reading(self.head.get("data_set"))
        return sentence.parse(records, columns=self.columns, path=path, first_line=first_line, **reading)

    def texts(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> sentence.Examples:
        """Unlabelled examples of n texts, or pairs of texts. Raises UserError when the task is of the other kind."""
        wanted = self.columns.pair is not None
        if wanted != (pairs is not None):
            raise UserError(f"the model takes {'pairs of' if wanted else 'single'} texts, given were the other kind")
        lines = range(1, len(texts) + 1)
        return sentence.Examples("", lines, list(texts), None if pairs is None else list(pairs), labels=None)

    def targets(self, examples: sentence.Examples) -> NDArray[Any]:
        """The labels as numbers, [examples]. Raises UserError, with file and line, for an unknown one."""
        return sentence.targets(examples, self.classes)

    def features(self, tokenizer: Any, examples: sentence.Examples) -> Features:
        """See `Task`: inputs [n, sequence_length] of n examples, a row each."""
        inputs, is_cut = features_and_cut(
            tokenizer, examples.texts, pairs=examples.pairs, sequence_length=self.sequence_length
        )
        targets = {} if examples.labels is None else {"label": self.targets(examples)}
        return Features(dict(inputs), np.arange(len(examples)), targets, cut=int(is_cut.sum()))

    def model(self, config: Any, **options: Any) -> Any:
        """See `Task`."""
        from xlnet.model.heads import SequenceClassifier

        model = SequenceClassifier(
            config,
            classes=None if self.classes is None else len(self.classes),
            summary=self.head["summary"],
            projection=self.head["projection"],
            **options,
        )
        nothing = np.zeros((1, self.sequence_length), np.int32)
        model({"pieces": nothing, "segments": nothing, "padding": nothing})
        return model

    def readable(self, outputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Outputs as a reader wants them: probabilities [n, classes], or numbers [n]."""
        raise NotImplementedError

    def fields(self, examples: sentence.Examples, row: int) -> dict[str, Any]:
        """See `Task`."""
        found: dict[str, Any] = {"line": examples.lines[row], "text": examples.texts[row]}
        if examples.pairs is not None:
            found["pair"] = examples.pairs[row]
        if examples.labels is not None:
            found["truth"] = self._truth(examples.labels[row])
        return found

    def _truth(self, label: str) -> Any:
        return label
