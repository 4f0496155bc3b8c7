"""What occurs more than once: all but the first occurrence, in whatever order and grouping they come.

An occurrence is a hash (of a paragraph, or of a band of a document's signature), the key of the document that it is
in, and its place: the number of a split, of a document in it, and of a part in that. The first one is that of the
smallest key, so it depends on the text alone; of documents with the same text, all but one have no first occurrence.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

PLACE = np.dtype([("split", "<u4"), ("document", "<u4"), ("part", "<u4")])
OCCURRENCE = np.dtype([("hash", "<u8", (2,)), ("key", ">u8", (2,)), ("place", PLACE)])


def occurrences(
    hashes: NDArray[np.unsignedinteger],
    keys: NDArray[np.uint8],
    *,
    split: int,
    documents: NDArray[np.integer],
    parts: NDArray[np.integer],
) -> NDArray[np.void]:
    """Occurrences [n] of hashes (bytes [n, 16] or numbers [n]) in documents with these keys [n, 16] and numbers [n]."""
    found = np.zeros(len(hashes), OCCURRENCE)
    if hashes.ndim == 2:
        found["hash"] = np.ascontiguousarray(hashes).view("<u8")
    else:
        found["hash"][:, 0] = hashes
    found["key"] = np.ascontiguousarray(keys).view(">u8")
    found["place"]["split"], found["place"]["document"], found["place"]["part"] = split, documents, parts
    return found


def by_bucket(found: NDArray[np.void], *, buckets: int) -> Iterator[tuple[int, NDArray[np.void]]]:
    """The occurrences of each bucket that has some; those of one hash share a bucket."""
    bucket = found["hash"][:, 0] % np.uint64(buckets)
    return _grouped(found, bucket)


def by_split(places: NDArray[np.void]) -> Iterator[tuple[int, NDArray[np.void]]]:
    """The places of each split that has some."""
    return _grouped(places, places["split"])


def repeated(found: NDArray[np.void]) -> NDArray[np.bool_]:
    """Which occurrences [n] are not the first of their hash among these."""
    place = found["place"]
    columns = (place["part"], place["document"], place["split"], *found["key"].T[::-1], *found["hash"].T)
    order = np.lexsort(columns)
    hashes = found["hash"][order]
    result = np.zeros(len(found), bool)
    result[order[1:]] = (hashes[1:] == hashes[:-1]).all(axis=1)
    return result


def gather(contents: Iterable[bytes], kind: np.dtype = OCCURRENCE) -> NDArray[np.void]:
    """Occurrences, or places, from the bytes (`tobytes`) of several arrays of them."""
    return np.frombuffer(b"".join(contents), kind)


def _grouped(array: NDArray[np.void], owner: NDArray[np.integer]) -> Iterator[tuple[int, NDArray[np.void]]]:
    order = np.argsort(owner, kind="stable")
    numbers, starts = np.unique(owner[order], return_index=True)
    for number, indices in zip(numbers.tolist(), np.split(order, starts[1:]), strict=False):
        yield number, array[indices]
