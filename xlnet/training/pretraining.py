"""A pretraining run: from a data set to a model directory, with checkpoints, metrics and held-out loss.

Reference: train.py, train_gpu.py.
"""

import dataclasses
import hashlib
import math
import sys
import time
from typing import Any

import keras
from keras import ops

from xlnet import __version__, storage
from xlnet.corpus import reference
from xlnet.errors import UserError, require
from xlnet.model.backbone import Backbone
from xlnet.model.checkpoints import load_weights, save_model
from xlnet.model.config import ModelConfig
from xlnet.model.heads import LanguageModelHead
from xlnet.progress import Progress
from xlnet.training import optimizer, resume
from xlnet.training.data import check_rows, check_shards, naming_damage, rows_per_slot, training_batches
from xlnet.training.held_out import HeldOut
from xlnet.training.metrics_log import MetricsLog
from xlnet.training.pretrainer import Pretrainer, build
from xlnet.training.settings import FREE, PretrainingSettings
from xlnet.training.skipped import Skipped
from xlnet.training.stopping import StoppedError, on_termination

RUN = "run.json"  # marks a folder as a run that may go on
MEASURED = ("loss", "learning_rate", "gradient_norm", "pieces_per_second")


def pretrain(
    *,
    data: str,
    output: str,
    settings: PretrainingSettings,
    model: ModelConfig,
    validation: str | None = None,
    init: str | None = None,
) -> dict[str, Any]:
    """Pretrain a model on a data set; goes on from the newest checkpoint in `output`, if there is one.

    Writes metrics.jsonl, tensorboard/, checkpoints/, model/ (a model directory) and, last, summary.json, whose
    content is returned. `init` names a model directory or a reference checkpoint to begin from.
    Raises UserError for what does not fit together, StoppedError when SIGTERM has asked to save and leave.
    """
    run = _Run(data, output, settings, model, validation, init)
    with on_termination(run.stop):
        return run.finish()


class _Run:
    """One run: what is prepared once, and what happens at intervals."""

    def __init__(
        self,
        data: str,
        output: str,
        settings: PretrainingSettings,
        model: ModelConfig,
        validation: str | None,
        init: str | None,
    ):
        self.data, self.output, self.settings, self.validation = data, output, settings, validation
        _refuse_foreign(output)
        self.manifest = reference.open_data(data)
        check_shards(data, self.manifest)
        check_rows(self.manifest, settings.batch_size)
        self.corpus = self.manifest.settings
        rows = rows_per_slot(self.manifest) * settings.accumulation_steps
        wanted = f"so that batch_size, {settings.batch_size}, is a multiple of {rows}: every part needs whole streams"
        require(settings.batch_size % rows == 0, "accumulation_steps", settings.accumulation_steps, wanted)
        self.config = dataclasses.replace(model, vocab_size=self.manifest.vocabulary["size"])
        self.fixed = self._fixed_settings()
        keras.utils.set_random_seed(settings.seed)
        self.trainer = self._trainer(init)
        self.held_out = self._held_out()
        self.start = self._restore()
        storage.publish_json(storage.join(output, RUN), self.fixed)  # from here on the folder is this run's
        self.log = MetricsLog(output, resume_at=self.start or None)
        self.last = {name: value for name, value in self.log.last.items() if name not in ("step", "seconds")}
        self.started = time.monotonic() - self.log.last.get("seconds", 0.0)  # of the run, over all its restarts
        self.skipped = Skipped(output, optimizer=self.trainer.optimizer, batch_at=self._batch_at)
        self.progress = Progress(settings.steps, unit="steps", name="pretraining")
        self.is_asked_to_stop = False

    def stop(self) -> None:
        """Ask for a checkpoint after the step that runs; may be called from a signal handler."""
        self.is_asked_to_stop = self.trainer.stop_training = True

    def finish(self) -> dict[str, Any]:
        """Train to the end, write the model and the summary."""
        settings = self.settings
        step = self.start
        self.progress.update(step)
        while step < settings.steps:
            ahead = settings.log_interval - step % settings.log_interval
            interval = min(ahead, settings.steps - step)  # a run that was stopped in between first ends the interval
            epochs = (settings.steps - step) // interval if ahead == settings.log_interval else 1
            self._fit(step, step + epochs * interval, interval=interval, epochs=epochs)
            step += epochs * interval
        if "validation_loss" not in self.last:
            self._validate(settings.steps)
        return self._publish()

    def _fit(self, first: int, last: int, *, interval: int, epochs: int) -> None:
        at_end = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: self._begin(),
            on_epoch_end=lambda epoch, logs: self._end(first + (epoch + 1) * interval, interval),
        )
        with naming_damage(self.data, self.manifest):
            self.trainer.fit(
                self._batches(first, last),
                epochs=epochs,
                steps_per_epoch=interval,
                callbacks=[at_end],
                verbose=0,
                shuffle=False,
            )

    def _batches(self, first: int, last: int) -> Any:
        settings = self.settings
        return training_batches(
            self.data,
            self.manifest,
            batch_size=settings.batch_size,
            steps=last,
            seed=settings.seed,
            start=first,
            orders=settings.orders,
        )

    def _batch_at(self, step: int) -> dict[str, Any]:
        return next(iter(self._batches(step, step + 1)))

    def _begin(self) -> None:
        self.begun = time.monotonic()
        if self.is_asked_to_stop:
            self.trainer.stop_training = True  # Keras takes it back as it begins

    def _end(self, step: int, interval: int) -> None:
        """After the steps of an interval, or in the middle of it when the run is asked to stop."""
        if keras.backend.backend() == "jax":
            self.trainer.jax_state_sync()
        self.skipped.check()
        reached = self.trainer.optimizer.position
        if reached == step:
            self._at_interval(step, interval)
        if self.is_asked_to_stop and reached < self.settings.steps:
            self._save(reached)
            raise StoppedError(f"stopped at step {reached} of {self.settings.steps}, saved; the same command goes on")

    def _at_interval(self, step: int, interval: int) -> None:
        pieces = interval * self.settings.batch_size * self.corpus.sequence_length
        updates = self.trainer.optimizer
        self.last |= {
            "loss": float(ops.convert_to_numpy(self.trainer.target_loss.result())),
            "learning_rate": float(ops.convert_to_numpy(updates.learning_rate)),
            "gradient_norm": float(ops.convert_to_numpy(updates.gradient_norm)),
            "pieces_per_second": round(pieces / (time.monotonic() - self.begun), 1),
        }
        self.trainer.target_loss.reset_state()
        spent = round(time.monotonic() - self.started, 3)
        counts = {"skipped": self.skipped.count} if self.skipped.count else {}
        self.log.write(step, {name: self.last[name] for name in MEASURED} | {"seconds": spent} | counts)
        every = self.settings.log_interval
        if _passes(step, every, self.settings.validation_interval, self.settings.steps):
            self._validate(step)
        if _passes(step, every, self.settings.checkpoint_interval, self.settings.steps):
            self._save(step)
        note = "  ".join(f"{name} {self.last[name]:.3f}" for name in ("loss", "validation_loss") if name in self.last)
        self.progress.update(step, rate=f"{self.last['pieces_per_second']:,.0f} pieces/s", note=note)

    def _validate(self, step: int) -> None:
        if self.held_out is not None:
            self.last["validation_loss"] = self.held_out.loss()
            self.log.write(step, {"validation_loss": self.last["validation_loss"]})

    def _trainer(self, init: str | None) -> Pretrainer:
        settings = self.settings
        policy = settings.precision if settings.precision == "float32" else f"mixed_{settings.precision}"
        backbone = Backbone(self.config, bidirectional=self.corpus.bidirectional, dtype=policy)
        trainer = Pretrainer(
            backbone,
            LanguageModelHead(backbone),
            corpus=self.corpus,
            rows=settings.batch_size,
            memory_length=settings.memory_length,
            parts=settings.accumulation_steps,
        )
        build(trainer, rows=settings.batch_size)
        trainer.resets_metrics = False
        if init is not None:
            fresh = load_weights(trainer, init).missing
            if fresh:
                print(f"{init} has no {', '.join(fresh)}: begun afresh", flush=True)
        updates = optimizer.build(
            settings,
            steps=settings.steps,
            variables=trainer.trainable_variables,
            most_skipped=settings.most_skipped_steps,
            scales_loss=settings.precision == "float16",
        )
        trainer.compile(optimizer=updates, jit_compile=settings.jit_compile)
        return trainer

    def _held_out(self) -> HeldOut | None:
        if self.validation is None:
            return None
        return HeldOut(
            self.validation,
            trainer=self.trainer,
            data=self.data,
            manifest=self.manifest,
            jit_compile=self.settings.jit_compile,
        )

    def _variables(self) -> dict[str, Any]:
        """All that a step changes, by place and name: Keras numbers the paths anew in every process."""
        kinds = {
            "model": self.trainer.variables,
            "optimizer": self.trainer.optimizer.variables,
            "interval": self.trainer.target_loss.variables,
        }
        return {
            f"{kind}/{index:05d}/{variable.name}": variable
            for kind, variables in kinds.items()
            for index, variable in enumerate(variables)
        }

    def _save(self, step: int) -> None:
        folder = storage.join(self.output, "checkpoints")
        keep = resume.Keep(self.settings.keep_checkpoints, every=self.settings.keep_interval)
        resume.save(folder, step, variables=self._variables(), settings=self.fixed, keep=keep)

    def _restore(self) -> int:
        found = resume.find(storage.join(self.output, "checkpoints"))
        checkpoint, passed = resume.restore(found, variables=self._variables(), settings=self.fixed)
        for line in passed:
            print(line, file=sys.stderr, flush=True)
        return 0 if checkpoint is None else checkpoint.step

    def _fixed_settings(self) -> dict[str, Any]:
        """What must be the same for a run to go on."""
        fixed = {name: value for name, value in dataclasses.asdict(self.settings).items() if name not in FREE}
        if isinstance(self.manifest, reference.Original):
            digest = hashlib.sha256(self.manifest.to_bytes()).hexdigest()
        else:
            digest = storage.sha256(storage.join(self.data, "manifest.json"))
        model = {f"model.{name}": value for name, value in dataclasses.asdict(self.config).items()}
        return fixed | model | {"manifest_sha256": digest}

    def _publish(self) -> dict[str, Any]:
        settings = dataclasses.asdict(self.settings)
        summary = {
            "format": "xlnet-pretraining/1",
            "steps": self.settings.steps,
            "seconds": round(time.monotonic() - self.started, 1),
            **self.last,
            **(self.held_out.unigram if self.held_out else {}),
            **({"skipped": self.skipped.count} if self.skipped.count else {}),
            "parameters": sum(math.prod(variable.shape) for variable in self.trainer.trainable_variables),
            "settings": settings,
            "model": dataclasses.asdict(self.config),
            "data": self.data,
            "validation": self.validation,
            "manifest_sha256": self.fixed["manifest_sha256"],
        }
        storage.remove_folder(storage.join(self.output, "model"))  # of a run that was stopped just here
        save_model(
            storage.join(self.output, "model"),
            self.trainer,
            config=self.config,
            vocabulary=storage.join(self.data, self.manifest.vocabulary["file"]),
            text={"lower": self.corpus.lower, "keep_accents": self.corpus.keep_accents},
            head=None,
            provenance={
                "xlnet": __version__,
                "pretraining": settings,
                "manifest_sha256": self.fixed["manifest_sha256"],
            },
        )
        storage.publish_json(storage.join(self.output, "summary.json"), summary)
        return summary


def _refuse_foreign(output: str) -> None:
    """Raises UserError when the output folder holds anything but an unfinished run."""
    if storage.exists(storage.join(output, "summary.json")):
        raise UserError(f"{output} already holds a finished run; name another --output, or remove it")
    if not storage.exists(storage.join(output, RUN)):
        storage.refuse_occupied(output)


def _passes(step: int, interval: int, every: int, last: int) -> bool:
    """Whether a multiple of `every`, or the end, lies in the interval that ends at `step`."""
    return step == last or step // every > (step - interval) // every
