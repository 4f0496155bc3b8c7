"""The documents of a shard, in the order of one pass: each as often as its source weighs.

The order is a function of the documents alone, whatever the order they come in. Equal documents are told apart by
number, so that they stand in different places.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xlnet.corpus.tokenized import KEY_BYTES, TokenizedDocuments


def arrange(
    documents: TokenizedDocuments, *, seed: int, pass_index: int, weights: Sequence[float]
) -> NDArray[np.int64]:
    """Which documents stand in a pass, in their order [copies]; `weights` are those of their sources.

    Over the passes a document stands `weight` times a pass, rounded to whole ones in turns that begin at random.
    """
    order = _sorted(documents)
    weight = np.asarray(weights)[documents.sources[order]]
    phase = documents.keys[order, 8:].copy().view("<u8")[:, 0] / 2.0**64
    copies = np.floor(weight * (pass_index + 1) + phase) - np.floor(weight * pass_index + phase)
    order = np.repeat(order, copies.astype(np.int64))
    key = seed.to_bytes(8, "little") + pass_index.to_bytes(8, "little")
    keys, numbers = documents.keys[order], _numbers(documents.keys[order])
    places = b"".join(
        hashlib.blake2b(row.tobytes() + number.to_bytes(4, "little"), digest_size=KEY_BYTES, key=key).digest()
        for row, number in zip(keys, numbers.tolist(), strict=True)
    )
    high, low = np.frombuffer(places, ">u8").reshape(-1, 2).T
    return order[np.lexsort((low, high))]


def first_of_equals(documents: TokenizedDocuments) -> NDArray[np.bool_]:
    """Which documents to keep, so that none comes twice; the earliest source keeps its one [documents]."""
    order = _sorted(documents)
    kept = np.zeros(order.size, np.bool_)
    kept[order] = _numbers(documents.keys[order]) == 0
    return kept


def _sorted(documents: TokenizedDocuments) -> NDArray[np.int64]:
    """The documents by key, equal ones by source."""
    high, low = documents.keys.copy().view(">u8").T
    return np.lexsort((documents.sources, low, high))


def _numbers(keys: NDArray[np.integer]) -> NDArray[np.int64]:
    """Of sorted keys the how-manieth of its equals each is, from 0."""
    places = np.arange(len(keys))
    begins = np.ones(len(keys), np.bool_)
    begins[1:] = (keys[1:] != keys[:-1]).any(axis=1)
    return places - np.maximum.accumulate(np.where(begins, places, 0))
