"""Documents as pieces, many in a few arrays, on their way from their file to their shard.

A document's key is a keyed hash of its text alone. It decides the shard and the place in it, so neither depends on
the file that the document came from, nor on anything that runs at the same time.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xlnet.corpus.documents import DeadLetter, Document
from xlnet.corpus.settings import CorpusSettings
from xlnet.corpus.streams import EOD, Stream

KEY_BYTES = 16
BLOCK = 1 << 20  # characters that are tokenised together
NO_PIECES = "no pieces"

EncodeLines = Callable[[Sequence[str]], tuple[NDArray[np.int32], NDArray[np.int32]]]


@dataclass(frozen=True, eq=False)
class TokenizedDocuments:
    """Documents in a row; all arrays int32 but `keys`."""

    keys: NDArray[np.uint8]  # [documents, 16]
    sizes: NDArray[np.int32]  # [documents] pieces of each, its <eod> counted
    sentences: NDArray[np.int32]  # [documents] sentences of each
    lengths: NDArray[np.int32]  # [all sentences] pieces of each; <eod> belongs to a document's last one
    pieces: NDArray[np.int32]  # [all pieces]

    def take(self, order: NDArray[np.integer]) -> "TokenizedDocuments":
        """The documents with these numbers, in this order."""
        return TokenizedDocuments(
            self.keys[order],
            self.sizes[order],
            self.sentences[order],
            self.lengths[_runs(self.sentences, order)],
            self.pieces[_runs(self.sizes, order)],
        )

    def stream(self) -> Stream:
        """All documents as one stream."""
        return Stream(self.pieces, np.cumsum(self.lengths, dtype=np.int64)[:-1])

    def to_bytes(self) -> bytes:
        """Compact bytes, for transport."""
        counts = np.array([self.sizes.size, self.lengths.size], "<i4")
        arrays = (counts, self.keys, self.sizes, self.sentences, self.lengths, self.pieces)
        return b"".join(array.tobytes() for array in arrays)

    @classmethod
    def from_bytes(cls, content: bytes) -> "TokenizedDocuments":
        """What `to_bytes` wrote."""
        documents, sentences = np.frombuffer(content, "<i4", 2).tolist()
        at = 8 + documents * KEY_BYTES
        numbers = np.frombuffer(content, "<i4", offset=at)
        keys = np.frombuffer(content, np.uint8, documents * KEY_BYTES, 8).reshape(documents, KEY_BYTES)
        edges = np.cumsum([documents, documents, sentences])
        return cls(keys, *np.split(numbers, edges))


def concatenate(parts: Iterable[TokenizedDocuments]) -> TokenizedDocuments:
    """The documents of all parts in a row; there must be a part."""
    columns = zip(*((part.keys, part.sizes, part.sentences, part.lengths, part.pieces) for part in parts), strict=True)
    return TokenizedDocuments(*(np.concatenate(column) for column in columns))


def tokenize(
    read: Iterable[Document | DeadLetter], encode_lines: EncodeLines, *, seed: int
) -> Iterator[tuple[TokenizedDocuments, list[DeadLetter], int]]:
    """What was read, in blocks: documents as pieces, those that could not be, and the characters of the former.

    `encode_lines` gives the pieces of all lines in a row and the number of each line's.
    """
    documents: list[Document] = []
    dead: list[DeadLetter] = []
    characters = 0
    for item in read:
        if isinstance(item, DeadLetter):
            dead.append(item)
            continue
        documents.append(item)
        characters += sum(map(len, item.lines))
        if characters >= BLOCK:
            yield _tokenize(documents, dead, encode_lines, seed=seed)
            documents, dead, characters = [], [], 0
    if documents or dead:
        yield _tokenize(documents, dead, encode_lines, seed=seed)


def _tokenize(
    documents: list[Document], dead: list[DeadLetter], encode_lines: EncodeLines, *, seed: int
) -> tuple[TokenizedDocuments, list[DeadLetter], int]:
    pieces, lengths = encode_lines([line for document in documents for line in document.lines])
    owner = np.repeat(np.arange(len(documents)), [len(document.lines) for document in documents])
    sizes = np.bincount(owner, lengths, minlength=len(documents)).astype(np.int32)
    empty = [document for document, size in zip(documents, sizes, strict=True) if not size]
    dead = [*dead, *(DeadLetter(item.path, item.line, NO_PIECES, item.lines[0][:80]) for item in empty)]
    kept = [document for document, size in zip(documents, sizes, strict=True) if size]

    owner, lengths = owner[lengths > 0], lengths[lengths > 0].copy()
    sentences = np.bincount(owner, minlength=len(documents))[sizes > 0].astype(np.int32)
    sizes = sizes[sizes > 0]
    pieces = np.insert(pieces, np.cumsum(sizes), EOD)
    lengths[np.cumsum(sentences) - 1] += 1
    keys = b"".join(document_key(document.lines, seed=seed) for document in kept)
    tokenized = TokenizedDocuments(
        np.frombuffer(keys, np.uint8).reshape(-1, KEY_BYTES), sizes + np.int32(1), sentences, lengths, pieces
    )
    return tokenized, dead, sum(len(line) for document in kept for line in document.lines)


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


def arrange(documents: TokenizedDocuments, *, settings: CorpusSettings, pass_index: int) -> TokenizedDocuments:
    """The documents of a shard in the order of one pass; it does not depend on the order they come in."""
    key = settings.seed.to_bytes(8, "little") + pass_index.to_bytes(8, "little")
    places = [hashlib.blake2b(row.tobytes(), digest_size=KEY_BYTES, key=key).digest() for row in documents.keys]
    return documents.take(np.array(sorted(range(len(places)), key=places.__getitem__), np.int64))


def _runs(sizes: NDArray[np.integer], order: NDArray[np.integer]) -> NDArray[np.int64]:
    """Indices that put runs of these sizes, which lie in a row, into another order."""
    ends = np.cumsum(sizes, dtype=np.int64)
    taken = sizes[order].astype(np.int64)
    shift = (ends - sizes)[order] - (np.cumsum(taken) - taken)
    return np.arange(int(taken.sum())) + np.repeat(shift, taken)
