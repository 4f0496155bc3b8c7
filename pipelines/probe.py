"""Some megabytes of an input of any size: ranges that are spread evenly over its bytes, always the same ones.

A range is copied out to a file of its own, unpacked and cut at newlines, so what is read of it is what it has in the
input, even where a document is longer than the range. Of Parquet, whole row groups are read.
"""

import contextlib
import io
import os
import tempfile
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from xlnet import storage
from xlnet.corpus import documents, packing
from xlnet.corpus.documents import Split

RANGES = 16


@dataclass(frozen=True)
class Probe:
    """A piece of the input to read."""

    split: Split
    covers: float  # bytes of the input that it stands for, packed where the input is
    is_cut: bool  # the first document began before it: one document too many


@contextlib.contextmanager
def probes(files: Sequence[storage.File], *, size: int) -> Iterator[list[Probe]]:
    """About `size` bytes of the files, or all there is, as probes to read within the block."""
    total = sum(file.bytes for file in files)
    with tempfile.TemporaryDirectory(prefix="xlnet-probe-") as folder:
        if total <= size:
            whole = [split for file in files for split in documents.splits(file, size=max(1, file.bytes))]
            yield [Probe(split, split.bytes, is_cut=False) for split in whole]
            return
        length = max(1, size // RANGES)
        found = {_place(files, total * number // RANGES + (total // RANGES - length) // 2) for number in range(RANGES)}
        yield [_probe(file, start, length, folder=folder) for file, start in sorted(found)]


def _place(files: Sequence[storage.File], offset: int) -> tuple[storage.File, int]:
    """The file, and the place in it, where so many bytes of all files lie before; a packed file's begin."""
    ends = list(accumulate(file.bytes for file in files))
    index = bisect_right(ends, max(offset, 0))
    file = files[index]
    is_plain = packing.split(file.path.lower())[1] == "" and not file.path.lower().endswith(documents.PARQUET)
    return file, max(offset, 0) - (ends[index] - file.bytes) if is_plain else 0


def _probe(file: storage.File, start: int, length: int, *, folder: str) -> Probe:
    name, suffix = packing.split(file.path.lower())
    if name.endswith(documents.PARQUET):
        groups = documents.splits(file, size=length)
        return Probe(groups[0], groups[0].bytes, is_cut=False)
    with storage.reading(file.path) as stream:
        stream.seek(start)
        packed = stream.read(length)
    content = _unpacked(packed, suffix)
    kept = content if len(packed) == file.bytes else _whole_lines(content, is_cut=start > 0)
    handle, path = tempfile.mkstemp(suffix=os.path.splitext(name)[1], dir=folder)
    with os.fdopen(handle, "wb") as target:
        target.write(kept)
    is_cut = start > 0 and not name.endswith(documents.JSON_LINES)
    covers = len(packed) * len(kept) / max(1, len(content))
    return Probe(Split(path, 0, len(kept), len(kept)), covers, is_cut)


def _unpacked(packed: bytes, suffix: str) -> bytes:
    """What the first bytes of a packed file hold: they end within the stream."""
    found = bytearray()
    with contextlib.suppress(packing.Corrupt):
        for block in packing.blocks(io.BytesIO(packed), suffix):
            found += block
    return bytes(found)


def _whole_lines(content: bytes, *, is_cut: bool) -> bytes:
    start = content.find(b"\n") + 1 if is_cut else 0
    stop = content.rfind(b"\n") + 1
    # Of a line longer than all this, the whole characters.
    return content[start:stop] if stop > start else content.decode(errors="ignore").encode()
