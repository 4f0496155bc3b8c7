"""Fine-tuning: a pretrained trunk with a fresh head, trained on a task's examples.

Source: Yang et al. 2019, section 3 and appendix A.5; reference: run_classifier.py.
"""

import dataclasses
import math
import time
from typing import Any

import keras

from xlnet import __version__, storage
from xlnet.model import checkpoints
from xlnet.model.config import ModelConfig
from xlnet.serving.predictor import Predictor
from xlnet.training import optimizer
from xlnet.training.finetuner import Finetuner
from xlnet.training.finetuning_data import Data, batches
from xlnet.training.finetuning_settings import FinetuningSettings
from xlnet.training.finetuning_watch import Watch
from xlnet.training.starting import Start, start


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
    """Fine-tune on the examples of `train`; with `dev`, the epoch that does best there is kept.

    `init` names a model directory or a reference checkpoint; without it training starts from fresh weights of
    `model_config`, with `vocabulary` and the `text` settings (see `training.starting`). With `fresh` everything but
    the weights comes from `init`: the run to compare with, that shows what pretraining is worth.
    Output, published whole or not at all: metrics.jsonl, tensorboard/, model/ (a model directory with a head) and
    summary.json, whose content is returned. Raises UserError for what does not fit together.
    """
    began = time.monotonic()
    storage.refuse_occupied(output)
    data = Data.read(train, dev, settings=settings)
    source = start(init, model_config=model_config, vocabulary=vocabulary, text=text)
    source = dataclasses.replace(source, weights=None) if fresh else source
    keras.utils.set_random_seed(settings.seed)
    predictor, fresh_weights = make(source, data, settings=settings)
    provenance = {
        "stage": "finetuning",
        "init": init,
        "fresh_weights": fresh_weights,
        "settings": dataclasses.asdict(settings),
        "data": data.described(),
        "xlnet_version": __version__,
    }
    with storage.publishing(output, marker="summary.json") as folder:
        watch = Watch(predictor, data.dev, folder=str(folder), shown=progress)
        fit(predictor, data, settings=settings, watch=watch)
        _save(str(folder / "model"), predictor, source=source, provenance=provenance)
        summary = {
            "format": "xlnet-finetuning/1",
            "task": data.task.kind,
            **watch.summary(),
            "seconds": round(time.monotonic() - began, 1),
            "classes": data.task.head.get("classes"),
            "parameters": int(predictor.model.count_params()),
            "vocabulary_sha256": source.tokenizer.sha256,
            **provenance,
        }
        storage.publish_json(str(folder / "summary.json"), summary)
    return summary


def _save(directory: str, predictor: Predictor, *, source: Start, provenance: dict[str, Any]) -> None:
    checkpoints.save_model(
        directory,
        predictor.model,
        config=predictor.model.config,
        vocabulary=source.vocabulary,
        text=source.text,
        head=predictor.head,
        provenance=provenance,
    )


def make(source: Start, data: Data, *, settings: FinetuningSettings) -> tuple[Predictor, list[str]]:
    """The model to train, and the names of its weights that start fresh."""
    config = source.config
    if settings.dropout is not None:
        config = dataclasses.replace(config, dropout=settings.dropout, attention_dropout=settings.dropout)
    model = data.task.model(config)
    model.backbone.mask_embedding.trainable = False  # nothing is masked here: it has no gradient
    fresh = sorted(checkpoints.reference_variables(model))
    if source.weights is not None:
        fresh = sorted(checkpoints.load_weights(model, source.weights).missing)
    return Predictor(model=model, tokenizer=source.tokenizer, task=data.task), fresh


def fit(predictor: Predictor, data: Data, *, settings: FinetuningSettings, watch: Watch) -> None:
    """Train the model in place; it ends with the weights of its best epoch."""
    features = predictor.features(data.train)
    size = min(settings.batch_size, len(features))
    epoch = len(features) // size  # steps; an epoch's odd rows go into the next one's first batch
    steps = settings.steps or settings.epochs * epoch
    model = predictor.model
    trainer = Finetuner(predictor.task, model)
    updates = optimizer.build(settings.optimizer(steps), steps=steps, variables=trainer.trainable_variables)
    trainer.compile(optimizer=updates, jit_compile=settings.jit_compile)
    model.compile(jit_compile=settings.jit_compile)  # it answers as it is trained
    watch.expect(steps, batch_size=size)
    trainer.fit(
        batches(features, size=size, seed=settings.seed),
        steps_per_epoch=min(epoch, steps),
        epochs=math.ceil(steps / epoch),
        callbacks=[watch],
        shuffle=False,
        verbose=0,
    )
