"""Near duplicates: signatures of documents that agree as far as their texts do (MinHash), cut into bands.

A document is the set of its runs of `SHINGLE` words; in scripts without spaces a character is a word. Case, punctuation
and `<eop>` do not count. Of two sets with the Jaccard similarity s, a share s of the `BANDS * ROWS` numbers of the
signatures is equal on average, and a whole band of them with the probability 1 - (1 - s^ROWS)^BANDS: 0.05 for 0.5,
0.56 for 0.7, 0.92 for 0.8, as in datatrove. Broder 1997; Leskovec et al., Mining of Massive Datasets, chapter 3.
"""

import functools
import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from xlnet.corpus.characters import LETTER, codes, kinds
from xlnet.special_pieces import PARAGRAPH_END
from xlnet.splitmix import mixed

SHINGLE = 5  # words
BANDS, ROWS = 14, 8
TEXT = 1 << 18  # characters whose words are hashed at once
CACHED = 1 << 15  # shingles that are permuted at once: they stay in the processor's cache

# Any odd numbers without a pattern.
_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 1 << 64)
_STEP = np.uint64(0xD6E8FEB86659FD93)
_DRAWS = np.random.Generator(np.random.Philox(0x6D696E68617368)).integers(
    1 << 32, size=(2, BANDS * ROWS), dtype=np.uint32
)


def bands(documents: Sequence[Sequence[str]]) -> NDArray[np.uint64]:
    """The hash of each band of each document [documents, 14], of its lines; equal ones in a column mark candidates."""
    rows = signatures(documents).reshape(-1, BANDS, ROWS).astype(np.uint64)
    found = np.broadcast_to(np.arange(1, BANDS + 1, dtype=np.uint64), rows.shape[:2])
    for row in range(ROWS):
        found = mixed(found * _STEP + rows[:, :, row])
    return found


def signatures(documents: Sequence[Sequence[str]]) -> NDArray[np.uint32]:
    """The signature of each document [documents, 112], of its lines."""
    words, counts = _words([" ".join(lines).replace(PARAGRAPH_END, " ").lower() for lines in documents])
    found = np.full((len(documents), BANDS * ROWS), 0xFFFFFFFF, np.uint32)
    for shingles, starts, owners in _shingles(words, counts):
        buffer = np.empty_like(shingles)
        for number, (flip, factor) in enumerate(_DRAWS.T):
            np.bitwise_xor(shingles, flip, out=buffer)
            np.multiply(buffer, factor | np.uint32(1), out=buffer)
            least = np.minimum.reduceat(buffer, starts)
            found[owners, number] = np.minimum(found[owners, number], least)
    return found


def _shingles(
    words: NDArray[np.uint64], counts: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.uint32], NDArray[np.integer], NDArray[np.integer]]]:
    """Blocks of shingles [n], where each document's begin in a block, and the numbers of these documents."""
    owner = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    is_first = np.ones(len(words), bool)  # of a shingle; the last words of a document are not
    is_first[(np.cumsum(counts)[:, None] - np.arange(1, SHINGLE)).ravel()] = False
    padded = np.append(words, np.zeros(SHINGLE - 1, np.uint64))
    for start in range(0, len(words), CACHED):
        stop = min(start + CACHED, len(words))
        found = padded[start:stop].copy()
        for later in range(1, SHINGLE):
            found = found * _STEP + padded[start + later : stop + later]
        chosen = np.flatnonzero(is_first[start:stop])
        if chosen.size:
            owners = owner[start:stop][chosen]
            starts = np.flatnonzero(np.append(True, owners[1:] != owners[:-1]))
            yield (mixed(found[chosen]) >> np.uint64(32)).astype(np.uint32), starts, owners[starts]


def _words(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Hashes of the words of all texts in a row [words], and how many each text has [texts], at least `SHINGLE`.

    What a shorter text lacks is filled up; one without words has a hash of its characters.
    """
    parts = [np.zeros(0, np.uint64)]
    counts = np.zeros(len(texts), np.int64)
    for pieces, owners in _pieces(texts):
        words, numbers = _words_of(pieces)
        parts.append(words)
        np.add.at(counts, owners, numbers)
    words = np.concatenate(parts)
    lengths = np.maximum(counts, SHINGLE)
    padding = lengths - counts
    filled = np.zeros(int(lengths.sum()), np.uint64)
    filled[np.arange(len(words)) + np.repeat(np.cumsum(padding) - padding, counts)] = words
    begins = np.cumsum(lengths) - lengths
    for number in np.flatnonzero(counts == 0).tolist():
        digest = hashlib.blake2b("".join(texts[number].split()).encode(), digest_size=8).digest()
        filled[begins[number]] = int.from_bytes(digest, "little")
    return filled, lengths


def _pieces(texts: Sequence[str]) -> Iterator[tuple[list[str], list[int]]]:
    """Texts, those longer than `TEXT` cut, some together, each with the number of its text."""
    pieces: list[str] = []
    owners: list[int] = []
    size = 0
    for owner, text in enumerate(texts):
        for start in range(0, len(text), TEXT):
            pieces.append(text[start : start + TEXT])
            owners.append(owner)
            size += len(pieces[-1]) + 1
            if size >= TEXT:
                yield pieces, owners
                pieces, owners, size = [], [], 0
    if pieces:
        yield pieces, owners


def _words_of(pieces: list[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Hashes of the words of some texts in a row, and how many each has: polynomials in its characters, mod 2^64."""
    found = codes("\n".join([*pieces, ""]))
    kind = kinds()[found]
    is_word = kind >= LETTER
    goes_on = (kind[1:] == LETTER) & (kind[:-1] == LETTER)  # the word at a character, at the next one
    starts = np.flatnonzero(is_word & ~np.append(False, goes_on))
    ends = np.flatnonzero(is_word & ~np.append(goes_on, False)) + 1
    powers, inverses = _powers()
    sums = np.zeros(len(found) + 1, np.uint64)
    np.cumsum(found * powers[: len(found)], out=sums[1:])
    offsets = np.cumsum([0, *(len(piece) + 1 for piece in pieces)])
    return (sums[ends] - sums[starts]) * inverses[starts], np.diff(np.searchsorted(starts, offsets))


@functools.cache
def _powers() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The powers of the polynomials' base, and their inverses mod 2^64, for as many characters as come together."""
    tables = []
    for base in (_BASE, _INVERSE):
        factors = np.full(2 * TEXT + 2, base, np.uint64)
        factors[0] = 1
        tables.append(np.multiply.accumulate(factors))
    return tables[0], tables[1]
