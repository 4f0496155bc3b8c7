"""A pretraining run: from a data set to a model directory, with checkpoints, metrics and held-out loss.

Reference: train.py, train_gpu.py.
"""

import dataclasses
import hashlib
import io
import time
from typing import Any

import keras
import numpy as np
from keras import ops

from xlnet import __version__, storage
from xlnet.corpus import reference
from xlnet.errors import UserError
from xlnet.model.backbone import Backbone
from xlnet.model.checkpoints import load_weights, save_model
from xlnet.model.config import ModelConfig
from xlnet.model.heads import LanguageModelHead
from xlnet.progress import Progress
from xlnet.training import optimizer, resume
from xlnet.training.data import check_rows, check_shards, naming_damage, training_batches, validation_batches
from xlnet.training.metrics_log import MetricsLog
from xlnet.training.pretrainer import Pretrainer, build, unigram_losses
from xlnet.training.settings import PretrainingSettings

RUN = "run.json"  # marks a folder as a run that may go on
SHAPE = ("sequence_length", "reuse_length", "predictions", "bidirectional", "lower", "keep_accents")  # of held-out data


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
    Raises UserError for what does not fit together.
    """
    return _Run(data, output, settings, model, validation, init).finish()


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
        self.config = dataclasses.replace(model, vocab_size=self.manifest.vocabulary["size"])
        self.fixed = self._fixed_settings()
        keras.utils.set_random_seed(settings.seed)
        self.trainer = self._trainer(init)
        self.validator, self.validation_data, self.unigram_loss = self._validator()
        self.started = time.monotonic()
        self.start = self._restore()
        storage.publish_json(storage.join(output, RUN), self.fixed)  # from here on the folder is this run's
        self.log = MetricsLog(output, resume_at=self.start or None)
        self.progress = Progress(settings.steps, unit="steps", name="pretraining")
        self.last: dict[str, float] = {}

    def finish(self) -> dict[str, Any]:
        """Train to the end, write the model and the summary."""
        settings = self.settings
        step = self.start
        self.progress.update(step)
        while step < settings.steps:
            interval = min(settings.log_interval, settings.steps - step)
            epochs = (settings.steps - step) // interval
            self._fit(step, step + epochs * interval, interval=interval, epochs=epochs)
            step += epochs * interval
        if self.start == settings.steps or "validation_loss" not in self.last:
            self._validate(settings.steps)
        return self._publish()

    def _fit(self, first: int, last: int, *, interval: int, epochs: int) -> None:
        batches = training_batches(
            self.data,
            self.manifest,
            batch_size=self.settings.batch_size,
            steps=last,
            seed=self.settings.seed,
            start=first,
            orders=self.settings.orders,
        )
        at_end = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: self._begin(),
            on_epoch_end=lambda epoch, logs: self._at_interval(first + (epoch + 1) * interval, interval, logs),
        )
        with naming_damage(self.data, self.manifest):
            self.trainer.fit(
                batches, epochs=epochs, steps_per_epoch=interval, callbacks=[at_end], verbose=0, shuffle=False
            )

    def _begin(self) -> None:
        self.begun = time.monotonic()

    def _at_interval(self, step: int, interval: int, logs: dict[str, float]) -> None:
        seconds = time.monotonic() - self.begun
        if keras.backend.backend() == "jax":
            self.trainer.jax_state_sync()
        pieces = interval * self.settings.batch_size * self.corpus.sequence_length
        self.last |= {
            "loss": float(logs["target_loss"]),
            "learning_rate": float(ops.convert_to_numpy(self.trainer.optimizer.learning_rate)),
            "gradient_norm": float(ops.convert_to_numpy(self.trainer.optimizer.gradient_norm)),
            "pieces_per_second": round(pieces / seconds, 1),
        }
        names = ("loss", "learning_rate", "gradient_norm", "pieces_per_second")
        spent = round(time.monotonic() - self.started, 3)
        self.log.write(step, {name: self.last[name] for name in names} | {"seconds": spent})
        if not np.isfinite(self.last["loss"]):
            raise UserError(f"the loss is {self.last['loss']} at step {step}; lower learning_rate or clip_norm")
        if _passes(step, interval, self.settings.validation_interval, self.settings.steps):
            self._validate(step)
        if _passes(step, interval, self.settings.checkpoint_interval, self.settings.steps):
            self._save(step)
        note = "  ".join(f"{name} {self.last[name]:.3f}" for name in ("loss", "validation_loss") if name in self.last)
        self.progress.update(step, rate=f"{self.last['pieces_per_second']:,.0f} pieces/s", note=note)

    def _validate(self, step: int) -> None:
        if self.validator is None:
            return
        self.validator.empty_memories()
        result = self.validator.evaluate(self.validation_data, verbose=0, return_dict=True)
        self.last["validation_loss"] = float(result["target_loss"])
        self.log.write(step, {"validation_loss": self.last["validation_loss"]})

    def _trainer(self, init: str | None) -> Pretrainer:
        backbone = Backbone(self.config, bidirectional=self.corpus.bidirectional)
        head = LanguageModelHead(backbone)
        trainer = Pretrainer(
            backbone,
            head,
            corpus=self.corpus,
            rows=self.settings.batch_size,
            memory_length=self.settings.memory_length,
        )
        build(trainer, rows=self.settings.batch_size)
        if init is not None:
            fresh = load_weights(trainer, init).missing
            if fresh:
                print(f"{init} has no {', '.join(fresh)}: begun afresh", flush=True)
        trainer.compile(
            optimizer=optimizer.build(self.settings, steps=self.settings.steps, variables=trainer.trainable_variables),
            jit_compile=True,
        )
        return trainer

    def _validator(self) -> tuple[Pretrainer | None, Any, dict[str, float]]:
        if self.validation is None:
            return None, None, {}
        manifest = reference.open_data(self.validation)
        check_shards(self.validation, manifest)
        manifest.require_vocabulary(self.manifest.vocabulary["sha256"])
        manifest.require(**{name: getattr(self.corpus, name) for name in SHAPE})
        batches, rows = validation_batches(self.validation, manifest)
        piece_counts = self._piece_counts()
        with naming_damage(self.validation, manifest):  # every record is read here
            unigram = unigram_losses(batches, piece_counts)
        if isinstance(self.manifest, reference.Original):
            del unigram["unigram_loss"]
        validator = Pretrainer(
            self.trainer.backbone,
            self.trainer.head,
            corpus=self.corpus,
            rows=rows,
            memory_length=self.settings.memory_length,
            name="validator",
        )
        build(validator, rows=rows)
        validator.compile(jit_compile=True)
        return validator, batches, unigram

    def _piece_counts(self) -> np.ndarray:
        if isinstance(self.manifest, reference.Original):  # nobody has counted them
            return np.zeros(self.config.vocab_size, np.int64)
        path = storage.join(self.data, self.manifest.piece_counts)
        try:
            counts = np.load(io.BytesIO(storage.read_bytes(path)))
        except (ValueError, EOFError) as error:
            raise UserError(f"{path} is damaged ({error}); preprocess again") from None
        if counts.shape != (self.config.vocab_size,):
            raise UserError(f"{path} counts {counts.shape} pieces, the vocabulary has {self.config.vocab_size}")
        return counts

    def _variables(self) -> dict[str, Any]:
        """All that a step changes, by place and name: Keras numbers the paths anew in every process."""
        kinds = {"model": self.trainer.variables, "optimizer": self.trainer.optimizer.variables}
        return {
            f"{kind}/{index:05d}/{variable.name}": variable
            for kind, variables in kinds.items()
            for index, variable in enumerate(variables)
        }

    def _save(self, step: int) -> None:
        folder = storage.join(self.output, "checkpoints")
        keep = self.settings.keep_checkpoints
        resume.save(folder, step, variables=self._variables(), settings=self.fixed, keep=keep)

    def _restore(self) -> int:
        found = resume.find(storage.join(self.output, "checkpoints"))
        checkpoint, passed = resume.restore(found, variables=self._variables(), settings=self.fixed)
        for line in passed:
            print(line, flush=True)
        return 0 if checkpoint is None else checkpoint.step

    def _fixed_settings(self) -> dict[str, Any]:
        """What must be the same for a run to go on; intervals may change."""
        free = {"log_interval", "validation_interval", "checkpoint_interval", "keep_checkpoints"}
        fixed = {name: value for name, value in dataclasses.asdict(self.settings).items() if name not in free}
        if isinstance(self.manifest, reference.Original):
            digest = hashlib.sha256(self.manifest.to_bytes()).hexdigest()
        else:
            digest = storage.sha256(storage.join(self.data, "manifest.json"))
        return fixed | {"model": dataclasses.asdict(self.config), "manifest_sha256": digest}

    def _publish(self) -> dict[str, Any]:
        settings = dataclasses.asdict(self.settings)
        summary = {
            "format": "xlnet-pretraining/1",
            "steps": self.settings.steps,
            "seconds": round(time.monotonic() - self.started, 1),
            **self.last,
            **self.unigram_loss,
            "parameters": int(self.trainer.count_params()),
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
