"""A pretrained language model out of its directory."""

import dataclasses
from typing import Any

import keras

from xlnet.errors import UserError
from xlnet.model.backbone import Backbone
from xlnet.model.checkpoints import load_config, load_weights
from xlnet.model.heads import LanguageModelHead


def load_language_model(
    directory: str, *, bidirectional: bool = False, **changed: Any
) -> tuple[Backbone, LanguageModelHead]:
    """The transformer and the head of a pretrained model directory, settings of its configuration `changed`.

    Raises UserError when it holds something else.
    """
    backbone = Backbone(dataclasses.replace(load_config(directory), **changed), bidirectional=bidirectional)
    head = LanguageModelHead(backbone)
    missing = load_weights(keras.Sequential([backbone, head]), directory).missing
    if missing:
        raise UserError(f"{directory} is no language model: it lacks {', '.join(missing)}; take a pretrained one")
    return backbone, head


def trained_memory(directory: str, described: dict[str, Any]) -> int:
    """The memory_length that a model was pretrained with, by its description (`read_description`).

    Raises UserError where it does not say.
    """
    length = (described.get("provenance") or {}).get("pretraining", {}).get("memory_length")
    if not isinstance(length, int):
        raise UserError(f"{directory} does not say how long a memory it was trained with; pass --memory-length")
    return length
