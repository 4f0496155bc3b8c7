"""Which devices a run uses, and what differs between one and many: the step itself is written once.

`--devices` names them: "cpu", "gpu" (all), "gpu:0,1", "tpu", "cpu:2" (virtual ones, to try things), or "auto": what the
backend finds best. Many hosts are many processes of the same command; each learns its place from its environment (see
docs/devices.md). Rows of a batch are dealt out in order, so row r lies on the same device at every step.
"""

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from xlnet.errors import UserError

KINDS = ("auto", "cpu", "gpu", "tpu")
FORM = re.compile(
    r"(?P<kind>auto|tpu|cpu|gpu)$|(?P<cpus>cpu):(?P<count>[1-9]\d{0,3})$|(?P<gpus>gpu):(?P<places>\d+(,\d+)*)$"
)
SEED = "seed_generator_state"  # Keras' name of a random generator's state, uint32 [2]
APART = 0x9E3779B9  # between the seeds of neighbouring devices
LONGEST_LINE = 2000  # of the chief's error that the other hosts repeat


@dataclass(frozen=True)
class Wanted:
    """What `--devices` asks for. `count`: virtual CPUs; `places`: the numbers of GPUs, () for all."""

    kind: str
    count: int = 1
    places: tuple[int, ...] = ()


def parse(text: str) -> Wanted:
    """Raises UserError for what names no devices."""
    found = FORM.match(text)
    if found is None:
        raise UserError(f"devices is {text!r}, wanted is auto, cpu, cpu:2, gpu, gpu:0,1 or tpu")
    if found["cpus"]:
        return Wanted("cpu", count=int(found["count"]))
    if found["gpus"]:
        places = tuple(map(int, found["places"].split(",")))
        if len(set(places)) < len(places):
            raise UserError(f"devices is {text!r}, which names a GPU twice")
        return Wanted("gpu", places=places)
    return Wanted(found["kind"])


@dataclass(frozen=True)
class Share:
    """What one host reads of all the slots of a batch: the `index`-th of `count` equal parts."""

    index: int = 0
    count: int = 1

    def of(self, length: int) -> slice:
        """Of so many slots, or rows: the part of this host."""
        part = length // self.count
        return slice(self.index * part, (self.index + 1) * part)


ALL = Share()


class Devices:
    """One device, of one host; the backends derive theirs from it.

    `replicas`: how many devices share a batch, on all hosts together. `host`: the number of this one.
    """

    replicas = 1
    hosts = 1
    host = 0

    @property
    def is_chief(self) -> bool:
        """Whether this host writes what the run leaves."""
        return self.host == 0

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Variables that are made in this context lie on the devices; steps run in it."""
        return contextlib.nullcontext()

    def rows(self, batch_size: int) -> int:
        """How many rows of a batch a step's code sees, and a memory has."""
        return batch_size

    def batches(self, read: Callable[[Share], Any]) -> Any:
        """What `fit` takes, of what a host reads for its share: a tf.data.Dataset of its rows of each batch."""
        return read(ALL)

    def whole(self, variable: Any) -> Any:
        """A variable as one array, whatever lies where: with `shape`, `assign`, and what NumPy reads."""
        return variable

    def total(self, array: np.ndarray) -> np.ndarray:
        """The sum of an array over hosts; all have to ask."""
        return array

    def any(self, holds: bool) -> bool:
        """Whether it holds on any host; all have to ask."""
        return bool(self.total(np.array([int(holds)], np.int32))[0])

    def by_chief(self, action: Callable[[], Any]) -> None:
        """Let the chief do it. Its UserError is raised on every host."""
        line = b""
        try:
            if self.is_chief:
                action()
        except UserError as error:
            line = str(error).encode()[:LONGEST_LINE]
            if self.hosts == 1:
                raise
        if self.hosts > 1:
            told = self.total(np.frombuffer(line.ljust(LONGEST_LINE, b"\0"), np.uint8).astype(np.int32))
            line = bytes(told.astype(np.uint8)).rstrip(b"\0")
            if line:
                raise UserError(line.decode(errors="replace"))


def take(text: str) -> Devices:
    """The devices for this process; to be called before the backend has computed anything.

    Raises UserError, on one line, where they are not there.
    """
    wanted = parse(text)
    import keras

    if keras.backend.backend() == "jax":
        from xlnet.training import mesh

        return mesh.take(wanted)
    from xlnet.training import replicas

    return replicas.take(wanted)


def require_places(places: tuple[int, ...], *, found: int) -> None:
    """Raises UserError where a GPU is asked for that is not there."""
    if not found:
        raise UserError(
            "devices asks for a GPU, none is found on this machine; take --devices cpu, or look at the driver"
        )
    missing = [place for place in places if place >= found]
    if missing:
        there = "only gpu:0 is" if found == 1 else f"gpu:0 to gpu:{found - 1} are"
        raise UserError(f"devices asks for gpu:{missing[0]}, {there} on this machine")
