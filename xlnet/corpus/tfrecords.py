"""TFRecord files: records of bytes, each with its length and checksums; with NumPy alone."""

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from xlnet import storage
from xlnet.errors import UserError

_HEAD, _TAIL = 12, 4  # bytes before a record: its length and that one's checksum; after it: its checksum
_LONGEST = 1 << 30  # bytes; a longer record is a damaged length


class Writable(Protocol):
    """What takes bytes."""

    def write(self, content: bytes, /) -> object:
        """Append the bytes."""


def write(stream: Writable, records: Iterable[bytes]) -> None:
    """Append records to a TFRecord file."""
    framed: list[bytes] = []
    for record in records:
        framed += (_head(len(record)), record, _checksum(record))
    stream.write(b"".join(framed))


def write_alike(stream: Writable, record: bytes, columns: Mapping[int, NDArray[np.uint8]]) -> None:
    """Append many records of one size to a TFRecord file: one record, with columns [records, bytes] put at places.

    As one matrix of bytes: only a record's checksum is a call of its own.
    """
    count, size = len(next(iter(columns.values()))), len(record)
    framed = np.empty((count, _HEAD + size + _TAIL), np.uint8)
    framed[:] = np.frombuffer(_head(size) + record + bytes(_TAIL), np.uint8)
    for place, column in columns.items():
        framed[:, _HEAD + place : _HEAD + place + column.shape[1]] = column
    content = framed[:, _HEAD:-_TAIL].tobytes()
    checksums = [google_crc32c.value(content[at : at + size]) for at in range(0, count * size, size)]
    framed[:, -_TAIL:] = _mask(np.array(checksums, np.uint64)).astype("<u4").view(np.uint8).reshape(count, _TAIL)
    stream.write(framed.tobytes())


def read(path: str) -> Iterator[bytes]:
    """The records of a TFRecord file, checksums compared.

    Raises UserError naming the file and the record (from 0) when the file is cut short or damaged.
    """
    with storage.reading(path) as stream:
        number = 0
        while head := stream.read(_HEAD):
            length = int.from_bytes(head[:8], "little")
            if len(head) < _HEAD or head[8:] != _checksum(head[:8]) or length > _LONGEST:
                raise UserError(_damaged(path, number, "its length" if len(head) == _HEAD else ""))
            record, checksum = stream.read(length), stream.read(_TAIL)
            if len(record) < length or len(checksum) < _TAIL:
                raise UserError(_damaged(path, number, ""))
            if checksum != _checksum(record):
                raise UserError(_damaged(path, number, "its content"))
            yield record
            number += 1


def _head(size: int) -> bytes:
    length = struct.pack("<Q", size)
    return length + _checksum(length)


def _checksum(content: bytes) -> bytes:
    return struct.pack("<I", _mask(google_crc32c.value(content)))


def _mask(checksum: Any) -> Any:
    """CRC-32C (a number, or many), rotated and shifted as these files have it: checksums of checksums stay apart."""
    return (checksum >> 15 | checksum << 17) + 0xA282EAD8 & 0xFFFFFFFF


def _damaged(path: str, number: int, part: str) -> str:
    what = f"damaged: the checksum of {part} is wrong" if part else "cut short"
    return f"{path}: record {number} is {what}; copy the file again, or preprocess again"
