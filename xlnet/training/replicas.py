"""Many devices under TensorFlow: `tf.distribute`, with a copy of every variable on each replica.

Every replica runs the same step on its own rows. Gradients, loss and counts are summed over replicas before anything is
decided or applied, and all copies are then updated alike, so they stay equal; memories are each replica's own. This is
why variables are made without aggregation: an assignment is to the copy of the replica that runs.

XLA compiles what lies between two sums; on a TPU the whole step is one program anyway.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from xlnet.errors import UserError
from xlnet.training.devices import APART, SEED, Devices, Share, Wanted, require_places


class Replicas(Devices):
    """The replicas of a strategy."""

    def __init__(self, strategy: tf.distribute.Strategy, *, host: int = 0, hosts: int = 1):
        self.strategy, self.host, self.hosts = strategy, host, hosts
        self.replicas = strategy.num_replicas_in_sync

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """See `Devices`."""
        with self.strategy.scope(), tf.variable_creator_scope(_without_aggregation):
            yield

    def rows(self, batch_size: int) -> int:
        """Those of one replica."""
        return batch_size // self.replicas

    def batches(self, read: Callable[[Share], Any]) -> Any:
        """Each host reads its own part of a batch, and deals it out to its replicas."""

        def of_host(context: tf.distribute.InputContext) -> tf.data.Dataset:
            share = Share(context.input_pipeline_id, context.num_input_pipelines)
            replicas = context.num_replicas_in_sync // context.num_input_pipelines
            return read(share).map(lambda batch: _dealt(batch, replicas)).unbatch().prefetch(replicas)

        return self.strategy.distribute_datasets_from_function(of_host)

    def whole(self, variable: Any) -> Any:
        """See `Devices`; rows in the order of the batch."""
        if variable.name.startswith("memory_"):
            return _Rows(variable, self)
        return _Seed(variable, self) if variable.name == SEED else variable

    def total(self, array: np.ndarray) -> np.ndarray:
        """See `Devices`."""
        if self.hosts == 1:
            return array
        given = [array if place == 0 else np.zeros_like(array) for place in range(self.local)]
        values = self.strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(given[context.replica_id_in_sync_group % self.local])
        )
        return np.asarray(self.strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None))

    @property
    def local(self) -> int:
        """Replicas on this host."""
        return self.replicas // self.hosts

    def copies(self, variable: Any) -> list[tuple[int, Any]]:
        """The number of each replica on this host, and its copy of a variable."""
        copies = self.strategy.experimental_local_results(variable.value)
        return [(self.host * self.local + place, copy) for place, copy in enumerate(copies)]


class _Rows:
    """A memory, of which each replica holds rows of its own, as one array."""

    def __init__(self, variable: Any, devices: Replicas):
        self.variable, self.devices = variable, devices
        self.shape = (variable.shape[0] * devices.replicas, *variable.shape[1:])

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        """All rows, of all hosts."""
        parts = [copy.numpy() for _, copy in self.devices.copies(self.variable)]
        if self.devices.hosts == 1:
            return np.concatenate(parts)
        value = self.devices.strategy.run(lambda: tf.identity(self.variable.value))
        return self.devices.strategy.gather(value, axis=0).numpy()

    def assign(self, array: np.ndarray) -> None:
        """Give each replica its rows."""
        rows = self.variable.shape[0]
        for replica, copy in self.devices.copies(self.variable):
            copy.assign(tf.cast(array[replica * rows : (replica + 1) * rows], copy.dtype))


class _Seed:
    """The state of a random generator, uint32 [2]: that of the first replica; the others draw apart from it."""

    def __init__(self, variable: Any, devices: Replicas):
        self.variable, self.devices = variable, devices
        self.shape = tuple(variable.shape)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        """As one device alone would have it."""
        replica, copy = self.devices.copies(self.variable)[0]
        return copy.numpy() - _apart(replica)

    def assign(self, array: np.ndarray) -> None:
        """Spread it."""
        for replica, copy in self.devices.copies(self.variable):
            copy.assign(array + _apart(replica))


def _apart(replica: int) -> np.ndarray:
    return np.array([replica * APART % 2**32, 0], np.uint32)


def _dealt(batch: dict[str, Any], replicas: int) -> dict[str, Any]:
    """[rows, ...] -> [replicas, rows / replicas, ...]."""
    return {name: tf.reshape(values, [replicas, -1, *values.shape[1:]]) for name, values in batch.items()}


def _without_aggregation(make: Callable[..., Any], **options: Any) -> Any:
    options["aggregation"] = tf.VariableAggregation.NONE
    options["synchronization"] = tf.VariableSynchronization.AUTO
    return make(**options)


def take(wanted: Wanted) -> Devices:
    """See `devices.take`."""
    try:
        return _take(wanted)
    except RuntimeError as error:  # of TensorFlow, that it has begun already
        raise UserError(f"devices cannot be chosen any more ({str(error).splitlines()[0]})") from None


def _take(wanted: Wanted) -> Devices:
    cluster, hosts, host = _hosts()
    if wanted.kind == "tpu":
        return _tpu()
    gpus = tf.config.list_physical_devices("GPU")
    if wanted.kind == "gpu":
        require_places(wanted.places, found=len(gpus))
    chosen = [] if wanted.kind == "cpu" else [gpus[place] for place in wanted.places or range(len(gpus))]
    if gpus:
        tf.config.set_visible_devices(chosen, "GPU")
    if hosts > 1:
        if wanted.count > 1:
            raise UserError(f"devices is cpu:{wanted.count}; TensorFlow has one CPU replica on each of many hosts")
        strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster)
        return Replicas(strategy, host=host, hosts=hosts)
    if wanted.count > 1:
        virtual = [tf.config.LogicalDeviceConfiguration()] * wanted.count
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], virtual)
    count = len(chosen) or wanted.count
    if count == 1:
        return Devices()
    kind = "GPU" if chosen else "CPU"
    return Replicas(tf.distribute.MirroredStrategy([f"{kind}:{place}" for place in range(count)]))


def _hosts() -> tuple[Any, int, int]:
    """What TF_CONFIG tells: a resolver, how many hosts there are, and which one this is."""
    try:
        cluster = tf.distribute.cluster_resolver.TFConfigClusterResolver()
        places = [(kind, number) for kind in ("chief", "worker") for number in range(_tasks(cluster, kind))]
        return cluster, len(places), places.index((cluster.task_type, cluster.task_id)) if len(places) > 1 else 0
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(f"TF_CONFIG does not name hosts and this one ({str(error).splitlines()[0]})") from None


def _tasks(cluster: Any, kind: str) -> int:
    spec = cluster.cluster_spec()
    return spec.num_tasks(kind) if kind in spec.jobs else 0


def _tpu() -> Devices:
    name = os.environ.get("TPU_NAME", "local")
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=name)
        if name != "local":
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (tf.errors.OpError, ValueError, OSError) as error:
        why = str(error).strip().splitlines()[0]
        raise UserError(f"devices asks for a TPU, TensorFlow finds none ({why}); take --devices cpu or gpu") from None
    return Replicas(tf.distribute.TPUStrategy(resolver))


# What follows is for the step.


def are_many(model: Any) -> bool:
    """Whether a model was made for more than one replica."""
    return model.distribute_strategy.num_replicas_in_sync > 1


def across(values: Any) -> Any:
    """Sums over replicas of each of some values; the values themselves where there is one."""
    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return values
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)


def compiled(model: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """How a part of the step is to be run on a replica. One device needs nothing: Keras compiles the whole step."""
    if not are_many(model) or not model.jit_compile or isinstance(model.distribute_strategy, tf.distribute.TPUStrategy):
        return lambda part: part
    return lambda part: tf.function(part, jit_compile=True, autograph=False)


def on_replicas(model: Any, step: Callable[..., Any]) -> Callable[[Any], dict[str, Any]]:
    """A step on each replica's next batch -> what the first one logs; as all have the same sums, so have they logs."""
    strategy = model.distribute_strategy

    def run(iterator: Any) -> dict[str, Any]:
        logs = strategy.run(step, args=(next(iterator),))
        return {name: strategy.experimental_local_results(value)[0] for name, value in logs.items()}

    return tf.function(run, autograph=False)
