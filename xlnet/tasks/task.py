"""What a task is: from files of examples to features, a model, losses, answers and metrics; one shape for all kinds.

A kind of task is a class; a task is an instance, described by the `head` entry of a model's config.json, from which
it can be made anew. Nothing here imports a framework before a model is asked for.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from xlnet import storage
from xlnet.errors import UserError, require
from xlnet.json_types import is_of
from xlnet.tasks import folders

Arrays = dict[str, NDArray[Any]]
Outputs = Any  # of a model: an array [rows, ...], or a dict of them


class Examples(Protocol):
    """What a file or folder holds, read and checked; every kind of task has its own."""

    @property
    def path(self) -> str:
        """The file or folder."""
        ...

    @property
    def left_out(self) -> Mapping[str, int]:
        """Why examples of it were left out -> how many."""
        ...

    def __len__(self) -> int: ...

    def where(self, row: int) -> str:
        """The place of an example, for messages: file and line, or file and id."""
        ...


@dataclass(frozen=True)
class Features:
    """Examples as arrays. An example may have several rows (windows of a long text); each says whose it is.

    `inputs`: what the model takes, [rows, ...]. `targets`: what the loss takes beside it, [rows, ...]; empty where
    there are no labels. `example` int [rows]: the index of each row's example, ascending. `notes`: whatever
    `Task.answers` needs to turn outputs into answers (the places of pieces in the text). `cut`: how many examples lost
    pieces because a row is too short for them.
    """

    inputs: Arrays
    example: NDArray[np.integer]
    targets: Arrays = field(default_factory=dict)
    notes: Any = None
    cut: int = 0

    def __len__(self) -> int:
        return len(self.example)


class Task(ABC):
    """One task, as `head` describes it. Rows are padded on the left to `head["sequence_length"]` pieces."""

    kind: ClassVar[str]
    parts: ClassVar[Mapping[str, Any]]  # what `head` holds beside task and sequence_length; see `is_of`
    along_sequence: ClassVar[tuple[str, ...]] = ("pieces", "segments", "padding")  # arrays whose last axis is it

    def __init__(self, head: dict[str, Any]):
        self.head = head

    @classmethod
    @abstractmethod
    def prepare(cls, path: str, settings: Any) -> tuple["Task", Examples]:
        """The task that `FinetuningSettings` and the training examples define, and these.

        Raises UserError, with file and line, for a bad example.
        """

    @abstractmethod
    def read(self, path: str) -> Examples:
        """The labelled examples of a file or folder. Raises UserError, with file and line, for a bad one."""

    @abstractmethod
    def parse(self, records: Sequence[Mapping[str, Any]], *, path: str, first_line: int = 1) -> Examples:
        """Unlabelled examples from JSON objects, lines of `path` from `first_line` on: what prediction streams.

        Raises UserError, with file and line, for a bad one.
        """

    @abstractmethod
    def features(self, tokenizer: Any, examples: Any) -> Features:
        """Arrays of examples; with targets where they have labels."""

    @abstractmethod
    def model(self, config: Any, **options: Any) -> Any:
        """A Keras model with fresh weights (an entry of `xlnet.model.heads`), all of them built.

        `options`: seed, dtype. It has a `backbone`. Called with a dict of `Features.inputs` and `training`, the
        model returns `Outputs`.
        """

    @abstractmethod
    def losses(self, model: Any, batch: Mapping[str, Any], *, training: bool) -> Any:
        """Of a batch of inputs and targets: float32 [rows], or [rows, n]. Keras operations, compiled with the step."""

    def counts(self, batch: Mapping[str, Any]) -> Any:
        """How much each of the losses counts, float32 of their shape: a batch's loss is the mean weighted so.

        One for each row, unless a task says otherwise. No model is called for it.
        """
        from keras import ops

        rows = batch[self.along_sequence[0]]
        return ops.ones_like(rows[(slice(None), *[0] * (len(rows.shape) - 1))], dtype="float32")

    @abstractmethod
    def answers(self, examples: Any, features: Features, outputs: Outputs) -> list[dict[str, Any]]:
        """What the model says, an object for each example, ready for JSON: `predicted` and whatever is known of it."""

    @abstractmethod
    def measure(self, examples: Any, features: Features, outputs: Outputs) -> dict[str, Any]:
        """The official metrics of labelled examples, ready for JSON.

        `metrics`: name -> number or None where it is not defined; `loss`: the mean loss, or None where it is not
        computed; and anything beside them that a report shows.
        """

    def settle(self, metrics: Mapping[str, float | None]) -> None:  # noqa: B027
        """Takes over into `head` what only labelled examples tell, from the metrics of the weights that are kept.

        A threshold, for example; most tasks have nothing of the kind.
        """

    @property
    @abstractmethod
    def best(self) -> str:
        """The name of the metric by which the best weights are chosen."""

    @abstractmethod
    def fields(self, examples: Any, row: int) -> dict[str, Any]:
        """What an example says itself, with `truth` where it is labelled: what a list of predictions shows."""

    def faults(self, examples: Any) -> dict[str, list[str]]:
        """Of each kind of fault that examples may have and still be used, the ids of those that do."""
        return {}

    def weights(self, features: Features, wanted: str | None) -> NDArray[np.float32] | None:
        """How much each row counts in training, float32 [rows]; None: all alike. `wanted`: see the settings.

        Raises UserError for what the task has no use for.
        """
        require(wanted is None, "class_weights", wanted, f"none: {self.kind} has no classes to weigh")
        return None

    def restored(self, outputs: Outputs, length: int) -> Outputs:
        """Outputs of rows that were cut to their last `length` pieces, as if they had not been.

        For tasks that speak of positions; others have nothing to do.
        """
        return outputs

    @property
    def sees_padding(self) -> bool:
        """Whether an answer depends on how much padding a row has; such rows may not be cut to their length."""
        return False

    @property
    def sequence_length(self) -> int:
        """Pieces of a row."""
        return int(self.head["sequence_length"])


def described(examples: Examples) -> dict[str, Any]:
    """Where examples come from, as provenance keeps it: path, checksum, counts."""
    path = examples.path
    left_out = {"left_out": dict(examples.left_out)} if examples.left_out else {}
    return {"path": path, "sha256": checksum(path), "examples": len(examples)} | left_out


def checksum(path: str) -> str:
    """The SHA-256 of a file of examples, or of a folder of them."""
    return folders.checksum(path, sorted(folders.names(path))) if folders.is_folder(path) else storage.sha256(path)


def check_head(head: Mapping[str, Any], parts: Mapping[str, Any], *, where: str) -> None:
    """Raises UserError when a part of a head is missing or of another type; a whole number counts from 1."""
    for name, kind in parts.items():
        if name not in head or not is_of(head[name], kind) or (kind is int and head[name] < 1):
            found = f"is {head[name]!r}" if name in head else "is missing"
            raise UserError(f"{where} is damaged: {name} {found}; copy the model again")
