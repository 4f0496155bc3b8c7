"""One shard: the documents that came to it, as one stream a pass, in one file of records each."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO

import numpy as np
from numpy.typing import NDArray

from xlnet import storage
from xlnet.corpus import records
from xlnet.corpus.examples import examples
from xlnet.corpus.manifest import Shard
from xlnet.corpus.settings import CorpusSettings
from xlnet.corpus.tokenized import TokenizedDocuments, arrange, concatenate


@dataclass(frozen=True, eq=False)
class ShardSummary:
    """What became of a shard's documents."""

    files: list[Shard]  # one a pass
    piece_counts: NDArray[np.int64]  # [vocabulary size] in the stream
    lengths: dict[int, int]  # documents by length: 8 counts those of 8 to 15 pieces


def shard_file(shard: int, *, pass_index: int, settings: CorpusSettings) -> str:
    """Where in the data set the records of a shard are."""
    return f"shards/pass-{pass_index}/{shard:05d}-of-{settings.shards:05d}.tfrecord"


def write_shard(
    directory: str,
    shard: int,
    parts: Iterable[TokenizedDocuments],
    *,
    settings: CorpusSettings,
    is_word_start: NDArray[np.bool_],
) -> ShardSummary:
    """Write the files of a shard, each whole or not at all; `parts` are its documents in any order."""
    documents = concatenate(parts)
    files = [
        _write_pass(directory, shard, documents, settings=settings, pass_index=pass_index, is_word_start=is_word_start)
        for pass_index in range(settings.passes)
    ]
    powers, counts = np.unique(np.frexp(documents.sizes)[1] - 1, return_counts=True)
    return ShardSummary(
        files=files,
        piece_counts=np.bincount(documents.pieces, minlength=is_word_start.size),
        lengths={1 << power: count for power, count in zip(powers.tolist(), counts.tolist(), strict=True)},
    )


def _write_pass(
    directory: str,
    shard: int,
    documents: TokenizedDocuments,
    *,
    settings: CorpusSettings,
    pass_index: int,
    is_word_start: NDArray[np.bool_],
) -> Shard:
    stream = arrange(documents, settings=settings, pass_index=pass_index).stream()
    file = shard_file(shard, pass_index=pass_index, settings=settings)
    count = 0
    with storage.writing(storage.join(directory, file)) as target:
        hashed = _Hashed(target)
        for features in examples(
            stream, is_word_start=is_word_start, settings=settings, pass_index=pass_index, shard=shard
        ):
            encoded = records.encode(features)
            records.write(hashed, encoded)
            count += len(encoded)
    windows = stream.windows(settings.sequence_length, settings.reuse_length)
    return Shard(
        file=file,
        pass_index=pass_index,
        records=count,
        documents=documents.sizes.size,
        pieces=stream.pieces.size,
        pieces_dropped=stream.pieces.size - windows * settings.reuse_length,
        bytes=hashed.bytes,
        sha256=hashed.digest.hexdigest(),
    )


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
