"""The held-out loss of a pretraining run: a second `Pretrainer` over the same weights, with memories of its own."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from xlnet.corpus import piece_counts, reference
from xlnet.corpus.manifest import Manifest
from xlnet.training.data import check_shards, naming_damage, validation_batches
from xlnet.training.devices import Devices, Share
from xlnet.training.pretrainer import Pretrainer, unigram_losses
from xlnet.training.validator import BANDS, Validator

SHAPE = ("sequence_length", "reuse_length", "predictions", "bidirectional", "lower", "keep_accents")


class HeldOut:
    """Measures a trainer on a held-out data set. `unigram`: what a model that only counts pieces loses there."""

    def __init__(
        self,
        path: str,
        *,
        trainer: Pretrainer,
        manifest: Manifest,
        devices: Devices,
        jit_compile: bool = True,
    ):
        """Raises UserError when the held-out data have another shape or vocabulary than the training data."""
        held_out = reference.open_data(path)
        check_shards(path, held_out)
        held_out.verify_vocabulary()
        held_out.require_vocabulary(manifest.vocabulary["sha256"])
        held_out.require(**{name: getattr(manifest.settings, name) for name in SHAPE})
        own = Share(devices.host, devices.hosts)
        batches, rows = validation_batches(path, held_out, share=own, multiple=devices.replicas)
        self.steps = int(batches.cardinality())
        counts = _piece_counts(manifest)
        with naming_damage(path, held_out):  # every record is read here
            self.unigram = unigram_losses(batches, counts, objective=trainer.objective, total=devices.total)
        if isinstance(manifest, reference.Original):
            del self.unigram["unigram_loss"]
        self.validator = Validator(
            trainer.backbone,
            trainer.head,
            corpus=manifest.settings,
            objective=trainer.objective.name,
            rows=devices.rows(rows),
            memory_length=trainer.memory_length,
            name="validator",
        )
        self.validator.compile(jit_compile=jit_compile)

        def read(share: Share) -> Any:
            return validation_batches(path, held_out, share=share, multiple=devices.replicas)[0]

        self.batches = devices.batches(read)

    def measure(self, *, is_given_up: Callable[[], bool] = lambda: False) -> dict[str, Any] | None:
        """From empty memories, in nats: the mean loss of every target, and that in each eighth of the window.

        None once it `is_given_up`, which is asked after every batch.
        """
        self.validator.empty_memories()
        result: dict[str, Any] = self.validator.evaluate(
            self.batches,
            steps=self.steps,
            callbacks=[_GivingUp(self.validator, is_given_up)],
            verbose=0,
            return_dict=True,
        )
        if self.validator.stop_evaluating:
            return None
        by_position = [round(float(result[f"band_{band}"]), 6) for band in range(BANDS)]
        return {"validation_loss": float(result["target_loss"]), "validation_loss_by_position": by_position}


class _GivingUp(keras.callbacks.Callback):
    async_safe = True  # it reads no logs: Keras would wait for those of every batch

    def __init__(self, validator: Validator, is_given_up: Callable[[], bool]):
        super().__init__()
        self.validator, self.is_given_up = validator, is_given_up

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        # Not `self.model`: on JAX Keras takes that for a wish to write the state back, in the middle of a step.
        self.validator.stop_evaluating = self.is_given_up()


def _piece_counts(manifest: Manifest) -> np.ndarray:
    if isinstance(manifest, reference.Original):  # nobody has counted them
        return np.zeros(manifest.vocabulary["size"], np.int64)
    return piece_counts.read(manifest)
