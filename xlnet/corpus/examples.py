"""A stream to training examples: windows, spans and factorization orders together.

Every draw comes from a counter-based generator whose key names what it is for. So examples are a function of the
stream, the settings and the shard's number, wherever and whenever they are made.
"""

import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from xlnet.corpus import orders, spans, streams
from xlnet.corpus.settings import FUNCTIONAL, CorpusSettings
from xlnet.corpus.streams import Stream
from xlnet.special_pieces import CLS, SEP

BLOCK = 2048  # records made at once; draws are keyed by block, so another number is other data

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
    """The examples of a stream in blocks: features [records, length] by name, step by step.

    `input`, `is_masked`, `order` (ranks, see `orders.draw`) and `label`; what follows from them, `target` and `seg_id`,
    in the reference layout alone. The rows of a step are those of `streams.side_by_side`: with bidirectional data in
    the compact layout, record 2k holds window k of the stream, record 2k + 1 window k of the reversed stream.
    `is_word_start` [vocabulary size] tells which pieces begin a word.
    """
    rows = streams.side_by_side(stream, settings)
    is_backward = streams.backward_rows(settings)
    count = rows[0].windows(settings.sequence_length, settings.reuse_length)
    step = max(1, BLOCK // len(rows))
    for start in range(0, count, step):
        windows = range(start, min(start + step, count))
        key = (settings.seed, pass_index, shard, start)
        kind = np.uint16 if is_word_start.size <= 1 << 16 else np.uint32
        read = [_row(row, windows, settings=settings, kind=kind, key=(n, *key)) for n, row in enumerate(rows)]
        features = {name: _interleave([row[name] for row in read]) for name in read[0]}
        turned = np.tile(is_backward, len(windows))
        yield features | _draws(features["input"], turned, is_word_start=is_word_start, settings=settings, key=key)


def _row(
    stream: Stream, windows: range, *, settings: CorpusSettings, kind: type[np.integer], key: tuple[int, ...]
) -> Features:
    """The windows of one row: what is read, before anything is chosen in it."""
    lengths = {"sequence_length": settings.sequence_length, "reuse_length": settings.reuse_length}
    uniform = generator("segments", *key).random((3, len(windows)))
    cut = streams.cut_windows(stream, windows, **lengths, uniform=uniform, kind=kind)
    features: Features = {"input": cut.input, "label": cut.splits.label[:, None]}
    if settings.layout != "reference":
        return features
    target = streams.following(stream, windows, cut.splits, **lengths, kind=kind)
    return features | {"target": target, "seg_id": streams.segment_ids(cut.input, reuse_length=settings.reuse_length)}


def _interleave(rows: list[NDArray[np.integer]]) -> NDArray[np.integer]:
    """Window 0 of each row, then window 1 of each, ..."""
    return rows[0] if len(rows) == 1 else np.stack(rows, axis=1).reshape(-1, rows[0].shape[1])


def _draws(
    pieces: NDArray[np.integer],
    turned: NDArray[np.bool_],
    *,
    is_word_start: NDArray[np.bool_],
    settings: CorpusSettings,
    key: tuple[int, ...],
) -> Features:
    """Which pieces are predicted, and in which order: of windows [records, length], some of them read backwards."""
    is_functional = (pieces == SEP) | (pieces == CLS)
    is_masked = _masks(is_word_start.take(pieces), is_functional, turned, settings=settings, key=key)
    order = orders.draw(
        generator("order", *key),
        is_masked | is_functional,
        reuse_length=settings.reuse_length,
        permutation_size=settings.permutation_size,
        slots=settings.predictions + FUNCTIONAL,
    )
    return {"is_masked": is_masked.view(np.uint8), "order": order}


def _masks(
    is_start: NDArray[np.bool_],
    is_functional: NDArray[np.bool_],
    turned: NDArray[np.bool_],
    *,
    settings: CorpusSettings,
    key: tuple[int, ...],
) -> NDArray[np.bool_]:
    """Which pieces are predicted [records, length]; spans are drawn in reading order, each half by itself."""
    records, length = is_start.shape
    halves = [slice(0, settings.reuse_length), slice(settings.reuse_length, length)]
    goals = [np.array([goal]) for goal in settings.goals]
    if settings.reuse_length == settings.new_length:  # as is usual: then both halves are drawn at once, in less time
        halves, goals = [slice(0, length)], [np.concatenate(goals)]
    masks = []
    for number, (half, goal) in enumerate(zip(halves, goals, strict=True)):
        parts = [_turn(marks[:, half], turned, parts=goal.size) for marks in (is_start, is_functional)]
        mask = spans.sample(
            *parts,
            goals=np.tile(goal, records),
            settings=settings,
            draws=spans.RandomDraws(generator("spans", number, *key)),
        )
        masks.append(_turn(mask.reshape(records, -1), turned, parts=goal.size).reshape(records, -1))
    return masks[0] if len(masks) == 1 else np.concatenate(masks, axis=1)


def _turn(marks: NDArray[np.bool_], turned: NDArray[np.bool_], *, parts: int) -> NDArray[np.bool_]:
    """Marks of records [records, length] part by part [records * parts, length / parts], some in reverse."""
    split = marks.reshape(len(marks), parts, -1)
    if turned.any():
        split = split.copy()
        split[turned] = split[turned, :, ::-1]
    return split.reshape(len(marks) * parts, -1)
