"""Our side of the fine-tuning step: the trainer of `xlnet finetune`, on either backend."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.finetuning import CLASSES, CLIP, EPSILON, RATE, Sizes, example


def imports() -> None:
    from xlnet import frameworks

    frameworks.load()  # as all commands do

    import xlnet.model.heads  # noqa: F401


def runs(options: Any) -> dict[str, Callable[[], Any]]:
    """`options`: sizes, folder (where weights and logits go; "": nowhere), settings (more of fine-tuning's)."""
    from keras import ops

    from xlnet.model.checkpoints import reference_variables
    from xlnet.model.config import ModelConfig
    from xlnet.tasks.classification import Classification
    from xlnet.tasks.predictor import Predictor
    from xlnet.training.finetuner_building import build_finetuner, choose_trained
    from xlnet.training.finetuning_settings import FinetuningSettings

    sizes = Sizes(**options.sizes)
    shared = {field.name for field in dataclasses.fields(ModelConfig)} & set(dataclasses.asdict(sizes))
    config = ModelConfig(**{name: getattr(sizes, name) for name in shared}, attention_dropout=sizes.dropout)
    settings = FinetuningSettings(learning_rate=RATE, epsilon=EPSILON, clip_norm=CLIP, **options.settings)
    task = Classification(
        {
            "task": "classification",
            "classes": [str(number) for number in range(CLASSES)],
            "summary": "last",
            "projection": True,
            "sequence_length": sizes.length,
            "columns": {"text": "text", "pair": None, "label": "label", "header": None},
        }
    )
    policy = settings.precision if settings.precision == "float32" else f"mixed_{settings.precision}"
    model = task.model(config, seed=0, dtype=policy)
    model.backbone.remat = settings.remat
    if options.folder:
        given_away(reference_variables(model), Path(options.folder))
    choose_trained(model.backbone, settings)
    trainer = build_finetuner(Predictor(model, None, task), settings=settings, steps=10_000)  # type: ignore[arg-type]
    batch = example(sizes)

    def step() -> float:
        return float(trainer.train_on_batch(batch, return_dict=True)["target_loss"])

    def logits() -> float:
        np.save(Path(options.folder) / "ours.npy", ops.convert_to_numpy(model(batch, training=False)))
        return 0.0

    return {"step": step, "logits": logits}


def given_away(named: dict[str, Any], folder: Path) -> None:
    """Weights that are not the initial ones (an error in a bias of zero would not show), left for the peer."""
    random = np.random.default_rng(1)
    for name, weight in named.items():
        if "gamma" not in name:
            weight.assign(random.standard_normal(weight.shape) * 0.05)
    np.savez(folder / "weights.npz", **{name: np.asarray(weight) for name, weight in named.items()})
