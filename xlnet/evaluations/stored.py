"""An evaluation of a fine-tuned model, read back from the folder that `xlnet evaluate` wrote."""

from dataclasses import dataclass
from typing import Any

from xlnet import runs, storage
from xlnet.errors import UserError

EVALUATION, PREDICTIONS = "evaluation.json", "predictions.jsonl"
FIELDS: dict[str, dict[str, Any]] = {  # of a line of the predictions, by kind of task
    "classification": {"text": str, "truth": str, "predicted": str, "probabilities": list},
    "regression": {"text": str, "truth": float | int, "predicted": float | int},
    "multiple-choice": {"passage": str, "question": str, "truth": str, "predicted": str, "probabilities": list},
    "question-answering": {
        **{"question": str, "context": str, "truth": list, "predicted": str, "answers": list},
        **{"exact": float | int, "f1": float | int},
    },
    "token-classification": {"words": list, "truth": list, "predicted": list, "confidences": list},
}


@dataclass(frozen=True)
class Evaluation:
    """What was measured (`described`), and what the model said of each example (`answers`)."""

    folder: str
    kind: str  # of task
    described: dict[str, Any]
    answers: list[dict[str, Any]]

    @classmethod
    def read(cls, folder: str) -> "Evaluation":
        """The evaluation in a folder. Raises UserError, with file and line, when it is missing, broken or another."""
        described = runs.read_object(folder, EVALUATION)
        kind = described.get("task")
        if kind not in FIELDS:
            found = "of a pretrained model" if "objective" in described else f"of the task {kind!r}"
            raise UserError(f"{storage.join(folder, EVALUATION)} is {found}; wanted is one of {', '.join(FIELDS)}")
        path = storage.join(folder, PREDICTIONS)
        answers = runs.read_lines(path)
        with runs.intact(storage.join(folder, EVALUATION)):
            measured = int(described["examples"])
            _ = dict(described["metrics"]), str(described["data_sha256"])
        if len(answers) != measured or not answers:
            raise UserError(f"{path} holds {len(answers)} answers, {measured} were measured; evaluate again")
        for number, answer in enumerate(answers, start=1):
            _check(answer, kind, where=f"{path}:{number}")
        return cls(folder, kind, described, answers)

    @property
    def path(self) -> str:
        """The file of the answers."""
        return storage.join(self.folder, PREDICTIONS)

    @property
    def data(self) -> str:
        """The file or folder of the examples."""
        return str(self.described.get("data", self.folder))

    @property
    def metrics(self) -> dict[str, float | None]:
        """The official metrics, as they were measured."""
        found: dict[str, float | None] = self.described["metrics"]
        return found

    @property
    def main(self) -> str:
        """The metric that models are compared by."""
        if self.kind == "token-classification":
            return "f1" if self.are_entities else "accuracy"
        return {"regression": "pearson", "question-answering": "f1"}.get(self.kind, "accuracy")

    @property
    def has_nulls(self) -> bool:
        """Whether it is of questions that may have no answer."""
        return "has_answer_f1" in self.metrics

    @property
    def are_entities(self) -> bool:
        """Whether it is of words whose labels are of entities."""
        return "entities" in self.described


def _check(answer: dict[str, Any], kind: str, *, where: str) -> None:
    for name, wanted in FIELDS[kind].items():
        if not isinstance(answer.get(name), wanted):
            found = f"{answer[name]!r:.40} as" if name in answer else "no"
            raise UserError(f"{where} has {found} {name!r}, it is no answer of {kind}; evaluate again")
    if kind == "token-classification" and len({len(answer[name]) for name in FIELDS[kind]}) > 1:
        raise UserError(f"{where} has not one label for each word; evaluate again")


def require_same_examples(first: Evaluation, second: Evaluation) -> None:
    """Raises UserError unless two evaluations are of the same task on the same examples."""
    if first.described["data_sha256"] != second.described["data_sha256"]:
        raise UserError(
            f"{first.folder} and {second.folder} measure different examples; evaluate both on the same file"
        )
    if first.kind != second.kind:
        raise UserError(f"{first.folder} is of {first.kind}, {second.folder} of {second.kind}; compare two of one task")
    if len(first.answers) != len(second.answers):
        raise UserError(
            f"{first.folder} has {len(first.answers)} examples, {second.folder} has {len(second.answers)}; "
            "evaluate both on the same file"
        )
    for number, (one, other) in enumerate(zip(first.answers, second.answers, strict=True), start=1):
        if one["truth"] != other["truth"]:
            raise UserError(
                f"{first.path}:{number} has the truth {one['truth']!r:.60}, {second.path}:{number} has "
                f"{other['truth']!r:.60}; evaluate both on the same file with the same columns"
            )
