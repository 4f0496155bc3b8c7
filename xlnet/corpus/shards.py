"""One shard: the documents that came to it, as one stream a pass, in one file of records each.

A compact file's name holds its address, a hash of all that its bytes depend on. So a file that is there is finished,
and right: a run that was stopped and begins again keeps it.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import IO

import numpy as np
from numpy.typing import NDArray

from xlnet import storage
from xlnet.corpus import layouts, reference
from xlnet.corpus.arrangement import arrange, first_of_equals
from xlnet.corpus.manifest import FORMAT, Shard
from xlnet.corpus.settings import CorpusSettings
from xlnet.corpus.streams import Stream
from xlnet.corpus.tokenized import TokenizedDocuments, concatenate

ADDRESS = 12  # hexadecimal digits of it in a file's name
COUNTED = 1 << 18  # pieces at once
EXAMPLES = 20  # duplicates of a shard that may be shown
ALL_EXAMPLES = 1000  # of all shards, for they meet at the end; at least one of each shard


@dataclass(frozen=True, eq=False)
class Recipe:
    """What the files of a shard depend on, next to its documents."""

    settings: CorpusSettings
    is_word_start: NDArray[np.bool_]  # [vocabulary size]
    vocabulary: str  # its SHA-256
    weights: tuple[float, ...]  # of the sources
    unique: bool = False  # no document twice


@dataclass(frozen=True, eq=False)
class ShardSummary:
    """What became of a shard's documents."""

    number: int  # of the shard, counted on from part to part
    part: int
    files: list[Shard]  # one a pass
    documents: int  # that arrived
    pieces: int
    duplicates: int  # documents among them that were removed
    duplicate_pieces: int
    examples: list[list[int]]  # the first pieces of some of those
    lengths: dict[int, int]  # documents by length: 8 counts those of 8 to 15 pieces


def write_shard(
    directory: str,
    shard: int,
    parts: Iterable[TokenizedDocuments],
    *,
    recipe: Recipe,
    passes: range,
    part: int = 0,
    counts: str | None = None,
) -> ShardSummary:
    """Write the files of a shard, each whole or not at all; `parts` are its documents in any order.

    The pieces' frequencies go to the file `counts`, int64 [vocabulary size].
    """
    documents = concatenate(parts)
    arrived = documents.sizes.size, documents.pieces.size
    kept = first_of_equals(documents) if recipe.unique else np.ones(documents.sizes.size, np.bool_)
    most = min(EXAMPLES, max(1, ALL_EXAMPLES // recipe.settings.shards))
    examples = _beginnings(documents, np.flatnonzero(~kept), most=most)
    if not kept.all():
        documents = documents.take(np.flatnonzero(kept))
    duplicates = arrived[0] - documents.sizes.size, arrived[1] - documents.pieces.size
    number = part * recipe.settings.shards + shard
    if counts is not None:
        frequencies = _frequencies(documents.pieces, recipe.is_word_start.size)
        storage.publish(counts, frequencies.astype("<i8").tobytes())
    powers, amounts = np.unique(np.frexp(documents.sizes)[1] - 1, return_counts=True)
    files = []
    for index in passes:
        order = arrange(documents, seed=recipe.settings.seed, pass_index=index, weights=recipe.weights)
        arranged = documents.take(order)
        if index == passes[-1]:
            del documents  # a stream is held once while it is written
        files.append(_write_pass(directory, number, arranged, recipe, pass_index=index, part=part))
    return ShardSummary(
        number=number,
        part=part,
        files=files,
        documents=arrived[0],
        pieces=arrived[1],
        duplicates=duplicates[0],
        duplicate_pieces=duplicates[1],
        examples=examples,
        lengths={1 << power: amount for power, amount in zip(powers.tolist(), amounts.tolist(), strict=True)},
    )


def _frequencies(pieces: NDArray[np.integer], size: int) -> NDArray[np.int64]:
    """How often each piece occurs [size]; block by block, because counting takes eight bytes a piece."""
    total = np.zeros(size, np.int64)
    for start in range(0, pieces.size, COUNTED):
        total += np.bincount(pieces[start : start + COUNTED], minlength=size)
    return total


def _beginnings(
    documents: TokenizedDocuments, removed: NDArray[np.int64], *, most: int, length: int = 30
) -> list[list[int]]:
    """The first pieces of a few of these documents: of those with the smallest keys, whatever order they are in."""
    high, low = documents.keys[removed].view(">u8").T
    chosen = documents.take(removed[np.lexsort((low, high))[:most]])
    starts = np.cumsum(chosen.sizes) - chosen.sizes
    return [
        chosen.pieces[start : start + min(size, length)].tolist()
        for start, size in zip(starts.tolist(), chosen.sizes.tolist(), strict=True)
    ]


def _write_pass(
    directory: str, shard: int, documents: TokenizedDocuments, recipe: Recipe, *, pass_index: int, part: int
) -> Shard:
    settings = recipe.settings
    address = _address(documents.keys, recipe, pass_index=pass_index, shard=shard)
    is_reference = settings.layout == "reference"
    file = layouts.file_name(shard, pass_index, settings, address=address[:ADDRESS])
    path = storage.join(directory, file)
    stream = documents.stream()
    expected = layouts.account(stream.pieces.size, settings)
    if storage.exists(path) and not is_reference:
        size, digest = storage.size(path), storage.sha256(path)
    else:
        size, digest = _write(path, stream, recipe, pass_index=pass_index, shard=shard)
    if is_reference and expected.records:
        name, info = reference.record_info(shard, pass_index, settings, records=expected.records)
        storage.publish_json(storage.join(directory, name), info)
    return Shard(
        file=file,
        pass_index=pass_index,
        part=part,
        shard=shard,
        records=expected.records,
        documents=documents.sizes.size,
        pieces=stream.pieces.size,
        dropped=expected.dropped,
        bytes=size,
        sha256=digest,
        address=address,
    )


def _write(path: str, stream: Stream, recipe: Recipe, *, pass_index: int, shard: int) -> tuple[int, str]:
    """Write a file; its size and SHA-256."""
    with storage.writing(path) as target:
        hashed = _Hashed(target)
        layouts.write(
            hashed,
            stream,
            settings=recipe.settings,
            vocabulary_size=recipe.is_word_start.size,
            is_word_start=recipe.is_word_start,
            pass_index=pass_index,
            shard=shard,
        )
    return hashed.bytes, hashed.digest.hexdigest()


def _address(keys: NDArray[np.integer], recipe: Recipe, *, pass_index: int, shard: int) -> str:
    """A hash of all that a file's bytes depend on; `keys` are those of its documents in their order [documents, 16]."""
    settings = asdict(recipe.settings) | {"passes": 0}  # how many there are changes none of them
    of = json.dumps([FORMAT, settings, recipe.vocabulary, pass_index, shard], sort_keys=True)
    digest = hashlib.blake2b(of.encode(), digest_size=16)
    digest.update(keys.tobytes())
    return digest.hexdigest()


class _Hashed:
    """A stream that is written to and hashed on the way."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.digest = hashlib.sha256()
        self.bytes = 0

    def write(self, content: bytes) -> None:
        self.digest.update(content)
        self.bytes += len(content)
        self.stream.write(content)
