"""The local disk: files that appear whole, only if nothing is there, or only over what was read; folders for one run.

What `xlnet.storage` promises of a path, kept for those that are not on Google Cloud Storage.
"""

import contextlib
import errno
import fcntl
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from typing import IO

from xlnet.errors import UserError

LOCK = ".lock"
FILE, FOLDER = 0o666, 0o777  # rights, less those that the user's umask takes
FULL = (errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EFBIG)  # the last: more than `ulimit -f` allows
LOCKLESS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EBADF)  # what file systems without locks answer


def _umask() -> int:
    found = os.umask(0o077)  # the one way to read it
    os.umask(found)
    return found


UMASK = _umask()  # once, before there are threads


def make_folder(folder: str) -> None:
    """Make a folder and its parents. Raises UserError when that is not allowed."""
    with placing(folder):
        os.makedirs(folder, exist_ok=True)


def names(folder: str) -> list[str]:
    """What is in a folder; nothing where there is none. Raises UserError when it cannot be read."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {reason(error)}") from None


@contextlib.contextmanager
def aside(path: str, *, folder: str) -> Iterator[tuple[IO[bytes], str]]:
    """A stream and its path, in `folder`, to write what shall become `path`; removed when the block ends."""
    make_folder(folder)
    with placing(path):
        handle, name = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", suffix=".part", dir=folder)
    try:
        with mendable(path), os.fdopen(handle, "wb") as stream:
            os.fchmod(handle, FILE & ~UMASK)
            yield stream, name
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(name)


def open_up(folder: str) -> None:
    """Give a folder and all in it the rights of new ones: temporary folders and safetensors' files have fewer."""
    for place, _, names in os.walk(folder):
        os.chmod(place, FOLDER & ~UMASK)
        for name in names:
            os.chmod(os.path.join(place, name), FILE & ~UMASK)


def settle(stream: IO[bytes]) -> None:
    """Everything written, on the disk: what is renamed now is whole even after a loss of power."""
    stream.flush()
    now = time.time_ns()
    os.utime(stream.fileno(), ns=(now, now))  # the kernel's own times stand still for 4 ms: versions would repeat
    os.fsync(stream.fileno())


def create(path: str, content: bytes) -> bool:
    """Write a file whole, only if nothing is there. False when somebody else was first."""
    folder = os.path.dirname(os.path.abspath(path))
    with _written_aside(path, content, folder=folder) as name, _alone(folder), placing(path):
        if os.path.exists(path):
            return False
        try:
            os.link(name, path)  # refuses to replace, even where locks are not kept
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EXDEV):
                raise
            os.replace(name, path)  # a file system without links
        return True


def version(path: str) -> str | None:
    """The file's time in ns, its size in bytes and its inode: what another write changes. None: not there."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return f"{found.st_mtime_ns}:{found.st_size}:{found.st_ino}"


def replace(path: str, content: bytes, expected: str) -> bool:
    """Write a file whole, only if it is still at the expected version. False when somebody else wrote it since."""
    folder = os.path.dirname(os.path.abspath(path))
    with _written_aside(path, content, folder=folder) as name, _alone(folder), placing(path):
        if version(path) != expected:
            return False
        os.replace(name, path)
        return True


@contextlib.contextmanager
def _written_aside(path: str, content: bytes, *, folder: str) -> Iterator[str]:
    with aside(path, folder=folder) as (stream, name):
        stream.write(content)
        settle(stream)
        yield name


@contextlib.contextmanager
def _alone(folder: str) -> Iterator[None]:
    """Waits for others that look at a file of the folder and then write it; a moment."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def locked(folder: str) -> Iterator[None]:
    """Holds a folder for this run: the kernel lets go of it when the process ends, also by SIGKILL.

    The folder is made where it is missing, with those above it, and all are removed when the block ends that are empty
    then. Raises UserError when another run holds it.
    """
    missing = list(_missing(os.path.abspath(folder)))
    handle = _held(folder)
    try:
        with contextlib.suppress(OSError):  # a full disk, say: the lock holds without a name in it
            os.truncate(handle, 0)
            os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield
    finally:
        with contextlib.suppress(OSError):
            os.remove(os.path.join(folder, LOCK))  # before the lock goes: who comes next makes a file of its own
        os.close(handle)
        with contextlib.suppress(OSError):
            for place in missing:
                os.rmdir(place)


def _missing(folder: str) -> Iterator[str]:
    """The folder and those above it that are not there, the last one first."""
    while not os.path.isdir(folder):
        yield folder
        folder = os.path.dirname(folder)


def _held(folder: str) -> int:
    """The locked lock file, open."""
    path = os.path.join(folder, LOCK)
    while True:
        handle = _opened(folder, path)
        try:
            _lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 200, 0).decode(errors="replace")
            os.close(handle)
            raise UserError(
                f"another run is writing to {folder} ({holder or 'it has just begun'}); wait until it ends, "
                "or name another output"
            ) from None
        if _is_at(handle, path):
            return handle
        os.close(handle)  # its holder removed it between our opening and our locking


def _opened(folder: str, path: str) -> int:
    with placing(folder):
        while True:
            os.makedirs(folder, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # its holder removed the folder at this moment
                return os.open(path, os.O_RDWR | os.O_CREAT, FILE)


def _is_at(handle: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def _lock(handle: int, operation: int) -> None:
    try:
        fcntl.flock(handle, operation)
    except OSError as error:
        if error.errno not in LOCKLESS:
            raise


@contextlib.contextmanager
def mendable(path: str) -> Iterator[None]:
    """Turns what a user can mend (permissions, a full disk, a file in the way) into a UserError."""
    try:
        yield
    except PermissionError:
        raise UserError(f"cannot write {path}: permission denied; choose another place or change its rights") from None
    except (NotADirectoryError, FileExistsError):
        raise UserError(f"cannot write {path}: a file is in the way; choose another place") from None
    except Exception as error:  # TensorFlow and safetensors have names of their own for a full disk
        said = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        why = next((why for why in map(os.strerror, FULL) if why in said), None)
        if why is None:
            raise
        raise UserError(f"cannot write {path}: {why.lower()}; make room or choose another place") from None


@contextlib.contextmanager
def placing(path: str) -> Iterator[None]:
    """As `mendable`, where a file or folder is made: any refusal is about the place that the user chose."""
    if not path:
        raise UserError("the output is an empty path; name a file or folder")
    try:
        with mendable(path):
            yield
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise UserError(f"cannot write {path!r}: {reason(error)}; choose another place") from None


def reason(error: OSError | ValueError) -> str:
    """What an error of the system says."""
    return os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else str(error)
