"""Paragraphs of documents, and what tells two of them apart."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from xlnet.corpus.documents import Document
from xlnet.special_pieces import PARAGRAPH_END

HASH_BYTES = 16


def of(lines: Sequence[str]) -> list[list[str]]:
    """The paragraphs of a document: lines up to one that ends in `<eop>`; if none does, each line is one."""
    ends = [number for number, line in enumerate(lines, 1) if line.endswith(PARAGRAPH_END)]
    ends = ends or list(range(1, len(lines) + 1))
    if ends[-1] < len(lines):
        ends.append(len(lines))
    return [list(lines[start:end]) for start, end in zip([0, *ends], ends, strict=False)]


def hashes(lines: Sequence[str], *, seed: int) -> NDArray[np.uint8]:
    """A hash of each paragraph's text [paragraphs, 16], keyed with the seed."""
    key = seed.to_bytes(8, "little")
    digests = (
        hashlib.blake2b("\n".join(part).encode(), digest_size=HASH_BYTES, key=key).digest() for part in of(lines)
    )
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, HASH_BYTES)


def lengths(lines: Sequence[str]) -> NDArray[np.int64]:
    """How many characters each paragraph has [paragraphs], `<eop>` not counted."""
    found = [sum(map(len, [*others, last.removesuffix(PARAGRAPH_END)])) for *others, last in of(lines)]
    return np.array(found, np.int64)


def without(document: Document, numbers: Collection[int]) -> Document | None:
    """The document without the paragraphs of these numbers; None when nothing is left."""
    left = [part for number, part in enumerate(of(document.lines)) if number not in numbers]
    return replace(document, lines=[line for part in left for line in part]) if left else None
