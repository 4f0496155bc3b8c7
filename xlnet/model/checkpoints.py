"""Weights on disk: model directories of this project, and checkpoints of the reference.

Weights are known by the reference's variable names.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from xlnet import storage
from xlnet.errors import UserError
from xlnet.file_names import VOCABULARY, WEIGHTS
from xlnet.json_types import is_of
from xlnet.model import tensorflow_checkpoints
from xlnet.model.config import ModelConfig
from xlnet.model.reference_names import without_task
from xlnet.model.weight_files import stored_weights

FORMAT = "xlnet-model/1"
CONFIG, REFERENCE_CONFIG = "config.json", "xlnet_config.json"
THEIRS = "it is Hugging Face's; `xlnet convert` makes a model directory of its folder"
TRAINING_STATE = "training-state.safetensors"  # what a converted checkpoint held beside weights; nothing here reads it


@dataclass(frozen=True)
class LoadReport:
    """Names of variables: loaded; wanted by the model but not in the file; in the file but not wanted."""

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]


def reference_variables(model: keras.layers.Layer) -> dict[str, keras.Variable]:
    """A model's weights under the reference's names, gathered from its layers."""
    found: dict[str, keras.Variable] = {}
    for layer in model._flatten_layers():
        if hasattr(layer, "reference_variables"):
            found.update(layer.reference_variables())
    return found


def load_config(path: str) -> ModelConfig:
    """The model's sizes, from a model directory, a reference checkpoint's prefix or folder, or a JSON file.

    Raises UserError when there is none, or when a key is unknown or missing.
    """
    path = str(path)
    candidates = [path] if path.endswith(".json") else [storage.join(path, CONFIG)]
    if not path.endswith(".json"):
        folder = path if os.path.isdir(path) or storage.is_remote(path) else os.path.dirname(path) or "."
        candidates.append(storage.join(folder, REFERENCE_CONFIG))
    for candidate in candidates:
        if storage.exists(candidate):
            content = storage.read_json(candidate)
            if not isinstance(content, dict):
                raise UserError(f"{candidate} holds no JSON object; give a model's configuration")
            return _parse(content, candidate)
    raise UserError(f"no configuration of a model at {path}: looked for {' and '.join(candidates)}")


def _parse(content: dict[str, Any], path: str) -> ModelConfig:
    try:
        if "model_type" in content:
            raise UserError(THEIRS)
        if "format" not in content:
            return ModelConfig.from_reference(content)
        if content["format"] != FORMAT:
            raise UserError(f"its format is {content['format']!r}, this version reads {FORMAT!r}")
        return ModelConfig.from_dict(content.get("model", {}))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def read_description(directory: str) -> dict[str, Any]:
    """The content of a model directory's config.json. Raises UserError when a part is missing or of another kind."""
    path = storage.join(str(directory), CONFIG)
    if not storage.exists(path):
        raise UserError(f"{path} does not exist; {_instead_of(str(directory))}")
    content = storage.read_json(path)
    if isinstance(content, dict) and "model_type" in content:
        raise UserError(f"{path}: {THEIRS}")
    _require_parts(content, {"text": dict, "vocabulary_sha256": str, "head": dict | None}, path)
    _require_parts(content["text"], {"lower": bool, "keep_accents": bool}, path)
    if content["head"] is not None:
        _require_parts(content["head"], {"task": str, "sequence_length": int}, path)  # the rest is the task's
    return content


def _instead_of(directory: str) -> str:
    """What to give instead of a folder that is no model directory."""
    inside = storage.join(directory, "model")
    if storage.exists(storage.join(inside, CONFIG)):
        return f"{directory} is a run, give the model in it, {inside}"
    if tensorflow_checkpoints.find_prefix(directory) is not None:
        return "`xlnet convert` makes a model directory of a TensorFlow checkpoint"
    return "give a model directory"


def _require_parts(content: Any, kinds: Mapping[str, Any], path: str) -> None:
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged: {content!r} stands where {', '.join(kinds)} are wanted; copy it again")
    for name, kind in kinds.items():
        if name not in content or not is_of(content[name], kind):
            found = f"is {content[name]!r}" if name in content else "is missing"
            raise UserError(f"{path} is damaged: {name} {found}; copy the model again")


def load_weights(model: keras.layers.Layer, path: str) -> LoadReport:
    """Fill a model from a model directory, or from a reference checkpoint's prefix or folder.

    Every weight of the backbone must be there, except those that the file's task had no use for (the query
    stream's embedding, a head); the report names them. Raises UserError when nothing is found, nothing fits, a
    weight of a layer is missing, or a shape differs.
    """
    path = str(path)
    with stored_weights(path) as stored:
        wanted = reference_variables(model)
        names = {without_task(name): name for name in stored.shapes}
        loaded = [name for name in wanted if name in names]
        missing = [name for name in wanted if name not in names]
        _refuse_misfits(wanted, names, stored.shapes, loaded, missing, path)
        for name in loaded:
            wanted[name].assign(stored.read(names[name]))
    unexpected = [original for name, original in names.items() if name not in wanted]
    return LoadReport(tuple(loaded), tuple(missing), tuple(sorted(unexpected)))


def _refuse_misfits(
    wanted: Mapping[str, keras.Variable],
    names: Mapping[str, str],
    shapes: Mapping[str, tuple[int, ...]],
    loaded: list[str],
    missing: list[str],
    path: str,
) -> None:
    for name in loaded:
        found, asked = tuple(shapes[names[name]]), tuple(wanted[name].shape)
        if found == asked:
            continue
        if name.endswith("lookup_table") and found[1:] == asked[1:]:
            raise UserError(
                f"the vocabulary of {path} has {found[0]} pieces, the model was asked for {asked[0]}; "
                f"use the vocabulary that the weights were trained with (vocab_size {found[0]})"
            )
        raise UserError(
            f"{name} has shape {list(found)} in {path}, the model wants {list(asked)}; "
            "use the configuration that the weights were trained with"
        )
    if not loaded:
        raise UserError(
            f"{path} holds none of the model's {len(wanted)} weights; give weights of an XLNet "
            "under the names of the reference, which `xlnet convert` gives to Hugging Face's"
        )
    for name in missing:
        if "/transformer/layer_" in name:
            raise UserError(
                f"{path} lacks {name}, which the model wants ({len(missing)} weights are missing); "
                "use the configuration that the weights were trained with"
            )


def save_model(
    directory: str,
    model: keras.layers.Layer,
    *,
    config: ModelConfig,
    vocabulary: str,
    text: dict[str, Any],
    head: dict[str, Any] | None,
    provenance: dict[str, Any],
) -> None:
    """Publish a model directory of a model: see `write_model`."""
    arrays = {name: ops.convert_to_numpy(variable) for name, variable in reference_variables(model).items()}
    write_model(
        directory,
        arrays,
        config=config,
        vocabulary=vocabulary,
        text=text,
        head=head,
        provenance=provenance,
    )


def write_model(
    directory: str,
    weights: Mapping[str, np.ndarray],
    *,
    config: ModelConfig,
    vocabulary: str,
    text: dict[str, Any],
    head: dict[str, Any] | None,
    provenance: dict[str, Any],
    training_state: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Publish a model directory whole: weights, both configurations, the vocabulary (a path).

    Raises UserError when the directory already holds something or the vocabulary is missing.
    """
    from safetensors.numpy import save_file

    pieces = storage.read_bytes(str(vocabulary))
    content = {
        "format": FORMAT,
        "model": config.to_dict(),
        "text": text,
        "vocabulary_sha256": storage.sha256(str(vocabulary)),
        "head": head,
        "provenance": provenance,
    }
    with storage.publishing(str(directory), marker=CONFIG) as folder:
        for name, arrays in {WEIGHTS: weights, TRAINING_STATE: training_state}.items():
            if arrays:
                whole = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
                save_file(whole, folder / name, metadata={"format": FORMAT})
        storage.publish(str(folder / VOCABULARY), pieces)
        storage.publish_json(str(folder / REFERENCE_CONFIG), config.to_reference())
        storage.publish_json(str(folder / CONFIG), content)
