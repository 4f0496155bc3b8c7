"""A pretraining run: from a data set to a model directory, with checkpoints, metrics and held-out loss.

Reference: train.py, train_gpu.py.
"""

import dataclasses
from typing import Any

import keras

from xlnet.model.config import ModelConfig
from xlnet.training import pretraining_output, run_identity
from xlnet.training.building import build_trainer
from xlnet.training.held_out import HeldOut
from xlnet.training.loop import Loop
from xlnet.training.pretraining_data import TrainingData
from xlnet.training.run_checkpoints import RunCheckpoints
from xlnet.training.run_metrics import RunMetrics
from xlnet.training.settings import PretrainingSettings
from xlnet.training.skipped import Skipped
from xlnet.training.stopping import on_termination


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
    run_identity.refuse_foreign(output)
    train = TrainingData(data, settings)
    config = dataclasses.replace(model, vocab_size=train.manifest.vocabulary["size"])
    fixed = run_identity.fixed_by(settings, config=config, data=train)
    keras.utils.set_random_seed(settings.seed)
    trainer = build_trainer(settings, config=config, corpus=train.corpus, init=init)
    held_out = None if validation is None else _held_out(validation, trainer, data=train)
    checkpoints = RunCheckpoints(output, trainer=trainer, settings=settings, fixed=fixed)
    start = checkpoints.restore()
    run_identity.claim(output, fixed)
    pieces = settings.batch_size * train.corpus.sequence_length
    metrics = RunMetrics(output, trainer=trainer, start=start, pieces_per_step=pieces)
    skipped = Skipped(output, optimizer=trainer.optimizer, batch_at=train.batch)
    loop = Loop(
        trainer,
        train,
        settings=settings,
        start=start,
        metrics=metrics,
        checkpoints=checkpoints,
        skipped=skipped,
        held_out=held_out,
    )
    with on_termination(loop.stop):
        loop.run()
        measured = {"seconds": metrics.seconds(1), "validation": validation, **metrics.newest}
        measured |= held_out.unigram if held_out else {}
        measured |= {"skipped": skipped.count} if skipped.count else {}
        return pretraining_output.publish(
            output,
            trainer,
            settings=settings,
            config=config,
            data=train,
            manifest_sha256=fixed["manifest_sha256"],
            measured=measured,
        )


def _held_out(folder: str, trainer: Any, *, data: TrainingData) -> HeldOut:
    compiled = data.settings.jit_compile
    return HeldOut(folder, trainer=trainer, data=data.folder, manifest=data.manifest, jit_compile=compiled)
