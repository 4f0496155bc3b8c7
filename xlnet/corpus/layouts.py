"""The layouts of a data set's files: how the examples of a stream become records of a file, and back.

Compact: every feature a string of bytes of a fixed size, and only what cannot be made from the others. A block of
records is one matrix of bytes. Reference: lists of integers, as the original's trainer reads them (`reference.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xlnet.corpus import orders, records, reference, streams, tfrecords
from xlnet.corpus.examples import Features, examples
from xlnet.corpus.settings import FUNCTIONAL, CorpusSettings
from xlnet.corpus.streams import Stream
from xlnet.corpus.tfrecords import Writable
from xlnet.errors import UserError
from xlnet.special_pieces import CLS, SEP

SMALL = 1 << 16  # pieces of the largest vocabulary whose numbers have 16 bits


@dataclass(frozen=True)
class Written:
    """What becomes of a stream."""

    records: int
    dropped: dict[str, int]  # pieces that are in no record, by reason: "tail", "short", "batch"


def file_name(shard: int, pass_index: int, settings: CorpusSettings, *, address: str = "") -> str:
    """Where in the data set the records of a shard are; the original's names have no room for an address."""
    if settings.layout == "reference":
        return reference.file_name(shard, pass_index, settings)
    return f"shards/pass-{pass_index}/{shard:05d}{address and '-'}{address}.tfrecord"


def write(
    target: Writable,
    stream: Stream,
    *,
    settings: CorpusSettings,
    vocabulary_size: int,
    is_word_start: NDArray[np.bool_],
    pass_index: int,
    shard: int,
) -> Written:
    """Write the examples of a stream; every piece is in a record (its first part), or counted as dropped."""
    count = 0
    blocks = examples(stream, is_word_start=is_word_start, settings=settings, pass_index=pass_index, shard=shard)
    if settings.layout == "compact":
        sizes = compact_sizes(settings, vocabulary_size=vocabulary_size)
        record, places = records.fixed(sizes)
        for features in blocks:
            columns = _columns(features, settings=settings, vocabulary_size=vocabulary_size)
            tfrecords.write_alike(target, record, {places[name]: column for name, column in columns.items()})
            count += len(features["input"])
    else:
        for features in blocks:
            tfrecords.write(target, records.encode(features))
            count += len(features["input"])
    expected = account(stream.pieces.size, settings)
    assert count == expected.records, (count, expected)
    return expected


def account(pieces: int, settings: CorpusSettings) -> Written:
    """What becomes of a stream of so many pieces."""
    rows = streams.rows_of_step(settings)
    parts = rows // 2 if settings.bidirectional else rows
    steps = streams.window_count(pieces // parts, settings.sequence_length, settings.reuse_length)
    if not steps:
        return Written(0, {"short": pieces} if pieces else {})
    batch = pieces % parts
    reasons = {"tail": pieces - batch - parts * steps * settings.reuse_length, "batch": batch}
    return Written(steps * rows, {reason: dropped for reason, dropped in reasons.items() if dropped})


def piece_kind(vocabulary_size: int) -> str:
    """The type of `input` in the compact layout."""
    return "<u2" if vocabulary_size <= SMALL else "<u4"


def rank_kind(settings: CorpusSettings) -> str:
    """The type of `order` in the compact layout."""
    most = max(settings.goals[0], settings.goals[1] + FUNCTIONAL)  # in one half
    return "u1" if most <= 1 << 8 else "<u2"


def compact_sizes(settings: CorpusSettings, *, vocabulary_size: int) -> dict[str, int]:
    """The bytes of each feature in the compact layout."""
    return {
        "input": settings.sequence_length * np.dtype(piece_kind(vocabulary_size)).itemsize,
        "is_masked": -(-settings.sequence_length // 8),
        "label": 1,
        "order": (settings.predictions + FUNCTIONAL) * np.dtype(rank_kind(settings)).itemsize,
    }


def empty_reference_record(settings: CorpusSettings) -> bytes:
    """A record of the reference layout with zeros alone."""
    sizes = dict.fromkeys(("input", "target", "seg_id", "is_masked"), settings.sequence_length)
    sizes |= {"order": settings.predictions + FUNCTIONAL, "label": 1}
    return records.encode({name: np.zeros((1, size), np.int64) for name, size in sizes.items()})[0]


def _columns(features: Features, *, settings: CorpusSettings, vocabulary_size: int) -> dict[str, NDArray[np.uint8]]:
    """The features of the compact layout as bytes [records, size]."""
    return {
        "input": features["input"].astype(piece_kind(vocabulary_size), copy=False).view(np.uint8),
        "is_masked": np.packbits(features["is_masked"], axis=1),
        "label": features["label"].astype(np.uint8),
        "order": features["order"].astype(rank_kind(settings)).view(np.uint8),
    }


def read(path: str, settings: CorpusSettings) -> Iterator[dict[str, NDArray[np.integer]]]:
    """The records of a file, decoded: input, seg_id, is_masked, order [sequence_length], label [1].

    The layout is seen from each record. Files of the original have no `order`. Raises UserError naming the file and
    the record for damage, and for a record of something else.
    """
    for number, record in enumerate(tfrecords.read(path)):
        try:
            yield _open(records.decode(record), settings)
        except (ValueError, KeyError) as error:
            what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise UserError(f"{path}: record {number} is no training record ({what}); preprocess again") from None


def _open(features: dict[str, NDArray[np.integer]], settings: CorpusSettings) -> dict[str, NDArray[np.integer]]:
    if features["input"].dtype == np.uint8:
        features = _unpacked(features, settings)
    wanted = dict.fromkeys(("input", "seg_id", "is_masked"), settings.sequence_length)
    wanted |= {"order": settings.predictions + FUNCTIONAL, "label": 1}
    _require_sizes(features, {name: size for name, size in wanted.items() if name in features})
    pieces, is_masked = features["input"], features["is_masked"]
    found = {
        "input": pieces,
        "seg_id": features.get("seg_id", streams.segment_ids(pieces, reuse_length=settings.reuse_length)),
        "is_masked": is_masked,
        "label": features["label"],
    }
    if "order" in features:
        is_ordered = is_masked.astype(bool) | np.isin(pieces, (SEP, CLS))
        if is_ordered.sum() > features["order"].size:
            raise ValueError(f"{is_ordered.sum()} targets and functional pieces, {features['order'].size} ranks")
        found["order"] = orders.dense(features["order"], is_ordered)
    return {name: values.astype(np.int64) for name, values in found.items()}


def _unpacked(features: dict[str, NDArray[np.integer]], settings: CorpusSettings) -> dict[str, NDArray[np.integer]]:
    """The features of the compact layout as numbers."""
    length, rank = settings.sequence_length, np.dtype(rank_kind(settings))
    piece = np.dtype("<u4" if features["input"].size == 4 * length else "<u2")
    _require_sizes(
        features,
        {
            "input": length * piece.itemsize,
            "is_masked": -(-length // 8),
            "order": (settings.predictions + FUNCTIONAL) * rank.itemsize,
        },
    )
    return features | {
        "input": features["input"].view(piece),
        "is_masked": np.unpackbits(features["is_masked"].astype(np.uint8, copy=False))[:length],
        "order": features["order"].view(rank),
    }


def _require_sizes(features: dict[str, NDArray[np.integer]], sizes: dict[str, int]) -> None:
    for name, size in sizes.items():
        if features[name].size != size:
            raise ValueError(f"{name} has the size {features[name].size}, {size} is wanted")
