"""A stream to training examples: windows, spans and factorization orders together.

Every draw comes from a counter-based generator whose key names what it is for. So examples are a function of the
stream, the settings and the shard's number, wherever and whenever they are made.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xlnet.corpus import orders, spans, streams
from xlnet.corpus.settings import CorpusSettings
from xlnet.corpus.streams import CLS, SEP, Stream

BLOCK = 1024  # windows made at once; draws are keyed by block, so another number is other data
NAMES = ("forward", "backward")

Features = dict[str, NDArray[np.integer]]


def generator(*key: int | str) -> np.random.Generator:
    """The generator of one purpose: equal keys give equal draws, different keys independent ones."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest, "<u8")))


def examples(
    stream: Stream,
    *,
    is_word_start: NDArray[np.bool_],
    settings: CorpusSettings,
    pass_index: int,
    shard: int,
) -> Iterator[Features]:
    """The examples of a stream in blocks: features [rows, length] by name, in the order of the text.

    With bidirectional data row 2k holds window k of the stream, row 2k + 1 window k of the reversed stream.
    `is_word_start` [vocabulary size] tells which pieces begin a word.
    """
    count = stream.windows(settings.sequence_length, settings.reuse_length)
    directions = [stream, stream.backward] if settings.bidirectional else [stream]
    for start in range(0, count, BLOCK):
        windows = range(start, min(start + BLOCK, count))
        key = (settings.seed, pass_index, shard, start)
        rows = [
            _rows(way, windows, settings=settings, key=(name, *key))
            for name, way in zip(NAMES, directions, strict=False)
        ]
        together = {name: _interleave([row[name] for row in rows]) for name in rows[0]}
        is_masked = _masks(together["input"], is_word_start=is_word_start, settings=settings, key=key)
        yield together | {"is_masked": is_masked.view(np.uint8)}


def _rows(stream: Stream, windows: range, *, settings: CorpusSettings, key: tuple[int | str, ...]) -> Features:
    cut = streams.cut_windows(
        stream,
        windows,
        sequence_length=settings.sequence_length,
        reuse_length=settings.reuse_length,
        uniform=generator("segments", *key).random((3, len(windows))),
    )
    order = orders.draw(
        generator("order", *key),
        len(windows),
        sequence_length=settings.sequence_length,
        reuse_length=settings.reuse_length,
        permutation_size=settings.permutation_size,
    )
    return {
        "input": cut.input,
        "target": cut.target,
        "seg_id": cut.seg_id,
        "order": order,
        "label": cut.label[:, None],
    }


def _interleave(rows: Sequence[NDArray[np.integer]]) -> NDArray[np.integer]:
    """Row 0 of each array, then row 1 of each, ..."""
    return rows[0] if len(rows) == 1 else np.stack(rows, axis=1).reshape(-1, rows[0].shape[1])


def _masks(
    pieces: NDArray[np.integer],
    *,
    is_word_start: NDArray[np.bool_],
    settings: CorpusSettings,
    key: tuple[int, ...],
) -> NDArray[np.bool_]:
    """Which pieces are predicted [rows, sequence_length]; spans are drawn in reading order, each half by itself."""
    rows = len(pieces)
    parts = [_turn(pieces[:, : settings.reuse_length], settings), _turn(pieces[:, settings.reuse_length :], settings)]
    goals = [np.full(rows, goal) for goal in settings.goals]
    if settings.reuse_length == settings.new_length:  # as is usual: then both halves are drawn at once, in less time
        parts, goals = [np.concatenate(parts)], [np.concatenate(goals)]
    masks = [
        spans.sample(
            is_word_start.take(part),
            (part == SEP) | (part == CLS),
            goals=goal,
            settings=settings,
            draws=spans.RandomDraws(generator("spans", number, *key)),
        )
        for number, (part, goal) in enumerate(zip(parts, goals, strict=True))
    ]
    halves = masks if len(masks) == 2 else [masks[0][:rows], masks[0][rows:]]
    return np.concatenate([_turn(mask, settings) for mask in halves], axis=1)


def _turn(rows: NDArray[Any], settings: CorpusSettings) -> NDArray[Any]:
    """Backward rows turned around: the text in reading order, and from there back."""
    if not settings.bidirectional:
        return rows
    turned = rows.copy()
    turned[1::2] = rows[1::2, ::-1]
    return turned
