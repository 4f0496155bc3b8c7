"""The data of a pretraining run: opened, checked against the settings, and the batches of its steps."""

from typing import Any

from xlnet.corpus import reference
from xlnet.errors import require
from xlnet.training.data import check_rows, check_shards, naming_damage, rows_per_slot, training_batches
from xlnet.training.settings import PretrainingSettings


class TrainingData:
    """A data set with the batches that a run makes of it; which those are follows from the settings and the step."""

    def __init__(self, folder: str, settings: PretrainingSettings):
        """Raises UserError when shards are not whole, or do not carry the batches that are asked for."""
        self.folder, self.settings = folder, settings
        self.manifest = reference.open_data(folder)
        self.corpus = self.manifest.settings
        check_shards(folder, self.manifest)
        check_rows(self.manifest, settings.batch_size)
        rows = rows_per_slot(self.manifest) * settings.accumulation_steps
        wanted = f"so that batch_size, {settings.batch_size}, is a multiple of {rows}: every part needs whole streams"
        require(settings.batch_size % rows == 0, "accumulation_steps", settings.accumulation_steps, wanted)

    def batches(self, first: int, last: int) -> Any:
        """The batches of the steps from `first` up to `last`; see `training.data`."""
        return training_batches(
            self.folder,
            self.manifest,
            batch_size=self.settings.batch_size,
            steps=last,
            seed=self.settings.seed,
            start=first,
            orders=self.settings.orders,
        )

    def batch(self, step: int) -> dict[str, Any]:
        """The batch of one step."""
        return next(iter(self.batches(step, step + 1)))

    def naming_damage(self) -> Any:
        """A context in which a damaged record ends in a UserError that names it."""
        return naming_damage(self.folder, self.manifest)
