"""Documents as pieces, many in a few arrays, on their way from their file to their shard.

A document's key is a keyed hash of its text alone. It decides the shard and the place in it, so neither depends on
the file that the document came from, nor on anything that runs at the same time.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xlnet.corpus.documents import EXCERPT, DeadLetter, Document
from xlnet.corpus.streams import Stream
from xlnet.special_pieces import EOD

KEY_BYTES = 16
BLOCK = 1 << 20  # characters that are tokenised together
GATHERED = 4096  # documents whose pieces are put in another order at once
NO_PIECES = "no pieces"

EncodeLines = Callable[[Sequence[str]], tuple[NDArray[np.int32], NDArray[np.int32]]]


@dataclass(frozen=True, eq=False)
class TokenizedDocuments:
    """Documents in a row."""

    keys: NDArray[np.integer]  # [documents, 16] uint8
    sources: NDArray[np.integer]  # [documents] uint16: which source each is from
    sizes: NDArray[np.integer]  # [documents] int32: pieces of each, its <eod> counted
    sentences: NDArray[np.integer]  # [documents] int32: sentences of each
    lengths: NDArray[np.integer]  # [all sentences] int32: pieces of each; <eod> belongs to a document's last one
    pieces: NDArray[np.integer]  # [all pieces] uint16 where the vocabulary allows it, else int32

    def take(self, order: NDArray[np.integer]) -> "TokenizedDocuments":
        """The documents with these numbers, in this order; a number may come more than once."""
        return TokenizedDocuments(
            self.keys[order],
            self.sources[order],
            self.sizes[order],
            self.sentences[order],
            _gather(self.lengths, self.sentences, order),
            _gather(self.pieces, self.sizes, order),
        )

    def stream(self) -> Stream:
        """All documents as one stream."""
        return Stream(self.pieces, np.cumsum(self.lengths, dtype=np.int64)[:-1])

    def to_bytes(self) -> bytes:
        """Compact bytes, for transport."""
        counts = np.array([self.sizes.size, self.lengths.size, self.pieces.itemsize], "<i4")
        arrays = (counts, self.keys, self.sizes, self.sentences, self.lengths, self.sources, self.pieces)
        return b"".join(array.tobytes() for array in arrays)

    @classmethod
    def from_bytes(cls, content: bytes) -> "TokenizedDocuments":
        """What `to_bytes` wrote."""
        documents, sentences, width = np.frombuffer(content, "<i4", 3).tolist()
        at = 12

        def read(kind: str, count: int = -1) -> NDArray[np.integer]:
            nonlocal at
            array = np.frombuffer(content, kind, count, at)
            at += array.nbytes
            return array

        keys = read("u1", documents * KEY_BYTES).reshape(documents, KEY_BYTES)
        sizes, counts, lengths = read("<i4", documents), read("<i4", documents), read("<i4", sentences)
        return cls(keys, read("<u2", documents), sizes, counts, lengths, read("<u2" if width == 2 else "<i4"))


def concatenate(parts: Iterable[TokenizedDocuments]) -> TokenizedDocuments:
    """The documents of all parts in a row; there must be a part."""
    columns = zip(*(tuple(vars(part).values()) for part in parts), strict=True)
    return TokenizedDocuments(*(np.concatenate(column) for column in columns))


@dataclass(frozen=True, eq=False)
class Block:
    """What became of documents that were tokenised together."""

    tokenized: TokenizedDocuments
    dead_letters: list[DeadLetter]  # what was read and is no document, and documents without pieces
    characters: int  # of the tokenised documents
    unknown: int  # pieces that stand for what the vocabulary does not know


def tokenize(
    read: Iterable[Document | DeadLetter],
    encode_lines: EncodeLines,
    *,
    seed: int,
    source: int = 0,
    vocabulary_size: int,
) -> Iterator[Block]:
    """What was read, in blocks of some documents.

    `encode_lines` gives the pieces of all lines in a row and the number of each line's.
    """
    kind = piece_type(vocabulary_size)
    documents: list[Document] = []
    dead: list[DeadLetter] = []
    characters = 0
    for item in read:
        if isinstance(item, DeadLetter):
            dead.append(item)
            characters += len(item.excerpt)
        else:
            documents.append(item)
            characters += sum(map(len, item.lines))
        if characters >= BLOCK:
            yield _tokenize(documents, dead, encode_lines, seed=seed, source=source, kind=kind)
            documents, dead, characters = [], [], 0
    if documents or dead:
        yield _tokenize(documents, dead, encode_lines, seed=seed, source=source, kind=kind)


def piece_type(vocabulary_size: int) -> type[np.integer]:
    """The smallest type that pieces are kept in."""
    return np.uint16 if vocabulary_size <= 1 << 16 else np.int32


def _tokenize(
    documents: list[Document],
    dead: list[DeadLetter],
    encode_lines: EncodeLines,
    *,
    seed: int,
    source: int,
    kind: type[np.integer],
) -> Block:
    pieces, lengths = encode_lines([line for document in documents for line in document.lines])
    owner = np.repeat(np.arange(len(documents)), [len(document.lines) for document in documents])
    sizes = np.bincount(owner, lengths, minlength=len(documents)).astype(np.int32)
    empty = [document for document, size in zip(documents, sizes, strict=True) if not size]
    dead = [*dead, *(DeadLetter(item.path, item.line, NO_PIECES, item.lines[0][:EXCERPT]) for item in empty)]
    kept = [document for document, size in zip(documents, sizes, strict=True) if size]

    owner, lengths = owner[lengths > 0], lengths[lengths > 0].copy()
    sentences = np.bincount(owner, minlength=len(documents))[sizes > 0].astype(np.int32)
    sizes = sizes[sizes > 0]
    unknown = int(np.count_nonzero(pieces == 0))
    pieces = np.insert(pieces.astype(kind), np.cumsum(sizes), EOD)
    lengths[np.cumsum(sentences) - 1] += 1
    keys = b"".join(document_key(document.lines, seed=seed) for document in kept)
    tokenized = TokenizedDocuments(
        np.frombuffer(keys, np.uint8).reshape(-1, KEY_BYTES),
        np.full(len(kept), source, np.uint16),
        sizes + np.int32(1),
        sentences,
        lengths,
        pieces,
    )
    characters = sum(len(line) for document in kept for line in document.lines)
    return Block(tokenized, dead, characters, unknown)


def document_key(lines: Sequence[str], *, seed: int) -> bytes:
    """A hash of a document's text, keyed with the seed."""
    text = "\n".join(lines).encode()
    return hashlib.blake2b(text, digest_size=KEY_BYTES, key=seed.to_bytes(8, "little")).digest()


def by_shard(documents: TokenizedDocuments, *, shards: int) -> Iterator[tuple[int, TokenizedDocuments]]:
    """The documents of each shard that has some."""
    shard = documents.keys[:, :8].copy().view("<u8")[:, 0] % np.uint64(shards)
    order = np.argsort(shard, kind="stable")
    numbers, starts = np.unique(shard[order], return_index=True)
    # Without documents, `split` gives one part, and there is no shard.
    for number, indices in zip(numbers.tolist(), np.split(order, starts[1:]), strict=False):
        yield number, documents.take(indices)


def _gather(values: NDArray[np.integer], sizes: NDArray[np.integer], order: NDArray[np.integer]) -> NDArray[np.integer]:
    """Runs of these sizes, which lie in a row, put into another order; no more memory than the result."""
    ends = np.cumsum(sizes, dtype=np.int64)
    starts = ends - sizes
    result = np.empty(int(sizes[order].sum()), values.dtype)
    at = 0
    for block in range(0, len(order), GATHERED):
        numbers = order[block : block + GATHERED]
        runs = [values[start:end] for start, end in zip(starts[numbers].tolist(), ends[numbers].tolist(), strict=True)]
        gathered = np.concatenate(runs)
        result[at : at + gathered.size] = gathered
        at += gathered.size
    return result
