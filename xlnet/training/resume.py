"""Checkpoints of a run: every variable and the step, in one folder that appears whole or not at all."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops
from safetensors.numpy import load_file, save_file

from xlnet import storage
from xlnet.errors import UserError

FORMAT = "xlnet-checkpoint/1"
NAME = re.compile(r"step-(\d{8})$")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was found: its folder and its step."""

    path: str
    step: int


def save(folder: str, step: int, *, variables: Mapping[str, Any], settings: Mapping[str, Any], keep: int) -> Checkpoint:
    """Write a checkpoint aside, publish it, then drop all but the newest `keep`.

    `settings` are those that the run must have again to go on from here.
    """
    path = storage.join(folder, f"step-{step:08d}")
    arrays = {name: np.asarray(ops.convert_to_numpy(variable)) for name, variable in variables.items()}
    storage.remove_folder(path)  # of a run that was stopped between this step and its next words
    with storage.publishing(path, marker="checkpoint.json") as aside:
        save_file(arrays, aside / "state.safetensors")
        description = {
            "format": FORMAT,
            "step": step,
            "settings": dict(settings),
            "sha256": storage.sha256(str(aside / "state.safetensors")),
        }
        storage.publish_json(str(aside / "checkpoint.json"), description)
    for old in find(folder)[:-keep]:
        storage.remove_folder(old.path)
    return Checkpoint(path, step)


def find(folder: str) -> list[Checkpoint]:
    """The published checkpoints of a run, oldest first."""
    found = [(NAME.search(name), name) for name in storage.list_folder(folder)]
    steps = [Checkpoint(storage.join(folder, name), int(match[1])) for match, name in found if match]
    return sorted(steps, key=lambda checkpoint: checkpoint.step)


def restore(
    checkpoints: Sequence[Checkpoint], *, variables: Mapping[str, Any], settings: Mapping[str, Any]
) -> tuple[Checkpoint | None, list[str]]:
    """Set the variables from the newest sound checkpoint; also returns a line on each that was passed over.

    Raises UserError when it was made with other settings, naming both values.
    """
    passed = []
    for checkpoint in reversed(checkpoints):
        try:
            arrays = _read(checkpoint, settings=settings)
        except _BrokenError as error:
            passed.append(f"{checkpoint.path} is passed over: {error}")
            continue
        for name, variable in variables.items():
            variable.assign(arrays[name])
        return checkpoint, passed
    return None, passed


class _BrokenError(Exception):
    """A checkpoint that cannot be used."""


def _read(checkpoint: Checkpoint, *, settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    state = storage.join(checkpoint.path, "state.safetensors")
    try:
        description = storage.read_json(storage.join(checkpoint.path, "checkpoint.json"))
        found = storage.sha256(state)
    except UserError as error:
        raise _BrokenError(str(error)) from None
    if found != description["sha256"]:
        raise _BrokenError("its content is not what was written (checksums differ)")
    for name, value in settings.items():
        if description["settings"].get(name) != value:
            raise UserError(
                f"{checkpoint.path} was made with {name} {description['settings'].get(name)!r}, this run has "
                f"{value!r}; give the same settings, or another --output"
            )
    with storage.local_copy(state) as path:
        return load_file(path)
