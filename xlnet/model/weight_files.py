"""Named arrays in files: safetensors, and checkpoints of TensorFlow, which is imported only for those."""

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from xlnet import storage
from xlnet.errors import UserError

WEIGHTS = "model.safetensors"

# What a training run of the reference leaves beside the weights.
_TRAINING_STATE = re.compile(r"(/adam_[mv]|/Adam(_1)?|^global_step|^beta[12]_power|^learning_rate)$")


@dataclass(frozen=True)
class Stored:
    """Named arrays in a file: their shapes, and a way to read one."""

    shapes: dict[str, tuple[int, ...]]
    read: Callable[[str], np.ndarray]


@contextlib.contextmanager
def stored_weights(path: str) -> Iterator[Stored]:
    """The weights of a model directory, of a safetensors file, or of a reference checkpoint's prefix or folder.

    Raises UserError when there are none, or the file is broken.
    """
    weights = path if path.endswith(".safetensors") else storage.join(path, WEIGHTS)
    if storage.exists(weights):
        with storage.local_copy(weights) as local:
            yield _read_safetensors(local, weights)
    else:
        yield _read_reference(path)


def _read_safetensors(local: str, path: str) -> Stored:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays = load_file(local)
    except (SafetensorError, ValueError, OSError) as error:
        raise UserError(f"{path} is not a whole safetensors file ({error}); copy it again") from None
    return Stored({name: array.shape for name, array in arrays.items()}, arrays.__getitem__)


def _read_reference(path: str) -> Stored:
    prefix = _checkpoint_prefix(path)
    try:
        import tensorflow as tf
    except ImportError:
        raise UserError(
            f"{path} is a TensorFlow checkpoint and TensorFlow is not installed; "
            "install it, or convert the checkpoint where it is"
        ) from None
    damage = (tf.errors.OpError, RuntimeError, ValueError, IndexError)  # what its reader says of broken files
    try:
        reader = tf.train.load_checkpoint(prefix)
        shapes = reader.get_variable_to_shape_map()
    except damage as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{prefix} is not a whole checkpoint ({reason}); copy it again") from None
    weights = {name: tuple(shape) for name, shape in shapes.items() if not _TRAINING_STATE.search(name)}

    def read(name: str) -> np.ndarray:
        try:
            return reader.get_tensor(name)
        except damage as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{prefix} is not a whole checkpoint ({reason}); copy it again") from None

    return Stored(weights, read)


def _checkpoint_prefix(path: str) -> str:
    """The prefix of the newest checkpoint at a path: the prefix itself, one of its files, or its folder."""
    prefix = re.sub(r"\.(index|meta|data-\d+-of-\d+)$", "", path)
    if storage.exists(f"{prefix}.index"):
        return prefix
    try:
        found = [file.path for file in storage.match([storage.join(path, "*.index")])]
    except UserError as error:
        raise UserError(f"no weights at {path}: neither {WEIGHTS} in it nor {prefix}.index; {error}") from None
    newest = max(found, key=lambda name: [int(digits) for digits in re.findall(r"-(\d+)\.index$", name)])
    return newest.removesuffix(".index")
