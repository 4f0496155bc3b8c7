"""The kinds of tasks by name. A kind's own file is imported when it is asked for."""

import importlib
from typing import Any

from xlnet.errors import UserError
from xlnet.settings import suggestion
from xlnet.tasks.task import Task, check_head

KINDS = {
    "classification": "xlnet.tasks.classification:Classification",
    "regression": "xlnet.tasks.regression:Regression",
    "multiple-choice": "xlnet.tasks.multiple_choice:MultipleChoice",
    "token-classification": "xlnet.tasks.token_classification:TokenClassification",
    "question-answering": "xlnet.tasks.question_answering:QuestionAnswering",
}


def kind_of(name: str) -> type[Task]:
    """The class of a kind of task. Raises UserError for an unknown one."""
    if name not in KINDS:
        raise UserError(f"the task {name!r} is unknown{suggestion(name, KINDS)}")
    module, _, attribute = KINDS[name].partition(":")
    found: type[Task] = getattr(importlib.import_module(module), attribute)
    return found


def from_head(head: dict[str, Any], *, where: str) -> Task:
    """The task of a model, as its config.json (`where`) describes it. Raises UserError for what is missing there."""
    check_head(head, {"task": str, "sequence_length": int}, where=where)
    kind = kind_of(head["task"])
    check_head({"data_set": None, **head}, kind.parts, where=where)  # which a head of before does not name
    return kind(head)
