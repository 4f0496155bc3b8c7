"""Checkpoints of TensorFlow 1, read and written: a prefix with its `.index` and `.data-` files.

TensorFlow is imported only here, and only when a checkpoint is read or written.
"""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from xlnet import storage
from xlnet.errors import UserError
from xlnet.model.stored import Stored

RELEASED = "xlnet_model.ckpt"  # the prefix of the released checkpoints

# What a training run of the reference leaves beside the weights.
_TRAINING_STATE = re.compile(r"(/adam_[mv]|/Adam(_1)?|^global_step|^beta[12]_power|^learning_rate)$")


def is_training_state(name: str) -> bool:
    """Whether a variable belongs to the reference's optimizer, or counts its steps."""
    return bool(_TRAINING_STATE.search(name))


def find_prefix(path: str) -> str | None:
    """The prefix of the newest checkpoint at a path: the prefix itself, one of its files, or its folder; or None."""
    prefix = re.sub(r"\.(index|meta|data-\d+-of-\d+)$", "", path)
    if storage.exists(f"{prefix}.index"):
        return prefix
    found = [name for name in storage.list_folder(path) if name.endswith(".index")]
    if not found:
        return None
    newest = max(found, key=lambda name: [int(digits) for digits in re.findall(r"-(\d+)\.index$", name)])
    return storage.join(path, newest.removesuffix(".index"))


@contextlib.contextmanager
def stored_variables(prefix: str) -> Iterator[Stored]:
    """Every variable of a checkpoint, training state included. Raises UserError when a file of it is broken."""
    with _local(prefix) as local:
        yield _read(local, prefix)


@contextlib.contextmanager
def _local(prefix: str) -> Iterator[str]:
    if not storage.is_remote(prefix):
        yield prefix
        return
    folder, _, base = prefix.rpartition("/")
    with tempfile.TemporaryDirectory() as copies:
        for name in storage.list_folder(folder):
            if name == f"{base}.index" or name.startswith(f"{base}.data-"):
                target = os.path.join(copies, name)
                with storage.reading(storage.join(folder, name)) as source, open(target, "wb") as copy:
                    shutil.copyfileobj(source, copy, 1 << 20)
        yield os.path.join(copies, base)


def _read(local: str, prefix: str) -> Stored:
    tf = _tensorflow(f"{prefix} is a TensorFlow checkpoint")
    damage = (tf.errors.OpError, RuntimeError, ValueError, IndexError)  # what its reader says of broken files

    def broken(error: Exception) -> UserError:
        reason = str(error).splitlines()[0]
        return UserError(f"{prefix} is not a whole checkpoint ({reason}); copy it again")

    try:
        reader = tf.train.load_checkpoint(local)
        shapes = reader.get_variable_to_shape_map()
    except damage as error:
        raise broken(error) from None

    def read(name: str) -> np.ndarray:
        try:
            return np.asarray(reader.get_tensor(name))
        except damage as error:
            raise broken(error) from None

    return Stored({name: tuple(shape) for name, shape in shapes.items()}, read)


def write_checkpoint(prefix: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as variables of those names, as the savers of TensorFlow 1 do; `prefix` is on this machine's disk.

    Graph code restores them with `tf.train.Saver` or `tf.train.init_from_checkpoint`.
    """
    tf = _tensorflow("a TensorFlow checkpoint was asked for")
    names = sorted(arrays)
    tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(arrays[name]) for name in names],
    )


def _tensorflow(reason: str) -> Any:
    try:
        import tensorflow as tf
    except ImportError:
        raise UserError(
            f"{reason} and TensorFlow is not installed; install it, or convert where it is installed"
        ) from None
    return tf
