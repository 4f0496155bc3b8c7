"""Fine-tuning: a pretrained trunk with a fresh head, trained on a task's examples.

Source: Yang et al. 2019, section 3 and appendix A.5; reference: run_classifier.py.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from xlnet import __version__, storage
from xlnet.errors import require
from xlnet.model import checkpoints
from xlnet.model.config import ModelConfig
from xlnet.tasks.predictor import Predictor
from xlnet.training import run_identity
from xlnet.training.best_weights import FOLDER, BestWeights, metrics_of
from xlnet.training.finetuner_building import build_finetuner, build_predictor
from xlnet.training.finetuning_data import Data, TrainingRows
from xlnet.training.finetuning_settings import FREE, FinetuningSettings
from xlnet.training.finetuning_watch import Watch
from xlnet.training.metrics_log import SPENT, MetricsLog
from xlnet.training.resume import Keep
from xlnet.training.run_checkpoints import RunCheckpoints
from xlnet.training.skipped import Skipped
from xlnet.training.starting import Start, start
from xlnet.training.stopping import on_termination

Line = dict[str, Any]


@run_identity.alone
def finetune(
    *,
    train: str,
    output: str,
    settings: FinetuningSettings,
    dev: str | None = None,
    init: str | None = None,
    model_config: ModelConfig | None = None,
    vocabulary: str | None = None,
    text: dict[str, bool] | None = None,
    fresh: bool = False,
    progress: bool = True,
) -> dict[str, Any]:
    """Fine-tune on the examples of `train`; with `dev`, the weights that do best there are kept.

    `init` names a model directory or a reference checkpoint; without it training starts from fresh weights of
    `model_config`, with `vocabulary` and the `text` settings (see `training.starting`). With `fresh` everything but
    the weights comes from `init`: the run to compare with, that shows what pretraining is worth.
    Writes metrics.jsonl, tensorboard/, model/ (a model directory with a head) and, last, summary.json, whose content
    is returned; a run that ended before that goes on from its newest checkpoint. Raises UserError for what does not
    fit together, StoppedError when SIGTERM has asked to save and leave.
    """
    run_identity.refuse_foreign(output)
    needs_dev = settings.patience or settings.averaged > 1 or settings.evaluation_interval
    require(bool(dev or not needs_dev), "dev", dev, "examples to measure on, for patience, averaged or an interval")
    data = Data.read(train, dev, settings=settings)
    source = start(init, model_config=model_config, vocabulary=vocabulary, text=text)
    source = dataclasses.replace(source, weights=None) if fresh else source
    predictor, fresh_weights = build_predictor(data.task, source, settings=settings)
    rows = TrainingRows(data.task, predictor.features(data.train), settings=settings)
    trainer = build_finetuner(predictor, settings=settings, steps=rows.steps)
    described = data.described()
    provenance = {
        "stage": "finetuning",
        "init": init,
        "fresh": fresh,
        "fresh_weights": fresh_weights,
        "settings": dataclasses.asdict(settings),
        "data": described,
        "xlnet_version": __version__,
    }
    sha256 = {name: part["sha256"] for name, part in described.items()}
    fixed = fixed_by(settings, source, sha256=sha256, init=init, fresh=fresh)
    kept = RunCheckpoints(output, trainer=trainer, keep=Keep(settings.keep_checkpoints), fixed=fixed)
    begin = kept.restore()
    run_identity.claim(output, fixed)
    log = MetricsLog(output, resume_at=begin)
    best = _best(output, predictor, data, log=log, settings=settings)
    watch = Watch(
        trainer,
        rows,
        settings=settings,
        start=begin,
        log=log,
        checkpoints=kept,
        skipped=Skipped(output, optimizer=trainer.optimizer, batch_at=rows.batch, steps=rows.steps),
        best=best,
        shown=progress,
    )
    with on_termination(watch.stop):
        watch.train()
        log.flush()
        measured = watch.summary()
        if best is not None:
            taken = best.take()
            predictor.task.settle(metrics_of(taken))
            measured |= {f"best_{name}" if name in ("epoch", "step") else name: value for name, value in taken.items()}
        return _publish(output, predictor, source=source, provenance=provenance, measured=measured, rows=rows)


def _best(
    output: str, predictor: Predictor, data: Data, *, log: MetricsLog, settings: FinetuningSettings
) -> BestWeights | None:
    if data.dev is None:
        return None
    return BestWeights(
        output, predictor, data.dev, count=settings.averaged, batch_size=settings.batch_size, lines=log.lines
    )


def fixed_by(
    settings: FinetuningSettings, source: Start, *, sha256: Mapping[str, str], init: str | None, fresh: bool
) -> dict[str, Any]:
    """What must be the same for a run to go on; `sha256` is that of the examples by name: train and, if any, dev."""
    fixed = {name: value for name, value in dataclasses.asdict(settings).items() if name not in FREE}
    fixed |= {f"model.{name}": value for name, value in dataclasses.asdict(source.config).items()}
    fixed |= {f"{name}_sha256": digest for name, digest in sha256.items()}
    return fixed | {"init": init, "fresh": fresh, "vocabulary_sha256": source.tokenizer.sha256}


def _publish(
    output: str,
    predictor: Predictor,
    *,
    source: Start,
    provenance: dict[str, Any],
    measured: dict[str, Any],
    rows: TrainingRows,
) -> dict[str, Any]:
    """Write the model and the summary; then what is only there to go on from may go."""
    model, task = predictor.model, predictor.task
    trained = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    for block in model.backbone.blocks:
        block.merge_lora()
    folder = storage.join(output, "model")
    storage.remove_folder(folder)  # of a run that was stopped just here
    checkpoints.save_model(
        folder,
        model,
        config=model.config,
        vocabulary=source.vocabulary,
        text=source.text,
        head=task.head,
        provenance=provenance,
    )
    summary = {
        "format": "xlnet-finetuning/1",
        "task": task.kind,
        **measured,
        "best_metric": task.best,
        "classes": task.head.get("classes"),
        "lengths": rows.plan.buckets,
        "cut_examples": rows.cut,
        "parameters": sum(math.prod(value.shape) for value in checkpoints.reference_variables(model).values()),
        "trained_parameters": trained,
        "model": model.config.to_dict(),
        "vocabulary_sha256": source.tokenizer.sha256,
        **provenance,
    }
    storage.publish_json(storage.join(output, "summary.json"), summary)
    for name in ("checkpoints", FOLDER):
        storage.remove_folder(storage.join(output, name))
    storage.remove(storage.join(output, SPENT))
    return summary
