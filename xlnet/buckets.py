"""Google Cloud Storage: the client of this process, and what it refuses in one line."""

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
