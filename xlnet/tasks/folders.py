"""Data sets that are a folder of small files: IMDB's a review a file, RACE's a passage a file."""

import hashlib
from collections.abc import Iterable

from xlnet import storage
from xlnet.errors import UserError


def is_folder(path: str) -> bool:
    """Whether the path names a folder with something in it."""
    return bool(storage.list_folder(path))


def names(folder: str, *, ending: str = ".txt") -> list[str]:
    """The files with that ending in a folder and the folders in it, relative to it, sorted within each.

    Raises UserError when there are none.
    """
    found = list(_names(folder, "", ending))
    if not found:
        raise UserError(f"{folder} holds no {ending} file; name the folder that the data set's files lie in")
    return found


def _names(folder: str, inside: str, ending: str) -> list[str]:
    found = []
    for name in storage.list_folder(storage.join(folder, inside) if inside else folder):
        relative = f"{inside}/{name}" if inside else name
        found += [relative] if name.endswith(ending) else _names(folder, relative, ending)
    return found


def checksum(folder: str, files: Iterable[str]) -> str:
    """The SHA-256 of the names and contents of files in a folder, in hex."""
    digest = hashlib.sha256()
    for name in files:
        digest.update(f"{storage.sha256(storage.join(folder, name))}  {name}\n".encode())
    return digest.hexdigest()
