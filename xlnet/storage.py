"""Paths on disk and on Google Cloud Storage: list, read, publish atomically.

Every path of the project is a string, local or `gs://bucket/name`. Nothing is ever written in place: a file
is written aside and renamed (on Google Cloud Storage an object appears whole or not at all), a folder is
filled aside and renamed, with its marker file uploaded last where renames do not exist.
"""

import contextlib
import glob
import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import google_crc32c

from xlnet import disk, objects
from xlnet.buckets import REMOTE
from xlnet.disk import mendable, placing, reason
from xlnet.errors import MissingError, UserError


@dataclass(frozen=True, order=True)
class File:
    """A file that was found: its path, its size in bytes, and its CRC-32C where the listing tells it."""

    path: str
    bytes: int
    crc32c: str = field(default="", compare=False)


def is_remote(path: str) -> bool:
    """Whether the path names an object on Google Cloud Storage."""
    return path.startswith(REMOTE)


def join(folder: str, *names: str) -> str:
    """A path inside a folder. Raises UserError for a folder without a name, which would become the root."""
    if not folder:
        raise UserError("an empty path was given where a folder is wanted; name the folder")
    return "/".join([folder.rstrip("/"), *names])


def parent(path: str) -> str:
    """The folder that a file or a folder lies in, behind all links."""
    return os.path.dirname(path.rstrip("/") if is_remote(path) else os.path.realpath(path))


def match(patterns: Sequence[str]) -> list[File]:
    """The non-empty list of files that the patterns name, sorted, without repeats: a file that is named in two ways,
    such as `a.txt` and `./a.txt`, comes once.

    Raises UserError when a pattern matches nothing, names a folder, or only empty files are found.
    """
    found: dict[str, File] = {}
    for pattern in patterns:
        files = _match_remote(pattern) if is_remote(pattern) else _match_local(pattern)
        if not files:
            raise UserError(
                f"no file matches {pattern!r}; check the path, and quote a glob so that the shell leaves it be"
            )
        for file in files:
            one = identity(file.path)
            found[one] = min(file, found.get(one, file))
    if not any(file.bytes for file in found.values()):
        raise UserError(f"every file that {' '.join(patterns)!r} names is empty ({len(found)} found); give text")
    return sorted(found.values())


def identity(path: str) -> str:
    """What the ways to name one file have in common: on disk, the absolute path behind all links."""
    return path if is_remote(path) else os.path.realpath(path)


def _match_local(pattern: str) -> list[File]:
    if os.path.isdir(pattern):
        raise _folder_wanted_as_file(pattern)
    paths = [pattern] if os.path.exists(pattern) else glob.glob(pattern, recursive=True)
    return [File(path, _size_of(path)) for path in paths if not os.path.isdir(path)]


def _size_of(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError as error:  # a link to what is gone, or to itself
        raise UserError(f"{path} cannot be read: {reason(error)}") from None


def _match_remote(pattern: str) -> list[File]:
    files = [File(*found) for found in objects.matching(pattern)]
    if not files and objects.inside(pattern, at_most=1):
        raise _folder_wanted_as_file(pattern)
    return files


def _folder_wanted_as_file(folder: str) -> UserError:
    example = join(folder, "*.txt")
    return UserError(f"{folder!r} is a folder, files are wanted; name them, for example {example!r}")


def exists(path: str) -> bool:
    """Whether a file, or a folder with something in it, is there."""
    if not is_remote(path):
        return os.path.exists(path)
    return objects.found(path) is not None or bool(objects.inside(path, at_most=1))


def size(path: str) -> int:
    """A file's size in bytes. Raises UserError when it is missing."""
    if is_remote(path):
        return objects.required(path).size
    found = _match_local(path) if os.path.exists(path) else []
    if not found:
        raise UserError(f"{path} does not exist")
    return found[0].bytes


@contextlib.contextmanager
def reading(path: str) -> Iterator[IO[bytes]]:
    """A file opened for reading bytes, from any place in it.

    Raises UserError when it is missing (MissingError), a folder, or not readable, and reading an object does when it is
    replaced meanwhile or cannot be reached.
    """
    try:
        # closed below, after its errors are told apart
        stream: IO[bytes] = objects.reading(path) if is_remote(path) else open(path, "rb")  # noqa: SIM115
    except FileNotFoundError:
        raise MissingError(f"{path} does not exist") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder, a file is wanted") from None
    except PermissionError:
        raise UserError(f"{path} cannot be read: permission denied") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise UserError(f"{path!r} cannot be read: {reason(error)}") from None
    with stream:
        yield stream


def read_bytes(path: str) -> bytes:
    """The whole content of a small file."""
    if is_remote(path):
        return objects.read(path)
    with reading(path) as stream:
        return stream.read()


def read_json(path: str) -> Any:
    """The content of a JSON file. Raises UserError when it is missing or broken."""
    content = read_bytes(path)
    try:
        return json.loads(content)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not JSON: {error}") from None


def standard_input() -> IO[bytes]:
    """The bytes of the standard input. Raises UserError where a shell has closed it."""
    if sys.stdin is None:
        raise UserError("the standard input is closed; name a file instead")
    return sys.stdin.buffer


def publish(path: str, content: bytes) -> None:
    """Write a file whole or not at all; an older file of that name is replaced."""
    if is_remote(path):
        return objects.publish(path, io.BytesIO(content))
    with writing(path) as stream:
        stream.write(content)


def publish_json(path: str, content: Any) -> None:
    """Write a JSON file whole or not at all, with sorted keys: same content, same bytes."""
    publish(path, (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode())


def create(path: str, content: bytes) -> bool:
    """Publish a file only if nothing is there. False when somebody else was first, whose content stays."""
    return objects.write(path, io.BytesIO(content)) if is_remote(path) else disk.create(path, content)


def version(path: str) -> str | None:
    """What changes whenever the file is written again; None when it is not there."""
    return objects.version(path) if is_remote(path) else disk.version(path)


def replace(path: str, content: bytes, version: str | None) -> bool:
    """Publish a file only if it is still at that version (None: not there). False when somebody else wrote it since."""
    if version is None:
        return create(path, content)
    if is_remote(path):
        return objects.replace(path, io.BytesIO(content), version)
    return disk.replace(path, content, version)


@contextlib.contextmanager
def locked(folder: str) -> Iterator[None]:
    """Keeps other runs on this machine out of a local folder until the block ends, or the process, however it does.

    Raises UserError when another run holds the folder. Without effect on Google Cloud Storage, where preconditions
    decide who was first.
    """
    with contextlib.nullcontext() if is_remote(folder) else disk.locked(folder):
        yield


@contextlib.contextmanager
def writing(path: str) -> Iterator[IO[bytes]]:
    """A stream whose bytes become `path` when the block ends well, and vanish when it does not.

    A link stays, and what it leads to is replaced; a device or a pipe is written to as the bytes come.
    """
    if not is_remote(path):
        if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
            with placing(path), open(path, "wb") as stream:
                yield stream
            return
        path = os.path.realpath(path)
    folder = tempfile.gettempdir() if is_remote(path) else os.path.dirname(path)
    with disk.aside(path, folder=folder) as (stream, aside):
        yield stream
        disk.settle(stream)
        if is_remote(path):
            with open(aside, "rb") as content:
                objects.publish(path, content)
        else:
            with placing(path):
                os.replace(aside, path)


@contextlib.contextmanager
def publishing(directory: str, *, marker: str) -> Iterator[Path]:
    """A local folder to fill, which becomes `directory` when the block ends well.

    `marker` names the file that readers look for: it is the last to appear where a rename of the whole
    folder is not possible. Raises UserError when `directory` already holds something.
    """
    refuse_occupied(directory)
    parent = tempfile.gettempdir() if is_remote(directory) else os.path.dirname(os.path.abspath(directory))
    make_folder(parent)
    with placing(directory):
        aside = tempfile.mkdtemp(prefix=f".{os.path.basename(directory.rstrip('/'))}.", suffix=".part", dir=parent)
    try:
        with mendable(directory):
            yield Path(aside)
            if is_remote(directory):
                _upload_folder(Path(aside), directory, marker=marker)
            else:
                disk.open_up(aside)
                os.replace(aside, directory)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def refuse_occupied(directory: str, *, but: str = "") -> None:
    """Raises UserError when the output folder already holds something `but` the file of that name, or is a file."""
    if is_remote(directory):
        occupied = exists(directory)
    elif os.path.isdir(directory):
        occupied = any(name != but for name in os.listdir(directory))
    else:
        occupied = os.path.exists(directory)
    if occupied:
        raise UserError(f"the output {directory} already holds something; name a new folder, or remove this one")


def make_folder(folder: str) -> None:
    """Make a local folder and its parents. Raises UserError when that is not allowed."""
    if is_remote(folder):
        return
    disk.make_folder(folder)


def list_folder(folder: str) -> list[str]:
    """The names in a folder, sorted; none when it does not exist. Names that begin with a dot are left out.

    Raises UserError when it cannot be read.
    """
    names = objects.names(folder) if is_remote(folder) else disk.names(folder)
    return sorted(name for name in names if name and not name.startswith("."))


def remove(path: str) -> None:
    """Remove a file, if it is there."""
    if is_remote(path):
        return objects.remove(path)
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)


def remove_folder(folder: str) -> None:
    """Remove a folder and what is in it, if it is there."""
    if is_remote(folder):
        return objects.remove_folder(folder)
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def local_copy(path: str) -> Iterator[str]:
    """A local path with the content of `path`, for libraries that read only the disk."""
    if not is_remote(path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        target = os.path.join(folder, os.path.basename(path))
        with reading(path) as source, open(target, "wb") as copy:
            shutil.copyfileobj(source, copy, objects.BLOCK)
        yield target


def sha256(path: str) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with reading(path) as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def checksum(path: str) -> str:
    """The CRC-32C of a file's bytes, 8 hex digits; of an object as the service keeps it, without reading it."""
    if is_remote(path):
        return objects.checksum(path)
    digest = google_crc32c.Checksum()
    with reading(path) as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest().decode()


def _upload_folder(folder: Path, directory: str, *, marker: str) -> None:
    """Raises UserError when another run was first with the marker."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    # What lies deeper comes first: a server that sees a folder's own files finds their parts.
    files.sort(key=lambda path: (path.name == marker, -len(path.parts), path))
    for path in files:
        target = join(directory, path.relative_to(folder).as_posix())
        with open(path, "rb") as content:
            if path.name != marker:
                objects.publish(target, content)
            elif not objects.write(target, content):
                raise UserError(f"another run has just written {target}; name another output")
