"""The data of a pretraining run: opened, checked against the settings, and the batches of its steps."""

from typing import Any

from xlnet.corpus import reference
from xlnet.errors import UserError, require
from xlnet.training.data import check_rows, check_shards, naming_damage, rows_per_slot, training_batches
from xlnet.training.devices import ALL, Devices, Share
from xlnet.training.settings import PretrainingSettings


class TrainingData:
    """A data set with the batches that a run makes of it; which those are follows from the settings and the step."""

    def __init__(self, folder: str, settings: PretrainingSettings, *, devices: Devices):
        """Raises UserError when shards or vocabulary are not whole, or do not carry the batches that are asked for."""
        self.folder, self.settings, self.devices = folder, settings, devices
        self.manifest = reference.open_data(folder)
        self.corpus = self.manifest.settings
        self.manifest.verify_vocabulary()  # the model is published with it
        check_shards(folder, self.manifest)
        check_rows(self.manifest, settings.batch_size)
        rows = rows_per_slot(self.manifest) * settings.accumulation_steps
        wanted = f"a multiple of {rows}: accumulation_steps is {settings.accumulation_steps}, each needs whole streams"
        require(settings.batch_size % rows == 0, "batch_size", settings.batch_size, wanted)
        if settings.batch_size % (rows * devices.replicas):
            raise UserError(
                f"batch_size is {settings.batch_size}, wanted on {devices.replicas} devices is a multiple of "
                f"{rows * devices.replicas}: each needs whole streams; or take fewer --devices"
            )

    def batches(self, first: int, last: int) -> Any:
        """The batches of the steps from `first` up to `last`, laid out over the devices; see `training.data`."""
        return self.devices.batches(lambda share: self._read(first, last, share))

    def batch(self, step: int) -> dict[str, Any]:
        """The batch of one step, all of it."""
        return next(iter(self._read(step, step + 1, ALL)))

    def _read(self, first: int, last: int, share: Share) -> Any:
        return training_batches(
            self.folder,
            self.manifest,
            batch_size=self.settings.batch_size,
            steps=last,
            seed=self.settings.seed,
            start=first,
            orders=self.settings.orders,
            share=share,
        )

    def naming_damage(self) -> Any:
        """A context in which a damaged record ends in a UserError that names it."""
        return naming_damage(self.folder, self.manifest)
