"""Packed files as blocks of bytes: gzip and Zstandard, also several parts in a row."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from typing import IO

import zstandard

BLOCK = 1 << 20  # bytes read at once
ZSTD_STEP = 256  # bytes unpacked at once: every 4 of them can swell to 128 KiB, and so to 8 MiB in all


class Corrupt(Exception):
    """The packed bytes are damaged, or end too early."""


def split(path: str) -> tuple[str, str]:
    """A path without the suffix of its packing, and that suffix: `.gz`, `.zst` or nothing."""
    for suffix in _UNPACK:
        if suffix and path.endswith(suffix):
            return path.removesuffix(suffix), suffix
    return path, ""


def blocks(stream: IO[bytes], suffix: str) -> Iterator[bytes]:
    """The content of a stream packed as its suffix says, in blocks of at most 8 MiB. Raises Corrupt."""
    return _UNPACK[suffix](stream)


def plain_blocks(stream: IO[bytes], size: int | None = None) -> Iterator[bytes]:
    """The next `size` bytes of a stream, or all there are, in blocks."""
    while block := stream.read(BLOCK if size is None else min(size, BLOCK)):
        yield block
        if size is not None:
            size -= len(block)


def _gzip_blocks(stream: IO[bytes]) -> Iterator[bytes]:
    try:
        with gzip.GzipFile(fileobj=stream) as unpacked:
            while block := unpacked.read1(BLOCK):  # `read` would lose what it has gathered when it meets a damage
                yield block
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise Corrupt from None


def _zstd_blocks(stream: IO[bytes]) -> Iterator[bytes]:
    unpacker = zstandard.ZstdDecompressor(max_window_size=1 << 31)  # as packed with --long=31
    frame = None
    for block in plain_blocks(stream):
        for start in range(0, len(block), ZSTD_STEP):
            packed = block[start : start + ZSTD_STEP]
            while packed:
                frame = frame or unpacker.decompressobj()
                try:
                    yield frame.decompress(packed)
                except zstandard.ZstdError:
                    raise Corrupt from None
                packed, frame = (frame.unused_data, None) if frame.eof else (b"", frame)
    if frame is not None:
        raise Corrupt


_UNPACK: dict[str, Callable[[IO[bytes]], Iterator[bytes]]] = {
    "": plain_blocks,
    ".gz": _gzip_blocks,
    ".zst": _zstd_blocks,
}
