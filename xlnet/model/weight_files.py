"""Named arrays in files: safetensors, or checkpoints of TensorFlow."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from xlnet import storage
from xlnet.errors import UserError
from xlnet.file_names import WEIGHTS
from xlnet.model import tensorflow_checkpoints
from xlnet.model.stored import Stored

WIDENED = ("F16", "BF16")  # half precision becomes float32, which holds each of its values


@contextlib.contextmanager
def stored_weights(path: str) -> Iterator[Stored]:
    """The weights of a model directory, of a safetensors file, or of a reference checkpoint's prefix or folder.

    Raises UserError when there are none, or the file is broken.
    """
    weights = path if path.endswith(".safetensors") else storage.join(path, WEIGHTS)
    if storage.exists(weights):
        with stored_safetensors(weights) as stored:
            yield stored
        return
    prefix = tensorflow_checkpoints.find_prefix(path)
    if prefix is None:
        raise UserError(
            f"no weights at {path}: neither {WEIGHTS} in it nor {path}.index, nor another checkpoint; "
            "give a model directory, or a checkpoint's prefix or folder"
        )
    with tensorflow_checkpoints.stored_variables(prefix) as stored:
        names = [name for name in stored.shapes if not tensorflow_checkpoints.is_training_state(name)]
        yield Stored({name: stored.shapes[name] for name in names}, stored.read)


@contextlib.contextmanager
def stored_safetensors(path: str) -> Iterator[Stored]:
    """The arrays of a safetensors file, half precision as float32. Raises UserError when it is missing or broken."""
    from safetensors import SafetensorError, safe_open

    if not storage.exists(path):
        raise UserError(f"{path} does not exist")
    with storage.local_copy(path) as local, contextlib.ExitStack() as opened:
        try:
            file = opened.enter_context(safe_open(local, framework="numpy"))
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
            shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
            kinds = {name: part.get_dtype() for name, part in slices.items()}
        except (SafetensorError, ValueError, OSError) as error:
            raise UserError(f"{path} is not a whole safetensors file ({error}); copy it again") from None
        yield Stored(shapes, lambda name: _widened(file.get_tensor(name), kinds[name]))


def _widened(array: Any, kind: str) -> np.ndarray:
    return array.astype(np.float32) if kind in WIDENED else array
