"""Training records as `tf.train.Example` bytes, and back; with NumPy alone.

An Example here is a map from names to lists of non-negative integers, or to a string of bytes. Of a list, only the
last byte of each number is below 128: a whole list is encoded, or decoded, in a few array operations.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

BYTES, VARINT = 2, 0  # wire types of protocol buffers
# Field 1 of Example, of Features, of an entry, of Int64List and BytesList, and of Feature
_FEATURES = _ENTRY = _KEY = _LIST = _BYTES_LIST = bytes([1 << 3 | BYTES])
_VALUE = bytes([2 << 3 | BYTES])  # field 2 of an entry
_INT64_LIST = bytes([3 << 3 | BYTES])  # field 3 of Feature
_TABLE = 1 << 17  # numbers below are looked up: every vocabulary that is in use
_BLOCK = 64  # records at once: their arrays stay in the processor's cache


def encode(features: Mapping[str, NDArray[np.integer]]) -> list[bytes]:
    """Many records at once: from features [records, length] to the bytes of each Example, names in sorted order.

    Raises ValueError for numbers outside 0 to 2^28 - 1.
    """
    arrays = {name: np.asarray(features[name]) for name in sorted(features)}
    count = min((len(array) for array in arrays.values()), default=0)
    blocks = range(0, count, _BLOCK)
    return [record for at in blocks for record in _encode({n: a[at : at + _BLOCK] for n, a in arrays.items()})]


def _encode(features: Mapping[str, NDArray[np.integer]]) -> list[bytes]:
    columns = [(name, *_varints(values)) for name, values in features.items()]
    ends = [[0, *np.cumsum(sizes).tolist()] for _, _, sizes in columns]
    records = []
    for row in range(len(ends[0]) - 1):
        parts = [b""]
        for (name, content, _), end in zip(columns, ends, strict=True):
            start, stop = end[row], end[row + 1]
            parts += (_header(name, stop - start), content[start:stop])
        parts[0] = _FEATURES + _varint(sum(map(len, parts)))
        records.append(b"".join(parts))
    return records


def _varints(values: NDArray[np.integer]) -> tuple[bytes, NDArray[np.int64]]:
    """The base-128 form of all values in a row, and how many bytes each record takes [records]."""
    length = values.shape[1]
    unsigned = values.view(values.dtype.str.replace("i", "u"))  # so that one look finds both ends
    high = int(unsigned.max()) if values.size else 0
    if high >= 1 << 28 or high > np.iinfo(values.dtype).max:
        raise ValueError(f"numbers from 0 to 2^28 - 1 can be encoded, found are {values.min()} to {values.max()}")
    if high < 1 << 7:
        return values.astype(np.uint8).tobytes(), np.full(len(values), length)
    if high < _TABLE:
        # Looked up: a fifth of the time. Tables of a few sizes, so that small numbers find theirs in the cache.
        spread, keep = (table.take(values) for table in _tables(high.bit_length()))
    else:
        spread, keep = _spell(values.astype("<u4"))
    kept = keep.view(np.bool_)
    return spread.view(np.uint8).ravel().compress(kept.ravel()).tobytes(), np.count_nonzero(kept, axis=1)


def _spell(values: NDArray[np.unsignedinteger]) -> tuple[NDArray[np.unsignedinteger], NDArray[np.unsignedinteger]]:
    """As many bytes for each number as its type has: its groups of seven bits, and 1 for each byte that is needed."""
    kind = values.dtype.type
    spread, keep = values & kind(0x7F), np.ones_like(values)
    for place in range(1, values.itemsize):
        goes_on = (values >= 1 << 7 * place).astype(values.dtype)
        spread |= goes_on << kind(8 * place - 1)  # the byte before says that another one follows
        spread |= (values << kind(place)) & kind(0x7F << 8 * place)
        keep |= goes_on << kind(8 * place)
    return spread, keep


@cache
def _tables(bits: int) -> tuple[NDArray[np.unsignedinteger], NDArray[np.unsignedinteger]]:
    return _spell(np.arange(1 << bits, dtype="<u2" if bits <= 14 else "<u4"))


@cache
def _header(name: str, size: int, *, kind: bytes = _INT64_LIST) -> bytes:
    """What stands before the packed numbers, or the bytes, of a feature in an Example."""
    key = name.encode()
    content = _LIST + _varint(size)
    feature = kind + _varint(len(content) + size) + content
    value = _VALUE + _varint(len(feature) + size) + feature
    entry = _KEY + _varint(len(key)) + key + value
    return _ENTRY + _varint(len(entry) + size) + entry


@cache
def _varint(number: int) -> bytes:
    groups = []
    while number >= 1 << 7:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


def fixed(features: Mapping[str, int]) -> tuple[bytes, dict[str, int]]:
    """An Example of features of fixed sizes in bytes, all zero, and where in it each begins; in sorted order.

    A feature is a string of bytes; one of size 1 is an integer below 128.
    """
    entries, at, places = [], 0, {}
    for name in sorted(features):
        size = features[name]
        header = _header(name, size, kind=_INT64_LIST if size == 1 else _BYTES_LIST)
        entries.append(header + bytes(size))
        places[name] = at + len(header)
        at += len(header) + size
    frame = _FEATURES + _varint(at)
    return frame + b"".join(entries), {name: len(frame) + place for name, place in places.items()}


def decode(record: bytes) -> dict[str, NDArray[np.integer]]:
    """The features of an Example: lists of integers as int64, a string of bytes as uint8.

    Raises ValueError when the bytes are something else.
    """
    features = {}
    for field, content in _fields(record):
        for inner, entry in _fields(content) if field == 1 else ():
            pair = dict(_fields(entry)) if inner == 1 else {}
            if {1, 2} <= pair.keys():
                features[bytes(pair[1]).decode()] = _values(pair[2])
    return features


def _values(feature: bytes) -> NDArray[np.integer]:
    lists = [(kind, _fields(content)) for kind, content in _fields(feature)]
    strings = [content for kind, fields in lists if kind == 1 for field, content in fields if field == 1]
    if strings:
        return np.frombuffer(strings[0], np.uint8)
    return _integers([fields for kind, fields in lists if kind == 3])


def _integers(lists: Iterable[Iterator[tuple[int, bytes]]]) -> NDArray[np.int64]:
    packed = b"".join(content for fields in lists for field, content in fields if field == 1)
    raw = np.frombuffer(packed, np.uint8)
    last = raw < 0x80
    if raw.size and not last[-1]:
        raise ValueError("a list of integers ends inside a number")
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends + 1])[: ends.size]
    places = np.arange(raw.size) - np.repeat(starts, ends - starts + 1)
    if places.size and places.max() > 9:
        raise ValueError("an integer of more than 10 bytes")
    values = (raw & 0x7F).astype(np.uint64) << (7 * places).astype(np.uint64)
    return (np.add.reduceat(values, starts) if ends.size else values).astype(np.int64)


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Fields of a message and their bytes; a number is given as the bytes of its base-128 form."""
    at = 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        if tag & 7 == VARINT:
            _, end = _read_varint(message, at)
        elif tag & 7 == BYTES:
            size, at = _read_varint(message, at)
            end = at + size
        else:
            raise ValueError(f"a field of wire type {tag & 7}")
        if end > len(message):
            raise ValueError("a field is longer than what holds it")
        yield tag >> 3, message[at:end]
        at = end


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while at < len(message) and shift < 70:
        number |= (message[at] & 0x7F) << shift
        shift += 7
        at += 1
        if message[at - 1] < 0x80:
            return number, at
    raise ValueError("a number without an end")
