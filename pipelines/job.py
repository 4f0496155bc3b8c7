"""What every step of one preprocessing run knows, and the elements that it works on."""

import json
import os
from dataclasses import asdict, dataclass
from typing import ClassVar

from pipelines.output import Places
from pipelines.running import Refusal
from pipelines.spill import Spill
from xlnet import storage
from xlnet.corpus.cleaning import CleaningSettings
from xlnet.corpus.documents import Split
from xlnet.corpus.plan import Plan
from xlnet.corpus.settings import CorpusSettings
from xlnet.corpus.shards import Recipe
from xlnet.file_names import VOCABULARY
from xlnet.text import Tokenizer


@dataclass(frozen=True)
class Task:
    """A split to read, the index of its source, and the part that it belongs to."""

    split: Split
    source: int
    part: int

    MARK: ClassVar[bytes] = b"{"  # with which no block of a spill begins

    def to_bytes(self) -> bytes:
        """The task as JSON, for transport."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> "Task":
        """What `to_bytes` wrote."""
        values = json.loads(content)
        return cls(Split(**values["split"]), values["source"], values["part"])


@dataclass(frozen=True, eq=False)
class Job:
    """What every step of one run knows. Can be pickled."""

    directory: str
    places: Places
    recipe: Recipe
    cleaning: CleaningSettings
    first_pass: dict[int, int]  # by part
    spill: Spill

    @classmethod
    def of(cls, directory: str, places: Places, todo: Plan, cleaning: CleaningSettings, tokenizer: Tokenizer) -> "Job":
        """The job that carries out a plan."""
        recipe = Recipe(
            settings=todo.settings,
            is_word_start=tokenizer.is_word_start,
            vocabulary=todo.vocabulary,
            weights=tuple(source.weight for source in todo.sources),
            unique=cleaning.drop_duplicate_documents,
        )
        return cls(directory, places, recipe, cleaning, todo.first_pass, Spill(places.spill))

    @property
    def settings(self) -> CorpusSettings:
        """How text becomes records."""
        return self.recipe.settings

    @property
    def vocabulary(self) -> str:
        """The vocabulary's copy in the data set, which every worker can reach."""
        return storage.join(self.directory, VOCABULARY)

    @property
    def refusal(self) -> Refusal:
        """Where a worker says what the user can mend."""
        return Refusal(self.places.spill and os.path.join(self.places.spill, "refusal"))

    @property
    def tallies(self) -> int:
        """The key of what was read: one more than there are shards of all parts."""
        return (1 + max(self.first_pass)) * self.settings.shards

    def counts(self, shard: int) -> str:
        """Where a shard's piece frequencies lie until the end."""
        return storage.join(self.places.work, f"counts-{shard}.bin")
