"""A model from one format into another: this project's, TensorFlow 1 checkpoints, Hugging Face folders.

Weights are known by the reference's variable names on the way, so a conversion there and back gives the same bits.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from xlnet import __version__, storage, vocab
from xlnet.conversion_input import HUGGING_FACE, KINDS, OURS, TENSORFLOW, Assumptions, Input, read
from xlnet.errors import require
from xlnet.file_names import VOCABULARY, WEIGHTS
from xlnet.model import checkpoints, hugging_face, hugging_face_folders, reference_names, tensorflow_checkpoints
from xlnet.model.config import PLAIN_SUMMARIES, REFERENCE_KEYS, ModelConfig
from xlnet.text import Tokenizer

__all__ = ["HUGGING_FACE", "KINDS", "OURS", "TENSORFLOW", "Assumptions", "convert"]

STATE_FILE = "checkpoint"  # where TensorFlow looks for the newest checkpoint of a run that goes on


def convert(
    source: str, output: str, *, to: str, assumed: Assumptions | None = None, task: str = "task"
) -> dict[str, Any]:
    """Read the model at `source`, whatever it is, and publish it at `output` as `to` (one of KINDS).

    `assumed` fills in what the input does not say. `task` is written into a head's variable names, where the
    reference has a task's name and the model none. Returns a summary with `notes`, a list of texts: what was left
    out or filled in. Raises UserError for an input that is not whole or does not fit together.
    """
    assumed = assumed or Assumptions()
    require(to in KINDS, "the format to convert to", to, f"one of {', '.join(KINDS)}")
    require(assumed.summary in PLAIN_SUMMARIES, "summary", assumed.summary, f"one of {', '.join(PLAIN_SUMMARIES)}")
    require(assumed.sequence_length >= 8, "sequence_length", assumed.sequence_length, "8 pieces or more")
    storage.refuse_occupied(output)
    found = read(source, assumed)
    _check_vocabulary(found, to=to)
    write = {OURS: _write_directory, HUGGING_FACE: _write_folder}
    notes = [*found.notes, *(_write_checkpoint(found, output, task) if to == TENSORFLOW else write[to](found, output))]
    return {
        "from": found.kind,
        "to": to,
        "weights": len(found.weights),
        "parameters": int(sum(array.size for array in found.weights.values())),
        "head": reference_names.head_of(found.weights),
        "training_state": len(found.training_state),
        "notes": notes,
    }


def _check_vocabulary(found: Input, *, to: str) -> None:
    require(
        found.vocabulary is not None or to != OURS,
        "the vocabulary",
        None,
        f"{VOCABULARY} beside {found.path}, or --vocabulary",
    )
    if found.vocabulary is None:
        return
    vocab.check(storage.read_bytes(found.vocabulary))
    tokenizer = Tokenizer(found.vocabulary)
    require(
        tokenizer.size == found.config.vocab_size,
        f"the number of pieces in {found.vocabulary}",
        tokenizer.size,
        f"{found.config.vocab_size}, as in the weights of {found.path}",
    )
    require(
        found.vocabulary_sha256 in (None, tokenizer.sha256),
        f"the SHA-256 of {found.vocabulary}",
        tokenizer.sha256,
        f"{found.vocabulary_sha256}, of the vocabulary that {found.path} was trained with",
    )


def _write_directory(found: Input, output: str) -> list[str]:
    weights, notes = _with_mask_embedding(found.weights, found.config)
    assert found.vocabulary is not None
    checkpoints.write_model(
        output,
        weights,
        config=found.config,
        vocabulary=found.vocabulary,
        text=found.text,
        head=found.head,
        provenance={
            "stage": "conversion",
            "from": found.kind,
            "path": found.path,
            "before": found.provenance,
            "xlnet_version": __version__,
        },
        training_state=found.training_state,
    )
    if found.training_state:
        notes.append(
            f"{len(found.training_state)} variables of the reference's training are in {checkpoints.TRAINING_STATE}, "
            "for a conversion back; training here begins with a fresh optimizer"
        )
    if found.head is None and reference_names.head_of(found.weights) not in (None, "language-model"):
        notes.append("the head's weights are kept; fine-tuning here takes the transformer only")
    if found.kind == TENSORFLOW:
        notes.append(f"taken for trained on text with {found.text}; pass --lower or --keep-accents if it was")
        if found.head is not None:
            notes.append(f"the checkpoint does not name its classes nor its summary; taken are {_taken(found.head)}")
    return notes


def _taken(head: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {head[name]}" for name in ("classes", "summary", "sequence_length") if name in head)


def _with_mask_embedding(
    weights: Mapping[str, np.ndarray], config: ModelConfig
) -> tuple[dict[str, np.ndarray], list[str]]:
    """A fine-tuned model of the reference has no embedding of the query stream; a model here has one everywhere."""
    name = reference_names.MASK_EMBEDDING
    if name in weights:
        return dict(weights), []
    zeros = np.zeros(reference_names.trunk_shapes(config)[name], np.float32)
    return {**weights, name: zeros}, [
        "it has no embedding of the query stream, as after fine-tuning; zeros stand there"
    ]


def _write_checkpoint(found: Input, output: str, task: str) -> list[str]:
    weights = {reference_names.with_task(name, task): array for name, array in found.weights.items()}
    prefix = tensorflow_checkpoints.RELEASED
    with storage.publishing(output, marker=checkpoints.REFERENCE_CONFIG) as folder:
        tensorflow_checkpoints.write_checkpoint(str(folder / prefix), {**weights, **found.training_state})
        if found.training_state:
            storage.publish(str(folder / STATE_FILE), f'model_checkpoint_path: "{prefix}"\n'.encode())
        _copy_vocabulary(found, str(folder))
        storage.publish_json(str(folder / checkpoints.REFERENCE_CONFIG), found.config.to_reference())
    notes = [] if found.vocabulary else [f"there is no {VOCABULARY} beside {found.path}, so none was written"]
    told = {name: value for name, value in found.config.to_reference().items() if name not in REFERENCE_KEYS}
    if told:
        notes.append(f"the reference passes over what {checkpoints.REFERENCE_CONFIG} tells beside its keys: {told}")
    if found.text["lower"] or found.text["keep_accents"]:
        notes.append(f"text was normalised with {found.text}; pass the same to the reference (--uncased)")
    if found.head is not None and found.kind != TENSORFLOW:
        notes.append(f"{_taken(found.head)}, task name {task!r}: the checkpoint has no place for them")
    return notes


def _write_folder(found: Input, output: str) -> list[str]:
    from safetensors.numpy import save_file

    kind = reference_names.head_of(found.weights)
    weights, notes = _with_mask_embedding(found.weights, found.config)
    notes += _missing_vocabulary(found)
    content = hugging_face_folders.write_config(found.config, kind=kind, head=found.head)
    arrays = hugging_face.to_hugging_face(weights, found.config)
    length = None if found.head is None else found.head["sequence_length"]
    with storage.publishing(output, marker=checkpoints.CONFIG) as folder:
        save_file(arrays, folder / WEIGHTS, metadata={"format": "pt"})  # without it its loader refuses the file
        _copy_vocabulary(found, str(folder))
        tokenizer = hugging_face_folders.write_tokenizer_config(found.text, sequence_length=length)
        storage.publish_json(str(folder / hugging_face_folders.TOKENIZER_CONFIG), tokenizer)
        storage.publish_json(str(folder / checkpoints.CONFIG), content)
    if found.training_state:
        notes.append(
            f"{len(found.training_state)} variables of training are left out; the format has no place for them"
        )
    if found.config.dropout != found.config.attention_dropout:
        notes.append(
            f"Hugging Face has one dropout rate; attention's {found.config.attention_dropout} is not read there"
        )
    return notes


def _copy_vocabulary(found: Input, folder: str) -> None:
    if found.vocabulary is not None:
        storage.publish(storage.join(folder, VOCABULARY), storage.read_bytes(found.vocabulary))


def _missing_vocabulary(found: Input) -> list[str]:
    if found.vocabulary is not None:
        return []
    return [f"there is no {VOCABULARY} beside {found.path}, so none was written; pass --vocabulary"]
