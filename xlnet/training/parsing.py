"""Records to model inputs, whole batches at once: operations of TensorFlow alone, nothing a record in Python."""

from typing import Any

import tensorflow as tf

from xlnet.corpus import layouts, records
from xlnet.corpus.settings import FUNCTIONAL, CorpusSettings
from xlnet.special_pieces import CLS, SEP

KINDS = {"u1": tf.uint8, "<u2": tf.uint16, "<u4": tf.int32}  # numbers of pieces do not reach the highest bit


def parse(serialized: Any, *, settings: CorpusSettings, vocabulary_size: int, with_order: bool) -> dict[str, Any]:
    """Serialized records [rows] to pieces, segments and, if wanted, order, int32 [rows, length]; is_target bool.

    Raises InvalidArgumentError (when run) for records of other settings.
    """
    if settings.layout == "reference":
        parsed = _parse_reference(serialized, settings, with_order=with_order)
    else:
        parsed = _parse_compact(serialized, settings, vocabulary_size=vocabulary_size, with_order=with_order)
    if with_order:
        is_functional = (parsed["pieces"] == SEP) | (parsed["pieces"] == CLS)
        parsed["order"] = _dense(parsed["order"], parsed["is_target"] | is_functional)
    return parsed


def empty_record(settings: CorpusSettings, *, vocabulary_size: int) -> bytes:
    """A record without a target, for rows that have nothing more to read."""
    if settings.layout == "compact":
        return records.fixed(layouts.compact_sizes(settings, vocabulary_size=vocabulary_size))[0]
    return layouts.empty_reference_record(settings)


def _parse_compact(
    serialized: Any, settings: CorpusSettings, *, vocabulary_size: int, with_order: bool
) -> dict[str, Any]:
    length = settings.sequence_length
    names = ["input", "is_masked"] + (["order"] if with_order else [])
    parsed = tf.io.parse_example(serialized, {name: tf.io.FixedLenFeature([], tf.string) for name in names})
    pieces = _numbers(parsed["input"], layouts.piece_kind(vocabulary_size), length)
    found = {
        "pieces": pieces,
        "segments": _segments(pieces, reuse_length=settings.reuse_length),
        "is_target": _bits(parsed["is_masked"], length),
    }
    if with_order:
        kind = layouts.rank_kind(settings)
        found["order"] = _numbers(parsed["order"], kind, settings.predictions + FUNCTIONAL)
    return found


def _parse_reference(serialized: Any, settings: CorpusSettings, *, with_order: bool) -> dict[str, Any]:
    lengths = dict.fromkeys(("input", "seg_id", "is_masked"), settings.sequence_length)
    if with_order:
        lengths["order"] = settings.predictions + FUNCTIONAL
    spec = {name: tf.io.FixedLenFeature([length], tf.int64) for name, length in lengths.items()}
    parsed = tf.io.parse_example(serialized, spec)
    found = {
        "pieces": tf.cast(parsed["input"], tf.int32),
        "segments": tf.cast(parsed["seg_id"], tf.int32),
        "is_target": tf.cast(parsed["is_masked"], tf.bool),
    }
    return found | ({"order": tf.cast(parsed["order"], tf.int32)} if with_order else {})


def _numbers(content: Any, kind: str, length: int) -> Any:
    """The numbers in strings of bytes [rows] as int32 [rows, length]."""
    return tf.cast(tf.ensure_shape(tf.io.decode_raw(content, KINDS[kind]), [None, length]), tf.int32)


def _bits(content: Any, length: int) -> Any:
    """The bits in strings of bytes [rows], the highest of each byte first, as bool [rows, length]."""
    raw = tf.ensure_shape(tf.io.decode_raw(content, tf.uint8), [None, -(-length // 8)])
    bits = tf.bitwise.bitwise_and(raw[:, :, None], tf.constant([1 << place for place in range(7, -1, -1)], tf.uint8))
    return tf.reshape(bits, [-1, raw.shape[1] * 8])[:, :length] > 0


def _segments(pieces: Any, *, reuse_length: int) -> Any:
    """See `streams.segment_ids`; of what it counts, only the first <sep> is not where it always is."""
    new = pieces[:, reuse_length:]
    place = tf.range(new.shape[1])
    after_a = place > tf.argmax(new == SEP, axis=1, output_type=tf.int32)[:, None]
    segments = tf.cast(after_a, tf.int32) + tf.cast(place == new.shape[1] - 1, tf.int32)
    return tf.pad(segments, [[0, 0], [reuse_length, 0]])


def _dense(ranks: Any, is_ordered: Any) -> Any:
    """See `orders.dense`."""
    used = tf.sequence_mask(tf.reduce_sum(tf.cast(is_ordered, tf.int32), axis=1), ranks.shape[1])
    return tf.scatter_nd(tf.where(is_ordered), tf.boolean_mask(ranks, used), tf.shape(is_ordered, out_type=tf.int64))
