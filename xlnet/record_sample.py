"""What a data set's records look like: spans, target positions and segments of a sample of them."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from xlnet import storage
from xlnet.corpus import layouts
from xlnet.corpus.manifest import Manifest, Shard
from xlnet.errors import UserError
from xlnet.special_pieces import CLS, SEP
from xlnet.text import Tokenizer

Pieces = NDArray[np.integer]
BINS = 32  # of a window's positions, over both halves


@dataclass(frozen=True, eq=False)
class Sample:
    """Records from the beginning of some shards, which are spread evenly over all of them.

    Documents lie in a shard in an order drawn by chance, so its beginning is as good as any part of it, and costs the
    least to read.
    """

    is_target: NDArray[np.bool_]  # [records, length]
    is_start: NDArray[np.bool_]  # [records, length]: the piece begins a word
    follows: NDArray[np.bool_]  # [records]: B follows A in the text
    shards: int  # that were read
    each: int  # records of a shard, at most

    @property
    def records(self) -> int:
        """How many there are."""
        return len(self.follows)


@dataclass(frozen=True)
class Bin:
    """Positions [start, stop) of a window, and which share of them is predicted."""

    start: int
    stop: int
    share: float


def read(manifest: Manifest, tokenizer: Tokenizer, *, records: int) -> Sample | None:
    """A sample of about `records` records, the same each time; None where the data set has none.

    Raises UserError, naming file and record, for what is damaged or of other settings.
    """
    filled = [shard for shard in manifest.shards if shard.records]
    if not filled or records < 1:
        return None
    chosen = [filled[at * len(filled) // records] for at in range(records)] if len(filled) > records else filled
    each = -(-records // len(chosen))
    rows = [row for shard in chosen for row in _beginning(manifest, shard, each)]
    pieces = np.stack([piece for piece, _, _ in rows])
    is_functional = (pieces == SEP) | (pieces == CLS)
    return Sample(
        is_target=np.stack([masked for _, masked, _ in rows]).astype(bool) & ~is_functional,
        is_start=tokenizer.is_word_start[pieces],
        follows=np.array([label for _, _, label in rows], bool),
        shards=len(chosen),
        each=min(each, max(shard.records for shard in chosen)),
    )


def _beginning(manifest: Manifest, shard: Shard, most: int) -> list[tuple[Pieces, Pieces, int]]:
    """Pieces, masks and label of a shard's first records."""
    path = storage.join(manifest.directory, shard.file)
    length, vocabulary = manifest.settings.sequence_length, manifest.vocabulary["size"]
    found = []
    for number, record in zip(range(most), layouts.read(path, manifest.settings), strict=False):
        pieces, is_masked = record["input"], record["is_masked"]
        if not len(pieces) == len(is_masked) == length or not 0 <= pieces.min() <= pieces.max() < vocabulary:
            raise UserError(
                f"{path}: record {number} is not one of this data set: {len(pieces)} pieces up to {pieces.max()}, the "
                f"manifest says {length} of a vocabulary of {vocabulary}; preprocess again"
            )
        found.append((pieces, is_masked, int(record["label"][0])))
    if len(found) < min(most, shard.records):
        raise UserError(f"{path} has {len(found)} records, the manifest says {shard.records}; preprocess again")
    return found


def span_lengths(sample: Sample) -> tuple[dict[int, int], dict[int, int]]:
    """Runs of adjacent targets by their length in pieces, and by the words that begin in them.

    Two spans that touch are one run, and a run without a word's beginning, a part of a word, counts as one word.
    """
    padded = np.pad(sample.is_target, ((0, 0), (1, 1)))
    changes = np.diff(padded.astype(np.int8), axis=1).ravel()
    begin, end = np.flatnonzero(changes == 1), np.flatnonzero(changes == -1)
    starts = np.pad(sample.is_start, ((0, 0), (0, 1))).ravel()  # one more a record, as the changes have
    before = np.concatenate([[0], np.cumsum(starts)])
    return _counted(end - begin), _counted(np.maximum(before[end] - before[begin], 1))


def target_positions(sample: Sample, *, reuse_length: int) -> list[Bin]:
    """Which share of the positions is predicted, along the window; no bin lies in both halves."""
    length = sample.is_target.shape[1]
    shares = sample.is_target.mean(axis=0)
    bins = []
    for first, last in ((0, reuse_length), (reuse_length, length)):
        parts = min(last - first, max(1, round(BINS * (last - first) / length)))
        edges = [first + (last - first) * part // parts for part in range(parts + 1)]
        bins += [Bin(a, b, float(shares[a:b].mean())) for a, b in pairwise(edges)]
    return bins


def _counted(numbers: NDArray[np.int64]) -> dict[int, int]:
    values, amounts = np.unique(numbers, return_counts=True)
    return dict(zip(values.tolist(), amounts.tolist(), strict=True))
