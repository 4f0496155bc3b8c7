"""Records to batches: the shards of a data set, read side by side, parsed by tf.data in C++.

A batch has `batch_size` rows. A slot fills some of them from one shard: with bidirectional data two neighbouring ones,
forward and backward; in the reference layout as many as a file has side by side, forward and backward in turns too.
`reset` marks the rows whose stream begins, so that memories of another stream are not carried over.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from xlnet import storage
from xlnet.corpus import layouts, streams
from xlnet.corpus.manifest import Manifest
from xlnet.corpus.reference import Original
from xlnet.corpus.settings import CorpusSettings
from xlnet.errors import UserError
from xlnet.training.devices import ALL, Share
from xlnet.training.parsing import empty_record, parse
from xlnet.training.shard_copies import ShardCopies
from xlnet.training.shard_plan import Stretch, plan

VALIDATION_ROWS = 64  # at most, where a single shard does not have more
PARSED = 256  # records at once, of as many steps as that takes: what TensorFlow does for each call then hardly counts


@tf.autograph.experimental.do_not_convert  # nothing here is control flow of Python, and looking for some takes seconds
def training_batches(
    data: str,
    manifest: Manifest,
    *,
    batch_size: int,
    steps: int,
    seed: int,
    start: int = 0,
    orders: str = "stored",
    share: Share = ALL,
) -> tf.data.Dataset:
    """The batches from step `start` to step `steps` of a training run; see the module for their content.

    Dict of pieces, segments, order int32 [batch_size, length], is_target bool [batch_size, length] and reset bool
    [batch_size]. `orders` "on-the-fly" draws new ones, which is done anyway where the original wrote the data.
    A `share` reads some of the slots only, and has their rows.
    Raises UserError when the data do not carry so many rows.
    """
    rows = rows_per_slot(manifest)
    slots = _slots(batch_size, rows)
    stretches = plan(_lengths(manifest), slots=slots, steps=steps, seed=seed, start=start)
    stretches = stretches[share.of(slots)]
    local = _local(data, manifest, stretches)
    read = [_slot(data, manifest, slot, rows=rows, local=local) for slot in stretches]
    drawn = None if _is_stored(manifest, orders) else _orders(manifest, slots=slots, share=share, seed=seed)
    return _side_by_side(read, manifest, first=start, last=steps, orders=drawn)


@tf.autograph.experimental.do_not_convert
def validation_batches(
    data: str, manifest: Manifest, *, most_rows: int = VALIDATION_ROWS, share: Share = ALL, multiple: int = 1
) -> tuple[tf.data.Dataset, int]:
    """Every record of a data set once, its shards side by side; and the rows of a batch, `most_rows` at most.

    Orders are the stored ones, where there are any. Slots that have nothing more to read go on with rows that have no
    target. There are a `multiple` of slots; a `share` reads some of them, the rows are those of all.
    """
    rows = rows_per_slot(manifest)
    lengths = _lengths(manifest)
    slots = min(sum(1 for length in lengths if length), max(1, most_rows // rows))
    if not slots:
        raise UserError(f"{data} holds no record; it was made from too little text")
    stretches = plan(lengths, slots=slots, steps=None)
    stretches += [[] for _ in range(-slots % multiple)]
    slots = len(stretches)
    counts = [sum(stretch.count for stretch in slot) for slot in stretches]
    steps = max(counts)
    empty = empty_record(manifest.settings, vocabulary_size=manifest.vocabulary["size"])
    filler = tf.data.Dataset.from_tensors((tf.constant(empty), tf.constant(0, tf.int64)))
    local = _local(data, manifest, stretches[share.of(slots)])
    read = [
        _slot(data, manifest, slot, rows=rows, local=local).concatenate(filler.repeat((steps - count) * rows))
        for slot, count in list(zip(stretches, counts, strict=True))[share.of(slots)]
    ]
    drawn = None if _is_stored(manifest, "stored") else _orders(manifest, slots=slots, share=share, seed=0)
    return _side_by_side(read, manifest, first=0, last=steps, orders=drawn), slots * rows


def rows_per_slot(manifest: Manifest) -> int:
    """The rows of a batch that one shard fills."""
    return streams.rows_of_step(manifest.settings)


def check_shards(data: str, manifest: Manifest) -> None:
    """Raises UserError when a shard is missing or has another size than the manifest says."""
    listed = _sizes(data) if storage.is_remote(data) else {}
    for shard in manifest.shards:
        path = storage.join(data, shard.file)
        found = listed[path] if path in listed else storage.size(path)
        if found != shard.bytes:
            raise UserError(
                f"{path} has {found} bytes, the manifest says {shard.bytes}; it was cut or replaced, preprocess again"
            )


def _sizes(folder: str) -> dict[str, int]:
    """Of all files in a folder on gs://, asked for at once."""
    return {file.path: file.bytes for file in storage.match([storage.join(folder, "**")])}


def check_rows(manifest: Manifest, batch_size: int) -> None:
    """Raises UserError when the data do not carry batches of so many rows."""
    plan(_lengths(manifest), slots=_slots(batch_size, rows_per_slot(manifest)), steps=0)


@contextlib.contextmanager
def naming_damage(data: str, manifest: Manifest) -> Iterator[None]:
    """Raises UserError that names the first damaged record, where TensorFlow finds one without saying where."""
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError, tf.errors.UnknownError):
        for shard in manifest.shards:
            for _ in layouts.read(storage.join(data, shard.file), manifest.settings):
                pass
        raise


def _slots(batch_size: int, rows: int) -> int:
    if batch_size < rows or batch_size % rows:
        wanted = "an even number of rows" if rows == 2 else f"a multiple of {rows}: each file holds so many rows"
        raise UserError(f"batch_size is {batch_size}; these data need {wanted}")
    return batch_size // rows


def _lengths(manifest: Manifest) -> list[int]:
    rows = rows_per_slot(manifest)
    return [shard.records // rows for shard in manifest.shards]


def _local(data: str, manifest: Manifest, slots: Sequence[Sequence[Stretch]]) -> Callable[[Any], Any]:
    """From the path of a shard, a tensor, to that of a file on the disk, when it is about to be read."""
    if not storage.is_remote(data):
        return lambda path: path
    copies = ShardCopies([[storage.join(data, manifest.shards[each.shard].file) for each in slot] for slot in slots])
    return lambda path: tf.numpy_function(lambda name: copies.local(name.decode()), [path], tf.string)


def _slot(
    data: str,
    manifest: Manifest,
    stretches: Sequence[Stretch],
    *,
    rows: int,
    local: Callable[[Any], Any],
) -> tf.data.Dataset:
    """One slot's records, serialized, with the step of their stream: pairs, as many of them a step as `rows`."""
    files = tf.constant([storage.join(data, manifest.shards[stretch.shard].file) for stretch in stretches], tf.string)
    firsts = tf.constant([stretch.first for stretch in stretches], tf.int64)
    counts = tf.constant([stretch.count for stretch in stretches], tf.int64)

    def read(file: Any, first: Any, count: Any) -> tf.data.Dataset:
        return tf.data.TFRecordDataset(local(file)).skip(first * rows).take(count * rows)

    def number(first: Any, count: Any) -> tf.data.Dataset:
        return tf.data.Dataset.range(first * rows, (first + count) * rows)

    serialized = tf.data.Dataset.from_tensor_slices((files, firsts, counts)).flat_map(read)
    numbers = tf.data.Dataset.from_tensor_slices((firsts, counts)).flat_map(number)
    return tf.data.Dataset.zip(serialized, numbers)


def _side_by_side(
    slots: Sequence[tf.data.Dataset], manifest: Manifest, *, first: int, last: int, orders: Callable[[Any], Any] | None
) -> tf.data.Dataset:
    """The batches of steps `first` to `last`, each made of what its slots read. Some steps are parsed at once.

    `orders` of a step are taken instead of the stored ones.
    """
    rows = rows_per_slot(manifest)
    together = max(1, PARSED // (len(slots) * rows))
    read = tf.data.Dataset.zip(tuple(slot.batch(together * rows) for slot in slots))
    steps = read.map(
        lambda *slots: _parse(slots, manifest, with_order=orders is None),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    ).unbatch()
    if orders is not None:
        steps = steps.enumerate(first).map(
            lambda step, batch: batch | {"order": orders(step)},
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
    return steps.apply(tf.data.experimental.assert_cardinality(last - first)).prefetch(2)


def _parse(slots: Any, manifest: Manifest, *, with_order: bool) -> dict[str, Any]:
    """What slots read of some steps, [steps * rows] each, to batches [steps, slots * rows, ...]."""
    settings, rows = manifest.settings, rows_per_slot(manifest)
    size = len(slots) * rows

    def by_step(parts: Any) -> Any:
        steps = tf.transpose(tf.reshape(tf.stack(parts), [len(slots), -1, rows]), [1, 0, 2])
        return tf.reshape(tf.gather(steps, alternating(settings), axis=2), [-1])

    parsed = parse(
        by_step([serialized for serialized, _ in slots]),
        settings=settings,
        vocabulary_size=manifest.vocabulary["size"],
        with_order=with_order,
    )
    batches = {name: tf.reshape(values, [-1, size, values.shape[1]]) for name, values in parsed.items()}
    return batches | {"reset": tf.reshape(by_step([number for _, number in slots]) < rows, [-1, size])}


def alternating(settings: CorpusSettings) -> NDArray[np.int64]:
    """The rows of a slot in the order forward, backward, forward, backward, ..."""
    is_backward = streams.backward_rows(settings)
    if not is_backward.any():
        return np.arange(len(is_backward))
    return np.stack([np.flatnonzero(~is_backward), np.flatnonzero(is_backward)], axis=1).ravel()


def _is_stored(manifest: Manifest, orders: str) -> bool:
    return orders == "stored" and not isinstance(manifest, Original)


def _orders(manifest: Manifest, *, slots: int, share: Share, seed: int) -> Callable[[Any], Any]:
    """Of a step the orders of a share's rows: a part of those of all rows, so that it does not matter who reads."""
    rows = slots * rows_per_slot(manifest)
    return lambda step: _draw_orders(rows, step, manifest=manifest, seed=seed)[share.of(rows)]


def _draw_orders(rows: int, step: Any, *, manifest: Manifest, seed: int) -> Any:
    """Factorization orders [rows, length], drawn from (seed, step): one permutation a half, shared by its chunks."""
    size = manifest.settings.permutation_size
    halves = []
    for half, span in enumerate((manifest.settings.reuse_length, manifest.settings.new_length)):
        keys = [tf.constant(seed * 2 + half, tf.int64), tf.cast(step, tf.int64)]  # a seed may have 32 bits
        draws = tf.random.stateless_uniform([rows, size], seed=keys)
        ranks = tf.argsort(draws, axis=-1)
        halves.append(tf.concat([ranks + chunk for chunk in range(0, span, size)], axis=-1))
    return tf.concat(halves, axis=-1)
