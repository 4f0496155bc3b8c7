"""The trainer of a fine-tuning run: the task's model, what of it is trained, the optimizer, the compiled step."""

import dataclasses
from typing import Any

from xlnet.errors import require
from xlnet.model import checkpoints
from xlnet.model.backbone import Backbone
from xlnet.tasks.predictor import Predictor
from xlnet.tasks.task import Task
from xlnet.training import optimizer, seeds
from xlnet.training.finetuner import Finetuner
from xlnet.training.finetuning_settings import FinetuningSettings
from xlnet.training.starting import Start


def build_predictor(task: Task, source: Start, *, settings: FinetuningSettings) -> tuple[Predictor, list[str]]:
    """The model to train, and the names of its weights that start fresh."""
    config = source.config
    if settings.dropout is not None:
        config = dataclasses.replace(config, dropout=settings.dropout, attention_dropout=settings.dropout)
    policy = settings.precision if settings.precision == "float32" else f"mixed_{settings.precision}"
    model = task.model(config, seed=seeds.of_weights(settings.seed), dtype=policy)
    model.backbone.remat = settings.remat
    fresh = sorted(checkpoints.reference_variables(model))
    if source.weights is not None:
        fresh = sorted(checkpoints.load_weights(model, source.weights).missing)
    choose_trained(model.backbone, settings)
    return Predictor(model=model, tokenizer=source.tokenizer, task=task), fresh


def choose_trained(backbone: Backbone, settings: FinetuningSettings) -> None:
    """Freeze what is not trained. What all layers hold in one array (biases, segments) stays where any layer does."""
    layers, frozen = backbone.config.layers, settings.frozen_layers
    require(frozen <= layers, "frozen_layers", frozen, f"at most the {layers} layers of the model")
    backbone.mask_embedding.trainable = False  # nothing is masked here: it has no gradient
    if frozen or settings.lora_rank:
        own = {id(weight) for block in backbone.blocks for weight in block.variables}
        for weight in backbone.trainable_variables:
            weight.trainable = id(weight) in own
    for block in backbone.blocks[:frozen]:
        for weight in block.trainable_variables:
            weight.trainable = False
    if settings.lora_rank:
        for block in backbone.blocks:
            block.enable_lora(settings.lora_rank, alpha=settings.lora_alpha, kernels=settings.lora_kernels.split(","))


def build_finetuner(predictor: Predictor, *, settings: FinetuningSettings, steps: int) -> Finetuner:
    """A trainer of the predictor's model that is ready for `fit`."""
    trainer = Finetuner(predictor.task, predictor.model, parts=settings.accumulation_steps)
    updates: Any = optimizer.build(
        settings.optimizer(steps),
        steps=steps,
        variables=trainer.trainable_variables,
        most_skipped=settings.most_skipped_steps,
        scales_loss=settings.precision == "float16",
    )
    trainer.compile(optimizer=updates, jit_compile=settings.jit_compile)
    predictor.model.compile(jit_compile=settings.jit_compile)  # it answers as it is trained
    return trainer
