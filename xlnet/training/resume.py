"""Checkpoints of a run: every variable and the step, in one folder that appears whole or not at all.

A folder `step-00001000` holds `state.safetensors` and `checkpoint.json`: format, step, the settings it was made with,
and the checksum of the state. Types that NumPy has no name for (bfloat16) are stored as float32, which holds them.
"""

import glob
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from xlnet import storage
from xlnet.errors import UserError

FORMAT = "xlnet-checkpoint/3"
NAME = re.compile(r"step-(\d{8})$")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was found: its folder and its step."""

    path: str
    step: int


@dataclass(frozen=True)
class Keep:
    """Which checkpoints stay: the newest `last`, and those at multiples of `every` steps (0: none more)."""

    last: int
    every: int = 0

    def dropped(self, checkpoints: Sequence[Checkpoint]) -> list[Checkpoint]:
        """Those that need not stay, of all, oldest first."""
        return [found for found in checkpoints[: -self.last] if not self.every or found.step % self.every]


def save(
    folder: str, step: int, *, variables: Mapping[str, Any], settings: Mapping[str, Any], keep: Keep
) -> Checkpoint:
    """Write a checkpoint aside, publish it, then drop what need not be kept.

    `settings` are those that the run must have again to go on from here. Raises UserError when it cannot be written;
    those before it stay.
    """
    path = storage.join(folder, f"step-{step:08d}")
    arrays = {name: _storable(variable) for name, variable in variables.items()}
    storage.remove_folder(path)  # a broken one of this step, or of a run that was stopped before its next words
    _remove_leftovers(folder)
    try:
        with storage.publishing(path, marker="checkpoint.json") as aside:
            state = str(aside / "state.safetensors")
            save_file(arrays, state)
            _settle(state)
            described = {"format": FORMAT, "step": step, "settings": dict(settings), "sha256": storage.sha256(state)}
            storage.publish_json(str(aside / "checkpoint.json"), described)
    except (SafetensorError, OSError, UserError) as error:
        found = find(folder)
        last = f"the newest one is {found[-1].path}" if found else "there is none before it"
        raise UserError(f"the checkpoint {path} cannot be written ({error}); {last}: make room, start again") from None
    for old in keep.dropped(find(folder)):
        storage.remove_folder(old.path)
    return Checkpoint(path, step)


def _storable(variable: Any) -> np.ndarray:
    array = np.asarray(ops.convert_to_numpy(variable))
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def _settle(path: str) -> None:
    """On the disk before it gets its name: it is whole even after a loss of power."""
    with open(path, "rb") as stream:
        os.fsync(stream.fileno())


def _remove_leftovers(folder: str) -> None:
    """What a run that was killed while it wrote has left aside."""
    if not storage.is_remote(folder):
        for part in glob.glob(os.path.join(glob.escape(folder), ".step-*.part")):
            shutil.rmtree(part, ignore_errors=True)


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
        require_same(checkpoint.path, "variables", sorted(arrays), sorted(variables))
        for name, variable in variables.items():
            require_same(checkpoint.path, f"the shape of {name}", arrays[name].shape, tuple(variable.shape))
            variable.assign(arrays[name])
        return checkpoint, passed
    return None, passed


class _BrokenError(Exception):
    """A checkpoint that cannot be used."""


def _read(checkpoint: Checkpoint, *, settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    state = storage.join(checkpoint.path, "state.safetensors")
    try:
        description = storage.read_json(storage.join(checkpoint.path, "checkpoint.json"))
        expected, stored, made = description["sha256"], description["settings"], description["format"]
        with storage.local_copy(state) as path:
            found, arrays = storage.sha256(path), _loaded(path)
    except UserError as error:
        raise _BrokenError(str(error)) from None
    except (KeyError, TypeError):
        raise _BrokenError("its checkpoint.json is not a whole description") from None
    if found != expected:
        raise _BrokenError("its content is not what was written (checksums differ)")
    require_same(checkpoint.path, "format", made, FORMAT)
    for name in sorted({*settings, *stored}):
        require_same(checkpoint.path, name, stored.get(name), settings.get(name))
    return arrays


def _loaded(path: str) -> dict[str, np.ndarray]:
    """The arrays of a file; none of one that is damaged, which its checksum tells."""
    try:
        return load_file(path)
    except (SafetensorError, ValueError, OSError):
        return {}


def require_same(path: str, name: str, made: Any, wanted: Any) -> None:
    """Raises UserError, naming both values, where what lies at a path was made with another one."""
    if made == wanted:
        return
    if isinstance(made, list) and isinstance(wanted, list):  # long ones: only what differs
        made, wanted = (
            [value for value in one if value not in other] for one, other in ((made, wanted), (wanted, made))
        )
    raise UserError(
        f"{path} was made with {name} {made!r}, this run has {wanted!r}; give the same settings, or another --output"
    )
