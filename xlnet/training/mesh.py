"""Many devices under JAX: one program over all of them, each holding its rows of the batch and of the memories.

Weights are on every device. Each finds the loss and the gradients of its rows, and only their sums are sent. (Left to
itself, XLA would divide the program as well, but it gathers all rows' position scores in every layer.)
"""

import contextlib
import os
from collections.abc import Callable
from typing import Any

import jax
import keras
import numpy as np
from jax.experimental import multihost_utils

from xlnet.errors import UserError
from xlnet.training.devices import APART, Devices, Share, Wanted, require_places

ADDRESSES = "KERAS_DISTRIBUTION_JOB_ADDRESSES"


class Mesh(Devices):
    """Devices in a row, those of one process side by side."""

    def __init__(self, devices: list[jax.Device]):
        ordered = sorted(devices, key=lambda device: (device.process_index, device.id))
        self.replicas = len(ordered)
        self.hosts, self.host = jax.process_count(), jax.process_index()
        mesh = keras.distribution.DeviceMesh((len(ordered),), ["batch"], ordered)
        layouts = keras.distribution.LayoutMap(mesh)
        layouts[r"(.*/)?memory_\d+"] = ("batch", None, None)  # all else is on every device
        self.distribution = keras.distribution.ModelParallel(
            layout_map=layouts, batch_dim_name="batch", auto_shard_dataset=False
        )

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """See `Devices`."""
        return self.distribution.scope()

    def batches(self, read: Callable[[Share], Any]) -> Any:
        """Each host reads its own part of a batch."""
        return read(Share(self.host, self.hosts))

    def whole(self, variable: Any) -> Any:
        """See `Devices`."""
        return _Gathered(variable) if self.hosts > 1 and variable.name.startswith("memory_") else variable

    def total(self, array: np.ndarray) -> np.ndarray:
        """See `Devices`."""
        return array if self.hosts == 1 else np.asarray(multihost_utils.process_allgather(array)).sum(axis=0)


class _Gathered:
    """A memory whose rows lie on many hosts."""

    def __init__(self, variable: Any):
        self.shape, self.assign = tuple(variable.shape), variable.assign
        self.variable = variable

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        """All rows, of all hosts."""
        return np.asarray(multihost_utils.process_allgather(self.variable.value, tiled=True))


def across(find: Callable[..., Any], *, seeds: list[bool]) -> Callable[..., Any]:
    """What finds sums over some rows, run by each device on its own; the sums over all rows. For `training.steps`.

    It takes batch, memories, what all devices know, other variables, and gives sums, memories, other variables;
    `seeds`: which of the others are states of random generators, from which devices draw apart.
    """
    distribution = keras.distribution.distribution()
    if distribution is None:
        return find
    axis = distribution.batch_dim_name
    rows, everywhere = jax.sharding.PartitionSpec(axis), jax.sharding.PartitionSpec()

    def moved(others: list[Any], way: int) -> list[Any]:
        apart = jax.lax.axis_index(axis).astype("uint32") * np.uint32(APART)
        step = jax.numpy.stack([apart, jax.numpy.zeros_like(apart)])
        return [
            value + step * np.uint32(way % 2**32) if seed else value for value, seed in zip(others, seeds, strict=True)
        ]

    def local(batch: Any, memories: Any, known: Any, others: Any) -> Any:
        sums, new, others = find(batch, memories, known, moved(others, 1))
        return jax.lax.psum(sums, axis), new, moved(others, -1)

    return jax.shard_map(
        local,
        mesh=distribution.device_mesh.backend_mesh,
        in_specs=(rows, rows, everywhere, everywhere),
        out_specs=(everywhere, rows, everywhere),
        check_vma=False,
    )


def take(wanted: Wanted) -> Devices:
    """See `devices.take`."""
    try:
        if wanted.kind == "cpu":
            jax.config.update("jax_platforms", "cpu")
            if wanted.count > 1:
                jax.config.update("jax_num_cpu_devices", wanted.count)
                _make_room_for_threads(wanted.count)
        _join(wanted)
        devices = _find(wanted)
    except RuntimeError as error:  # of JAX, that it has begun already, or that no other host has answered
        raise UserError(f"devices are not to be had ({str(error).splitlines()[0]})") from None
    if len(devices) == 1:
        jax.config.update("jax_default_device", devices[0])
        return Devices()
    return Mesh(devices)


def _make_room_for_threads(devices: int) -> None:
    """A device's program holds a thread while it waits for the others', and so does the one behind it in a full queue.

    XLA has as many threads as devices, or cores. Once 32 programs are ahead (a long measurement, whose results nobody
    reads meanwhile) all threads wait for each other; after a minute XLA ends the process.
    """
    os.environ.setdefault("PJRT_NPROC", str(2 * devices + len(os.sched_getaffinity(0))))


def _join(wanted: Wanted) -> None:
    """Meet the other processes, where there are any: named by Keras' variables, or found by JAX itself."""
    if ADDRESSES in os.environ:
        try:
            keras.distribution.initialize()
        except ValueError as error:
            raise UserError(f"the variables KERAS_DISTRIBUTION_... name no processes ({error})") from None
    elif wanted.kind == "tpu" or "JAX_COORDINATOR_ADDRESS" in os.environ:
        with contextlib.suppress(ValueError):  # it has found no cluster: one host
            jax.distributed.initialize()


def _find(wanted: Wanted) -> list[jax.Device]:
    kind = None if wanted.kind == "auto" else wanted.kind
    try:
        devices = jax.devices(kind)
    except RuntimeError as error:
        if kind == "tpu":
            why = str(error).splitlines()[0]
            raise UserError(f"devices asks for a TPU, JAX finds none ({why}); take --devices cpu or gpu") from None
        if kind == "gpu":
            require_places(wanted.places, found=0)
        raise
    if kind == "gpu" and wanted.places:
        require_places(wanted.places, found=jax.local_device_count(kind))
        devices = [device for device in devices if device.local_hardware_id in wanted.places]
    if wanted.kind == "cpu" and wanted.count > jax.local_device_count("cpu"):
        raise UserError(f"devices is cpu:{wanted.count}, JAX has {jax.local_device_count('cpu')}")
    return devices
