"""A pretraining run: from a data set to a model directory, with checkpoints, metrics and held-out loss.

Reference: train.py, train_gpu.py.
"""

import contextlib
import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

from xlnet import frameworks, storage
from xlnet.model import flops
from xlnet.model.config import ModelConfig
from xlnet.training import hardware, objectives, pretraining_output, run_identity
from xlnet.training.building import build_trainer
from xlnet.training.clock import Clock
from xlnet.training.devices import Devices, take
from xlnet.training.held_out import HeldOut
from xlnet.training.loop import Loop
from xlnet.training.pretrainer import Pretrainer
from xlnet.training.pretraining_data import TrainingData
from xlnet.training.resume import Keep
from xlnet.training.run_checkpoints import RunCheckpoints
from xlnet.training.run_metrics import RunMetrics, Work
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
    content is returned. `init` names a model directory or a reference checkpoint to begin from. Of many hosts,
    only the first one writes; the others return {}.
    Raises UserError for what does not fit together, StoppedError when SIGTERM has asked to save and leave.
    """
    chosen = take(settings.devices)
    with chosen.scope(), contextlib.ExitStack() as held:
        chosen.by_chief(lambda: held.enter_context(storage.locked(output)))
        return _pretrain(
            data=data, output=output, settings=settings, model=model, validation=validation, init=init, devices=chosen
        )


def _pretrain(
    *,
    data: str,
    output: str,
    settings: PretrainingSettings,
    model: ModelConfig,
    validation: str | None,
    init: str | None,
    devices: Devices,
) -> dict[str, Any]:
    clock = Clock()
    devices.by_chief(lambda: run_identity.refuse_foreign(output))
    train = TrainingData(data, settings, devices=devices)
    config = objectives.fit(model, objective=settings.objective, memory_length=settings.memory_length)
    config = dataclasses.replace(config, vocab_size=train.manifest.vocabulary["size"])
    fixed = run_identity.fixed_by(settings, config=config, data=train, init=init)
    trainer = build_trainer(settings, config=config, corpus=train.corpus, devices=devices, init=init)
    held_out = None
    if validation is not None:
        held_out = HeldOut(
            validation, trainer=trainer, manifest=train.manifest, devices=devices, jit_compile=settings.jit_compile
        )
    keep = Keep(settings.keep_checkpoints, every=settings.keep_interval)
    checkpoints = RunCheckpoints(output, trainer=trainer, keep=keep, fixed=fixed, devices=devices)
    start = checkpoints.restore()
    devices.by_chief(lambda: run_identity.claim(output, fixed))
    work, writes = _work(trainer, settings), devices.is_chief
    metrics = RunMetrics(
        output, trainer=trainer, start=start, work=work, clock=clock, peak=_peak(settings), writes=writes
    )
    skipped = Skipped(output, optimizer=trainer.optimizer, batch_at=train.batch, steps=settings.steps, writes=writes)
    loop = Loop(
        trainer,
        train,
        settings=settings,
        start=start,
        metrics=metrics,
        checkpoints=checkpoints,
        skipped=skipped,
        held_out=held_out,
        devices=devices,
    )
    summary: dict[str, Any] = {}
    with on_termination(loop.stop):
        loop.run()
        metrics.log.flush()
        metrics.require_finite()
        measured = {"validation": validation, **metrics.newest, **clock.seconds()}
        measured |= held_out.unigram if held_out else {}
        measured |= {"skipped": skipped.count} if skipped.count else {}
        publish = partial(
            pretraining_output.publish,
            output,
            trainer,
            settings=settings,
            config=config,
            data=train,
            manifest_sha256=fixed["manifest_sha256"],
            init=init,
            measured=measured,
        )
        devices.by_chief(lambda: summary.update(publish()))
    return summary


def _work(trainer: Pretrainer, settings: PretrainingSettings) -> Work:
    rows, objective = settings.batch_size, trainer.objective
    operations = flops.of_step(
        trainer.backbone.config,
        rows=rows,
        length=objective.length,
        memory=settings.memory_length,
        predictions=objective.queries,
        boundary=objective.boundary,
    )
    return Work(pieces=rows * objective.length, operations=operations)


def _peak(settings: PretrainingSettings) -> Callable[[], float] | None:
    """Where nobody said it, it is measured on a CPU, in runs that are long enough to be compiled."""
    if settings.peak_teraflops:
        return lambda: settings.peak_teraflops * 1e12
    return hardware.float32_peak if settings.jit_compile and frameworks.is_on_cpu() else None
