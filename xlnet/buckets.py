"""Google Cloud Storage: the client of this process, and what it refuses in one line."""

import base64
import contextlib
import os
from collections.abc import Iterator
from typing import Any

from xlnet.errors import UserError

REMOTE = "gs://"
REFUSALS = {  # exceptions of google.api_core and google.auth by name: importing them takes a second
    "NotFound": "does not exist, or its bucket does not",
    "Forbidden": "may not be used with these credentials; ask for access to the bucket",
    "Unauthorized": "may not be used without credentials; run gcloud auth application-default login",
    "DefaultCredentialsError": "needs credentials; run gcloud auth application-default login",
    "RefreshError": "cannot be reached: the credentials are no longer valid; log in again",
    "RetryError": "cannot be reached; check the network and STORAGE_EMULATOR_HOST",
    "TransportError": "cannot be reached; check the network",
}

_clients: dict[int, Any] = {}  # one a process: a client must not cross a fork


def split(path: str) -> tuple[str, str]:
    """The bucket and the name of `gs://bucket/name`. Raises UserError when one is missing."""
    bucket, _, name = path.removeprefix(REMOTE).partition("/")
    if not bucket or not name:
        raise UserError(f"{path!r} is not a path on Google Cloud Storage; write gs://bucket/name")
    return bucket, name


def client() -> Any:
    """The client; without credentials where STORAGE_EMULATOR_HOST names a server of one's own."""
    if os.getpid() not in _clients:
        try:
            from google.cloud import storage  # type: ignore[attr-defined]
        except ImportError:
            raise UserError(
                "gs:// paths need google-cloud-storage; install the extra: pip install 'xlnet-pipelines[gcp]'"
            ) from None
        if os.environ.get("STORAGE_EMULATOR_HOST"):
            _clients[os.getpid()] = storage.Client.create_anonymous_client()
        else:
            _clients[os.getpid()] = storage.Client()
    return _clients[os.getpid()]


def blob(path: str) -> Any:
    """The object of that path, whether it is there or not."""
    bucket, name = split(path)
    with refusing(path):
        return client().bucket(bucket).blob(name)


def generation(path: str) -> str | None:
    """The generation of an object, another one with every write; None when it is not there."""
    found = _found(path)
    return None if found is None else str(found.generation)


def checksum(path: str) -> str:
    """The CRC-32C that the service keeps of an object, 8 hex digits. Raises UserError when it is missing."""
    found = _found(path)
    if found is None:
        raise UserError(f"{path} does not exist")
    return base64.b64decode(found.crc32c).hex()


def upload(path: str, content: bytes, *, generation: int) -> bool:
    """Write an object only if it is at that generation (0: not there). False when somebody else wrote it since."""
    with refusing(path):
        from google.api_core.exceptions import PreconditionFailed

        try:
            blob(path).upload_from_string(content, if_generation_match=generation)
        except PreconditionFailed:
            return False
        return True


def _found(path: str) -> Any:
    bucket, name = split(path)
    with refusing(path):
        return client().bucket(bucket).get_blob(name)


@contextlib.contextmanager
def refusing(path: str) -> Iterator[None]:
    """Turns what the service refuses into a UserError; without effect for a path on the disk."""
    try:
        yield
    except Exception as error:
        refusal = REFUSALS.get(type(error).__name__)
        if refusal is None or not path.startswith(REMOTE):
            raise
        raise UserError(f"{path} {refusal}") from None
