"""Google Cloud Storage: the client of this process, how long it tries, and what it refuses in one line."""

import contextlib
import math
import os
import re
from collections.abc import Iterator
from typing import Any

from xlnet.errors import UserError

REMOTE = "gs://"
EMULATOR = "STORAGE_EMULATOR_HOST"  # names another service of the same kind
PATIENCE = "XLNET_STORAGE_TIMEOUT"  # seconds that a request may fail for before it is given up
REFUSALS = {  # exceptions of google.api_core, google.auth and requests by name: importing them takes a second
    "NotFound": "does not exist, or its bucket does not",
    "Forbidden": "may not be used with these credentials; ask for access to the bucket",
    "Unauthorized": "may not be used without credentials; run gcloud auth application-default login",
    "DefaultCredentialsError": "needs credentials; run gcloud auth application-default login",
    "RefreshError": "cannot be reached: the credentials are no longer valid; log in again",
    "TransportError": "cannot be reached; check the network",
    "DataCorruption": "was damaged on its way to the service; try again",
    "JSONDecodeError": f"was asked for, and the answer is none of Google Cloud Storage; check {EMULATOR}",
}

_clients: dict[tuple[int, str], Any] = {}  # one a process: a client must not cross a fork


def split(path: str) -> tuple[str, str]:
    """The bucket and the name of `gs://bucket/name`. Raises UserError when one is missing."""
    bucket, _, name = path.removeprefix(REMOTE).partition("/")
    if not bucket or not name:
        raise UserError(f"{path!r} is not a path on Google Cloud Storage; write gs://bucket/name")
    return bucket, name


def client() -> Any:
    """The client; without credentials where STORAGE_EMULATOR_HOST names a server of one's own."""
    address = os.environ.get(EMULATOR, "")
    key = os.getpid(), address
    if key not in _clients:
        try:
            from google.cloud import storage  # type: ignore[attr-defined]
        except ImportError:
            raise UserError(
                "gs:// paths need google-cloud-storage; install the extra: pip install 'xlnet-pipelines[gcp]'"
            ) from None
        if address and not re.match(r"https?://\w", address):
            raise UserError(f"{EMULATOR} is {address!r}, wanted is an address such as http://localhost:9023")
        # A project is needed to make buckets, not for what is in them.
        _clients[key] = storage.Client.create_anonymous_client() if address else storage.Client(project=None)
    return _clients[key]


def blob(path: str) -> Any:
    """The object of that path, whether it is there or not."""
    bucket, name = split(path)
    with refusing(path):
        return client().bucket(bucket).blob(name)


def trying() -> dict[str, Any]:
    """The arguments of every request: tried again, after longer and longer waits, while its failure may pass."""
    from google.cloud.storage.retry import DEFAULT_RETRY

    seconds = patience()
    waits = DEFAULT_RETRY.with_delay(initial=0.1, maximum=seconds / 12, multiplier=2)
    # Silence ends a try in time for others; the library's own limits would make it two minutes.
    return {"retry": waits.with_timeout(seconds), "timeout": (min(10, seconds / 4), min(30, seconds / 4))}


def patience() -> float:
    """Seconds that a request may fail for. Raises UserError for a setting that is none."""
    text = os.environ.get(PATIENCE, "60")
    with contextlib.suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise UserError(f"{PATIENCE} is {text!r}, wanted is a number of seconds above 0")


@contextlib.contextmanager
def refusing(path: str) -> Iterator[None]:
    """Turns what the service refuses into a UserError; without effect for a path on the disk."""
    try:
        yield
    except Exception as error:
        refusal = _refusal(error)
        if refusal is None or not path.startswith(REMOTE):
            raise
        raise UserError(f"{path} {refusal}") from None


def _refusal(error: Exception) -> str | None:
    name = type(error).__name__
    if name == "RetryError":
        return (
            f"cannot be reached for {patience():g} s ({_cause(getattr(error, 'cause', None))}); check the network"
            + (f", and {EMULATOR}, which is {os.environ[EMULATOR]}" if os.environ.get(EMULATOR) else "")
        )
    if name not in REFUSALS and type(error).__module__ == "google.api_core.exceptions":
        return f"was refused by the service: {_cause(error)}"
    return REFUSALS.get(name)


def _cause(error: Exception | None) -> str:
    """What the service or the system said, without the libraries' wrappings."""
    response = getattr(error, "response", None)
    code = getattr(error, "code", None) or getattr(response, "status_code", None)
    if code is not None:
        said = str(getattr(error, "message", None) or getattr(response, "reason", ""))
        return " ".join(f"{int(code)} {said}".split())[:200]
    found = re.search(r"\[Errno -?\d+\] ([^'\")(]+)", str(error))
    return found[1].strip().lower() if found else type(error).__name__
