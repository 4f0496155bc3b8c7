"""What is converted: a model directory, a checkpoint of the reference, or a Hugging Face folder, read whole."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xlnet import storage
from xlnet.errors import UserError
from xlnet.file_names import VOCABULARY, WEIGHTS
from xlnet.model import checkpoints, hugging_face, hugging_face_folders, reference_names, tensorflow_checkpoints
from xlnet.model.config import ModelConfig
from xlnet.model.weight_files import stored_safetensors
from xlnet.tasks import registry

OURS, TENSORFLOW, HUGGING_FACE = KINDS = ("xlnet", "tensorflow", "hugging-face")


@dataclass(frozen=True)
class Assumptions:
    """What an input may leave unsaid, and is then taken from here."""

    vocabulary: str | None = None  # None: the spiece.model beside the weights
    lower: bool = False
    keep_accents: bool = False
    attention: str | None = None  # None: as the configuration says
    classes: tuple[str, ...] | None = None  # None: 0, 1, ...
    summary: str = "last"
    sequence_length: int = 128


@dataclass(frozen=True)
class Input:
    """A model as any of the three formats holds it: weights and training state under the reference's names.

    `vocabulary` is a path, or None where there is none; `notes` say what a reader should know.
    """

    kind: str
    path: str
    config: ModelConfig
    weights: Mapping[str, np.ndarray]
    training_state: Mapping[str, np.ndarray]
    vocabulary: str | None
    vocabulary_sha256: str | None  # of what it was trained with, where the model says so
    text: dict[str, bool]
    head: dict[str, Any] | None
    provenance: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()


def read(path: str, assumed: Assumptions) -> Input:
    """Read a model of whichever kind lies at `path`. Raises UserError when it is none, or not whole."""
    kind = recognise(path)
    readers = {OURS: _read_directory, TENSORFLOW: _read_checkpoint, HUGGING_FACE: _read_folder}
    found = readers[kind](path, assumed)
    reference_names.check(found.weights, found.config, where=found.path)
    if found.head is not None:
        registry.from_head(found.head, where=storage.join(found.path, checkpoints.CONFIG))
    _refuse_unused(assumed, found)
    return found


def _refuse_unused(assumed: Assumptions, found: Input) -> None:
    """Raises UserError for what is assumed and the input says itself, or has no use for."""
    is_silent = found.kind == TENSORFLOW
    has_classes = is_silent and bool(found.head and found.head.get("classes"))
    for name in ("lower", "keep_accents", "attention", "classes"):
        if getattr(assumed, name) and not (has_classes if name == "classes" else is_silent):
            flag, kind = f"--{name.replace('_', '-')}", "classifier" if name == "classes" else "checkpoint"
            raise UserError(f"{flag} is for a TensorFlow {kind}, which {found.path} is not; leave it out")


def recognise(path: str) -> str:
    """Which of KINDS lies at a path. Raises UserError when it is none of them."""
    described = storage.join(path, checkpoints.CONFIG)
    if storage.exists(described):
        content = storage.read_json(described)
        if isinstance(content, dict) and "model_type" in content:
            return HUGGING_FACE
        if isinstance(content, dict) and "format" in content:
            return OURS
    if tensorflow_checkpoints.find_prefix(path) is not None:
        return TENSORFLOW
    if storage.exists(storage.join(path, "model", checkpoints.CONFIG)):
        raise UserError(f"{path} is a run; give the model in it, {storage.join(path, 'model')}")
    raise UserError(
        f"{path} is no model: neither a model directory, nor the prefix or folder of a TensorFlow checkpoint, "
        "nor a Hugging Face folder with its config.json; name one of them"
    )


def _read_directory(path: str, assumed: Assumptions) -> Input:
    content = checkpoints.read_description(path)
    config = checkpoints.load_config(path)
    state_file = storage.join(path, checkpoints.TRAINING_STATE)
    return Input(
        kind=OURS,
        path=path,
        config=config,
        weights=_arrays(storage.join(path, WEIGHTS)),
        training_state=_arrays(state_file) if storage.exists(state_file) else {},
        vocabulary=_vocabulary(path, assumed),
        vocabulary_sha256=content["vocabulary_sha256"],
        text=content["text"],
        head=content["head"],
        provenance=content.get("provenance"),
    )


def _read_checkpoint(path: str, assumed: Assumptions) -> Input:
    prefix = tensorflow_checkpoints.find_prefix(path)
    assert prefix is not None
    folder = prefix.rpartition("/")[0] or "."
    config = checkpoints.load_config(folder)
    config = replace(config, attention=assumed.attention or config.attention)
    with tensorflow_checkpoints.stored_variables(prefix) as stored:
        arrays = stored.arrays()
    state = {name for name in arrays if tensorflow_checkpoints.is_training_state(name)}
    weights = {name: array for name, array in arrays.items() if name not in state}
    return Input(
        kind=TENSORFLOW,
        path=prefix,
        config=config,
        weights=weights,
        training_state={name: arrays[name] for name in sorted(state)},
        vocabulary=_vocabulary(folder, assumed),
        vocabulary_sha256=None,
        text={"lower": assumed.lower, "keep_accents": assumed.keep_accents},
        head=_assumed_head(weights, assumed, path=prefix),
    )


def _assumed_head(weights: Mapping[str, np.ndarray], assumed: Assumptions, *, path: str) -> dict[str, Any] | None:
    kind = reference_names.head_of(weights)
    if kind is None or kind not in DEFAULTS:
        return None
    by_attention = f"{reference_names.SUMMARY}summary_bias" in weights
    head: dict[str, Any] = {"task": kind, "sequence_length": assumed.sequence_length, **DEFAULTS[kind]}
    if kind in ("classification", "token-classification"):
        head["classes"] = _classes(_kernel(weights, kind).shape[-1], assumed, path=path)
    if kind not in ("token-classification", "question-answering"):
        head["summary"] = "attn" if by_attention else assumed.summary
        head["projection"] = f"{reference_names.SUMMARY}summary/kernel" in weights
    return head


def _kernel(weights: Mapping[str, np.ndarray], kind: str) -> np.ndarray:
    return next(array for name, array in weights.items() if re.fullmatch(reference_names.HEADS[kind], name))


COLUMNS = {"text": "text", "pair": None, "label": "label", "header": None}
DEFAULTS: dict[str, dict[str, Any]] = {  # kinds of heads that answer here -> what no other file says of them
    "classification": {"columns": COLUMNS},
    "regression": {"columns": COLUMNS, "classes": None},
    "multiple-choice": {"option_length": 128},  # as in run_race.py
    "token-classification": {"columns": {"word": "0", "label": "-1"}},
    "question-answering": {  # as in run_squad.py
        "data_set": "squad2",
        "stride": 128,
        "question_length": 64,
        "answer_length": 64,
        "best_answers": 5,
        "start_top": 5,
        "end_top": 5,
        "null_threshold": 0.0,
    },
}


def _classes(count: int, assumed: Assumptions, *, path: str) -> list[str]:
    names = [str(number) for number in range(count)] if assumed.classes is None else list(assumed.classes)
    if len(names) != count:
        raise UserError(f"{path} has {count} classes, --classes names {len(names)}; name each of them")
    return names


def _read_folder(path: str, assumed: Assumptions) -> Input:
    where = storage.join(path, checkpoints.CONFIG)
    content = storage.read_json(where)
    tokenizer_file = storage.join(path, hugging_face_folders.TOKENIZER_CONFIG)
    tokenizer = storage.read_json(tokenizer_file) if storage.exists(tokenizer_file) else {}
    if not isinstance(tokenizer, dict):
        raise UserError(f"{tokenizer_file} holds a {type(tokenizer).__name__}, wanted is an object; copy it again")
    weights_file = storage.join(path, WEIGHTS)
    if not storage.exists(weights_file):
        raise UserError(
            f"{path} has no {WEIGHTS}; save the model in one safetensors file (save_pretrained of transformers does)"
        )
    arrays = _arrays(weights_file)
    config = hugging_face_folders.read_config(content, tied=hugging_face.are_tied(arrays), where=where)
    kind = hugging_face_folders.head_kind(content, where=where)
    weights = hugging_face.from_hugging_face(arrays, config, head=kind, where=weights_file)
    if reference_names.head_of(weights) != kind:
        raise UserError(f"{weights_file} lacks the head of {kind} that {where} names; copy both again")
    return Input(
        kind=HUGGING_FACE,
        path=path,
        config=config,
        weights=weights,
        training_state={},
        vocabulary=_vocabulary(path, assumed),
        vocabulary_sha256=None,
        text=hugging_face_folders.read_text(tokenizer, where=tokenizer_file),
        head=_head(content, tokenizer, assumed, kind=kind, weights=weights, where=where),
        notes=(
            *([EXACT_GELU] if config.activation == "gelu_exact" else []),
            *hugging_face_folders.notes(content, tokenizer),
        ),
    )


EXACT_GELU = (
    "its ff_activation is 'gelu', exact, and stays so (gelu_exact); weights of the reference were trained with "
    "the gelu by tanh, and are nearer to it with activation gelu"
)


def _head(
    content: Mapping[str, Any],
    tokenizer: Mapping[str, Any],
    assumed: Assumptions,
    *,
    kind: str | None,
    weights: Mapping[str, np.ndarray],
    where: str,
) -> dict[str, Any] | None:
    if kind is None or kind not in DEFAULTS:
        return None
    outputs = _kernel(weights, kind).shape[-1]
    head = hugging_face_folders.read_head(content, tokenizer, kind=kind, outputs=outputs, where=where)
    head["sequence_length"] = head["sequence_length"] or assumed.sequence_length
    return head | {name: value for name, value in DEFAULTS[kind].items() if head[name] is None}


def _arrays(path: str) -> dict[str, np.ndarray]:
    with stored_safetensors(path) as stored:
        return stored.arrays()


def _vocabulary(folder: str, assumed: Assumptions) -> str | None:
    beside = storage.join(folder, VOCABULARY)
    return assumed.vocabulary or (beside if storage.exists(beside) else None)
