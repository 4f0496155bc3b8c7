"""Objects on Google Cloud Storage: found, read from anywhere in them, written once or over what is known, removed.

What `xlnet.storage` promises of a path, kept for `gs://`. Every request is repeated while its failure may pass. What
writes or removes says which generation it expects, so that a request whose answer was lost, and which is therefore
repeated, changes nothing a second time; by a mark it is told apart whether it met its own success or somebody else's.
"""

import base64
import contextlib
import functools
import http
import io
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

import google_crc32c

from xlnet.buckets import REMOTE, blob, client, refusing, split, trying
from xlnet.errors import MissingError, UserError

MARK = "xlnet-upload"  # the metadata that names the upload, and those before it
TRAIL = 20  # marks that are kept
BLOCK = 4 << 20  # bytes that are fetched at once
PART = 16 << 20  # bytes that are sent at once, and again when they were lost
RESTARTS = 5  # times that an upload in parts is begun again
REMOVED = 8  # objects at once; Google's client keeps no more connections than 10
CONTESTS = 10  # times that others may write between our look and our writing


class Replaced(UserError):
    """The object is no longer the one whose reading began."""


def found(path: str) -> Any:
    """The object with all that is known of it; None when it is not there."""
    bucket, name = split(path)
    with refusing(path):
        return client().bucket(bucket).get_blob(name, **trying())


def required(path: str) -> Any:
    """As `found`. Raises MissingError when it is not there."""
    there = found(path)
    if there is None:
        raise MissingError(f"{path} does not exist")
    return there


def matching(pattern: str) -> Iterator[tuple[str, int, str]]:
    """The path, the size in bytes and the CRC-32C of every object that a glob names, or that has just this name."""
    bucket, name = split(pattern)
    is_any = False
    if any(character in name for character in "*?["):
        with refusing(pattern):
            for each in client().list_blobs(bucket, match_glob=name, **trying()):
                is_any = True
                if not each.name.endswith("/"):
                    yield f"{REMOTE}{bucket}/{each.name}", each.size, _hex(each.crc32c)
    if not is_any and (there := found(pattern)) is not None:
        yield pattern, there.size, _hex(there.crc32c)


def inside(folder: str, *, at_most: int | None = None) -> list[Any]:
    """The objects under a folder."""
    bucket, prefix = split(folder.rstrip("/") + "/")
    with refusing(folder):
        return list(client().list_blobs(bucket, prefix=prefix, max_results=at_most, **trying()))


def names(folder: str) -> set[str]:
    """The names in a folder, of objects and of folders."""
    bucket, prefix = split(folder.rstrip("/") + "/")
    with refusing(folder):
        listing = client().list_blobs(bucket, prefix=prefix, delimiter="/", **trying())
        objects = [each.name for each in listing]  # the prefixes are known when all is listed
        return {name.removeprefix(prefix).strip("/") for name in [*objects, *listing.prefixes]}


def version(path: str) -> str | None:
    """The generation, another one with every write; None when it is not there."""
    there = found(path)
    return None if there is None else str(there.generation)


def checksum(path: str) -> str:
    """The CRC-32C that the service keeps, 8 hex digits. Raises UserError when the object is missing."""
    return _hex(required(path).crc32c)


def _hex(crc32c: str) -> str:
    return base64.b64decode(crc32c).hex()


def write(path: str, source: IO[bytes], *, over: Any = None) -> bool:
    """Write an object of a stream's bytes, only if what is there is still `over` (None: nothing).

    False when somebody else wrote it since.
    """
    with refusing(path):
        from google.api_core.exceptions import PreconditionFailed

        target, mark = blob(path), uuid.uuid4().hex
        marks = [mark, *_marks(over)][:TRAIL]
        target.metadata, target.chunk_size = {MARK: " ".join(marks)}, PART
        try:
            _upload(target, source, generation=0 if over is None else over.generation)
        except PreconditionFailed:
            return mark in _marks(found(path))
        return True


def _marks(there: Any) -> list[str]:
    """The marks of an object, and of those that it was written over: our own may be among them."""
    return ((there and there.metadata) or {}).get(MARK, "").split()


def _upload(target: Any, source: IO[bytes], *, generation: int) -> None:
    """Large ones go in parts; when the service forgot them, or kept half of one, all is sent again."""
    size = source.seek(0, io.SEEK_END)
    for is_last in [False] * RESTARTS + [True]:
        try:
            return target.upload_from_file(source, rewind=True, size=size, if_generation_match=generation, **trying())
        except Exception as error:
            is_broken = isinstance(error, ValueError) or getattr(error, "code", None) == http.HTTPStatus.GONE
            if is_last or not is_broken:
                raise


def publish(path: str, source: IO[bytes]) -> None:
    """Write an object of a stream's bytes over what is there, if anything is."""
    there = None
    for _ in range(CONTESTS):
        if write(path, source, over=there):
            return
        there = found(path)
    raise _contested(path)


def replace(path: str, source: IO[bytes], version: str) -> bool:
    """Write an object of a stream's bytes, only if it is still at that version. False when it is not."""
    there = found(path)
    return there is not None and str(there.generation) == version and write(path, source, over=there)


def remove(path: str) -> None:
    """Remove an object, if it is there."""
    there = found(path)
    if there is not None:
        _remove(there, path)


def remove_folder(folder: str) -> None:
    """Remove all that is under a folder, some at once: a request takes its time, and there may be thousands."""
    with ThreadPoolExecutor(REMOVED) as pool:
        for _ in pool.map(functools.partial(_remove, path=folder), inside(folder)):
            pass


def _remove(target: Any, path: str) -> None:
    with refusing(path):
        from google.api_core.exceptions import NotFound, PreconditionFailed

        with contextlib.suppress(NotFound, PreconditionFailed):  # gone, or somebody else's by now
            target.delete(if_generation_match=target.generation, **trying())


def reading(path: str) -> IO[bytes]:
    """A seekable stream of an object as it is now, checked against its CRC-32C when it is read from start to end.

    Raises UserError when it is missing; reading does when it is replaced or removed meanwhile, or was damaged.
    """
    there = required(path)
    if there.content_encoding == "gzip" and not path.endswith(".gz"):
        raise UserError(f"{path} is kept packed (Content-Encoding: gzip); upload it as it is, or as a .gz file")
    return io.BufferedReader(_Content(there, path), BLOCK)


def read(path: str) -> bytes:
    """The whole content of a small object, as it was at one time, however often it is replaced."""
    for _ in range(CONTESTS):
        with contextlib.suppress(Replaced), reading(path) as stream:
            return stream.read()
    raise _contested(path)


def _contested(path: str) -> UserError:
    return UserError(f"{path} is being written by others all the time; stop them, or choose another place")


class _Content(io.RawIOBase):
    """The bytes of one generation of an object, each read a request."""

    def __init__(self, there: Any, path: str) -> None:
        self._there = there  # its generation goes with every request
        self._path = path
        self._place = 0
        self._digest = google_crc32c.Checksum()
        self._digested = 0  # bytes from the start on

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._there.size}[whence]
        if start + offset < 0:
            raise ValueError(f"a place before the start of {self._path}")
        self._place = start + offset
        return self._place

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        content = self._next(len(view))
        view[: len(content)] = content
        return len(content)

    def readall(self) -> bytes:
        blocks = iter(lambda: self._next(8 * BLOCK), b"")
        return b"".join(blocks)

    def _next(self, size: int) -> bytes:
        stop = min(self._place + size, self._there.size)
        if stop <= self._place:
            return b""
        with refusing(self._path):
            from google.api_core.exceptions import NotFound

            fetch = functools.partial(self._there.download_as_bytes, raw_download=True, checksum=None, **trying())
            try:
                # Tried again outside as well: the library leaves it when a refusal of the service breaks off.
                content = trying()["retry"](fetch)(start=self._place, end=stop - 1)
            except NotFound:
                raise Replaced(f"{self._path} was replaced or removed while it was read; try again") from None
        if self._place <= self._digested:
            self._check(content[self._digested - self._place :])
        self._place += len(content)
        return content

    def _check(self, content: bytes) -> None:
        self._digest.update(content)
        self._digested += len(content)
        wanted = base64.b64decode(self._there.crc32c)
        if self._digested == self._there.size and self._digest.digest() != wanted:
            raise UserError(
                f"{self._path} was damaged on its way (its CRC-32C is {wanted.hex()}, what arrived has "
                f"{self._digest.digest().hex()}); try again"
            )
