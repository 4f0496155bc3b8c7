"""A stream to training examples: windows, spans and factorization orders together.

Every draw comes from a counter-based generator whose key names what it is for. So examples are a function of the
stream, the settings and the shard's number, wherever and whenever they are made.
"""

import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from xlnet.corpus import orders, spans, streams
from xlnet.corpus.settings import CorpusSettings
from xlnet.corpus.streams import CLS, SEP, Stream, Windows

BLOCK = 1024  # windows made at once; draws are keyed by block, so another number is other data

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
    for start in range(0, count, BLOCK):
        windows = range(start, min(start + BLOCK, count))
        key = (settings.seed, pass_index, shard, start)
        rows = [_rows(stream, windows, is_word_start=is_word_start, settings=settings, key=("forward", *key))]
        if settings.bidirectional:
            key = ("backward", *key)
            rows.append(_rows(stream.backward, windows, is_word_start=is_word_start, settings=settings, key=key))
        yield {
            name: np.stack([row[name] for row in rows], axis=1).reshape(-1, rows[0][name].shape[1]) for name in rows[0]
        }


def _rows(
    stream: Stream,
    windows: range,
    *,
    is_word_start: NDArray[np.bool_],
    settings: CorpusSettings,
    key: tuple[int | str, ...],
) -> Features:
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
        "is_masked": _masks(cut, is_word_start=is_word_start, settings=settings, key=key).view(np.uint8),
        "order": order,
        "label": cut.label[:, None],
    }


def _masks(
    cut: Windows, *, is_word_start: NDArray[np.bool_], settings: CorpusSettings, key: tuple[int | str, ...]
) -> NDArray[np.bool_]:
    """Which pieces are predicted [windows, sequence_length]; spans are drawn in reading order, each half by itself."""
    step = -1 if key[0] == "backward" else 1
    is_start = is_word_start[cut.input]
    is_functional = (cut.input == SEP) | (cut.input == CLS)
    masks = []
    for half, part in enumerate((slice(None, settings.reuse_length), slice(settings.reuse_length, None))):
        mask = spans.sample(
            is_start[:, part][:, ::step],
            is_functional[:, part][:, ::step],
            goal=settings.goals[half],
            settings=settings,
            draws=spans.RandomDraws(generator("spans", half, *key)),
        )
        masks.append(mask[:, ::step])
    return np.concatenate(masks, axis=1)
