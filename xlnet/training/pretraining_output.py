"""What a finished pretraining run leaves: a model directory and, last, a summary."""

import dataclasses
import math
from typing import Any

import keras

from xlnet import __version__, storage
from xlnet.model.checkpoints import save_model
from xlnet.model.config import ModelConfig
from xlnet.training.pretrainer import Pretrainer
from xlnet.training.pretraining_data import TrainingData
from xlnet.training.settings import PretrainingSettings


def publish(
    output: str,
    trainer: Pretrainer,
    *,
    settings: PretrainingSettings,
    config: ModelConfig,
    data: TrainingData,
    manifest_sha256: str,
    init: str | None,
    measured: dict[str, Any],
) -> dict[str, Any]:
    """Write model/ and summary.json -> the summary, with what was measured in it."""
    made_by = {"settings": dataclasses.asdict(settings), "manifest_sha256": manifest_sha256, "init": init}
    summary = {
        "format": "xlnet-pretraining/1",
        "steps": settings.steps,
        "backend": keras.backend.backend(),
        **measured,
        "parameters": sum(math.prod(variable.shape) for variable in trainer.trainable_variables),
        "model": dataclasses.asdict(config),
        "data": data.folder,
        **made_by,
    }
    folder = storage.join(output, "model")
    storage.remove_folder(folder)  # of a run that was stopped just here
    save_model(
        folder,
        trainer,
        config=config,
        vocabulary=storage.join(data.folder, data.manifest.vocabulary["file"]),
        text={"lower": data.corpus.lower, "keep_accents": data.corpus.keep_accents},
        head=None,
        provenance={
            "xlnet": __version__,
            "pretraining": made_by["settings"],
            "manifest_sha256": manifest_sha256,
            "init": init,
        },
    )
    storage.publish_json(storage.join(output, "summary.json"), summary)
    return summary
