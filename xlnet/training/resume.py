"""Checkpoints of a run: every variable and the step, in one folder that appears whole or not at all.

A folder `step-00001000` holds `state.safetensors` and `checkpoint.json`: format, step, the settings it was made with,
the checksum of the state, and that of all this. Types that NumPy has no name for (bfloat16) are stored as float32,
which holds them.
"""

import glob
import hashlib
import json
import os
import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from xlnet import storage
from xlnet.disk import reason
from xlnet.errors import MissingError, UserError

FORMAT = "xlnet-checkpoint/3"
NAME = re.compile(r"step-(\d{8})$")
UNTOLD = {"init"}  # may be missing in a checkpoint of before, which then goes on with any
DESCRIPTION, STATE = "checkpoint.json", "state.safetensors"


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
    folder: str,
    step: int,
    *,
    variables: Mapping[str, Any],
    settings: Mapping[str, Any],
    keep: Keep,
    passed: Collection[Checkpoint] = (),
) -> Checkpoint:
    """Write a checkpoint aside, publish it, then drop what need not be kept, and those that were `passed` over.

    `settings` are those that the run must have again to go on from here. Raises UserError when it cannot be written;
    those before it stay.
    """
    written = Checkpoint(storage.join(folder, f"step-{step:08d}"), step)
    broken = set(passed) - {written}
    arrays = {name: _storable(variable) for name, variable in variables.items()}
    storage.remove_folder(written.path)  # a broken one, or of a run that was stopped before its next words
    _remove_leftovers(folder)
    try:
        with storage.publishing(written.path, marker=DESCRIPTION) as aside:
            state = str(aside / STATE)
            save_file(arrays, state)
            _settle(state)
            described = {"format": FORMAT, "step": step, "settings": dict(settings), "sha256": storage.sha256(state)}
            storage.publish_json(str(aside / DESCRIPTION), described | {"description_sha256": _digest(described)})
    except (SafetensorError, OSError, UserError) as error:
        found = _sound(folder, until=step, broken=broken)
        last = f"the newest one is {found[-1].path}" if found else "there is none before it"
        raise UserError(
            f"the checkpoint {written.path} cannot be written ({error}); {last}: make room, start again"
        ) from None
    for old in [*keep.dropped(_sound(folder, until=step, broken=broken)), *broken]:
        storage.remove_folder(old.path)
    return written


def _sound(folder: str, *, until: int, broken: Collection[Checkpoint]) -> list[Checkpoint]:
    return [found for found in find(folder) if found.step <= until and found not in broken]


def _digest(described: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


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
) -> tuple[Checkpoint | None, dict[Checkpoint, str]]:
    """Set the variables from the newest sound checkpoint; also returns those that were passed over, with the reason.

    Raises UserError when it was made with other settings, naming both values; when one cannot be read, which says
    nothing of what it holds; and when none is sound. One that was not finished does not count: it has no description.
    """
    passed: dict[Checkpoint, str] = {}
    for checkpoint in reversed(checkpoints):
        try:
            arrays = _read(checkpoint, settings=settings)
        except _BrokenError as error:
            passed[checkpoint] = str(error)
            continue
        require_same(checkpoint.path, "variables", sorted(arrays), sorted(variables))
        for name, variable in variables.items():
            require_same(checkpoint.path, f"the shape of {name}", arrays[name].shape, tuple(variable.shape))
            variable.assign(arrays[name])
        return checkpoint, passed
    for checkpoint, why in passed.items():
        if storage.exists(storage.join(checkpoint.path, DESCRIPTION)):
            raise UserError(
                f"no checkpoint is sound; the newest, {checkpoint.path}: {why}; bring one back, or remove "
                f"{os.path.dirname(checkpoint.path)} to begin anew"
            )
    return None, passed


class _BrokenError(Exception):
    """A checkpoint that is not, or not all of, what was written."""


def _read(checkpoint: Checkpoint, *, settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    try:
        described = _described(checkpoint)
        with storage.local_copy(storage.join(checkpoint.path, STATE)) as path:
            if storage.sha256(path) != described["sha256"]:
                raise _BrokenError("its content is not what was written (checksums differ)")
            arrays: dict[str, np.ndarray] = load_file(path)
    except MissingError as error:
        raise _BrokenError(str(error)) from None
    except OSError as error:
        raise UserError(f"{checkpoint.path} cannot be read: {reason(error)}") from None
    stored = described["settings"]
    require_same(checkpoint.path, "format", described["format"], FORMAT)
    for name in sorted({*settings, *stored} - (UNTOLD - stored.keys())):
        require_same(checkpoint.path, name, stored.get(name), settings.get(name))
    return arrays


def _described(checkpoint: Checkpoint) -> dict[str, Any]:
    """What checkpoint.json says; those of before have no checksum of it."""
    content = storage.read_bytes(storage.join(checkpoint.path, DESCRIPTION))
    try:
        described: dict[str, Any] = json.loads(content)
        is_whole = described.pop("description_sha256", None) in (None, _digest(described))
        is_whole &= isinstance(described["settings"], dict) and described["step"] == checkpoint.step
        is_whole &= {"format", "sha256"} <= described.keys()
    except (ValueError, LookupError, TypeError, AttributeError):
        is_whole = False
    if not is_whole:
        raise _BrokenError("its checkpoint.json is not what was written")
    return described


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
