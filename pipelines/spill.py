"""Blocks that pass between the steps of a job on one machine go over the disk.

Beam's runner in memory holds all that it groups; on one machine it is given references instead, so that memory does not
grow with the corpus. Runners on many machines have a shuffle of their own: there the blocks themselves travel.
"""

import os
import uuid
from dataclasses import dataclass, field
from typing import IO

HERE, ELSEWHERE = b"\0", b"\1"  # the block itself, or where it is


@dataclass
class Spill:
    """The blocks of a job; `folder` is on the disk of all its workers, or None where there is no such disk."""

    folder: str | None
    _file: IO[bytes] | None = field(default=None, repr=False)
    _at: int = 0

    def __getstate__(self) -> dict[str, object]:
        return {"folder": self.folder, "_file": None, "_at": 0}  # each worker writes a file of its own

    def put(self, content: bytes) -> bytes:
        """What stands for a block while it travels."""
        if self.folder is None:
            return HERE + content
        if self._file is None:
            path = os.path.join(self.folder, uuid.uuid4().hex)
            self._file, self._at = open(path, "xb"), 0  # noqa: SIM115
        self._file.write(content)
        self._file.flush()  # whoever gets the reference reads the file
        reference = f"{os.path.basename(self._file.name)} {self._at} {len(content)}".encode()
        self._at += len(content)
        return ELSEWHERE + reference

    def get(self, reference: bytes) -> bytes:
        """The block that a reference stands for."""
        if reference[:1] == HERE:
            return reference[1:]
        name, at, size = reference[1:].decode().split()
        with open(os.path.join(self.folder or "", name), "rb", buffering=0) as stream:
            stream.seek(int(at))
            return _read(stream, int(size))


def _read(stream: IO[bytes], size: int) -> bytes:
    """Exactly so many bytes; a single call gives 2 GiB at most."""
    parts = []
    while size:
        part = stream.read(min(size, 1 << 30))
        if not part:
            raise OSError("a block that passes between steps was cut short")
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
