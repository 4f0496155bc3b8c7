"""The examples of a fine-tuning run, and their batches."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from xlnet.errors import require
from xlnet.tasks import registry
from xlnet.tasks.batching import lengths_of
from xlnet.tasks.task import Arrays, Examples, Features, Task, described
from xlnet.training.finetuning_settings import FinetuningSettings
from xlnet.training.length_buckets import BatchPlan, bucket_lengths

BUCKETS = 4  # shapes to compile, where the task allows more than one


@dataclass(frozen=True)
class Data:
    """A task, and the examples to learn it from and to measure on."""

    task: Task
    train: Examples
    dev: Examples | None

    @classmethod
    def read(cls, train: str, dev: str | None, *, settings: FinetuningSettings) -> "Data":
        """Reads both; the training examples may define the task (its classes)."""
        task, found = registry.kind_of(settings.kind).prepare(train, settings)
        return cls(task, found, None if dev is None else task.read(dev))

    def described(self) -> dict[str, Any]:
        """Files, checksums and counts, of faults too."""
        parts = {"train": self.train, "dev": self.dev}
        return {name: described(part) | self._faults(part) for name, part in parts.items() if part is not None}

    def _faults(self, examples: Examples) -> dict[str, dict[str, int]]:
        listed = self.task.faults(examples)
        return {"faults": {kind: len(ids) for kind, ids in listed.items()}} if listed else {}


class TrainingRows:
    """The rows that are trained on, in batches by step: dicts of inputs, targets and, where rows count differently,
    `weight`.
    """

    def __init__(self, task: Task, features: Features, *, settings: FinetuningSettings):
        self.task, self.cut = task, features.cut
        weights = task.weights(features, settings.class_weights)
        self.arrays: Arrays = features.inputs | features.targets | ({} if weights is None else {"weight": weights})
        size = min(settings.batch_size, len(features))
        parts = settings.accumulation_steps
        require(size % parts == 0, "accumulation_steps", parts, f"a number that divides the {size} rows of a batch")
        most = settings.length_buckets or (1 if task.sees_padding else BUCKETS)
        self._require_cuttable(most)
        lengths = lengths_of(features.inputs["padding"])
        buckets = bucket_lengths(lengths, most=most, longest=task.sequence_length)
        self.plan = BatchPlan(lengths, size=size, seed=settings.seed, buckets=buckets)
        self.epoch = len(features) // size  # steps; an epoch's odd rows go into the next one's first batches
        self.steps = settings.steps or settings.epochs * self.epoch

    def _require_cuttable(self, buckets: int) -> None:
        wanted = "1: here answers depend on the padding; take --summary last, or leave it out"
        require(buckets == 1 or not self.task.sees_padding, "length_buckets", buckets, wanted)

    def batch(self, step: int) -> Arrays:
        """The batch of a step, counted from 0."""
        rows, length = self.plan[step]
        return {name: self._cut(name, values[rows], length) for name, values in self.arrays.items()}

    def _cut(self, name: str, values: NDArray[Any], length: int) -> NDArray[Any]:
        return values[..., values.shape[-1] - length :] if name in self.task.along_sequence else values

    def batches(self, first: int, last: int) -> Any:
        """A tf.data.Dataset of the batches of steps `first` up to `last`."""
        import tensorflow as tf

        signature = {
            name: tf.TensorSpec(self._shape(name, values.shape[1:]), dtype=values.dtype, name=name)
            for name, values in self.arrays.items()
        }
        made = tf.data.Dataset.from_generator(
            lambda: (self.batch(step) for step in range(first, last)), output_signature=signature
        )
        return made.prefetch(2)

    def _shape(self, name: str, row: tuple[int, ...]) -> list[int | None]:
        if name not in self.task.along_sequence:
            return [self.plan.size, *row]
        return [self.plan.size, *row[:-1], self.plan.buckets[0] if len(self.plan.buckets) == 1 else None]
