"""A step that is told to end cancels the job that it launched on Dataflow."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from typing import Any


class Terminated(BaseException):
    """SIGTERM: the run is cancelled, or the machine is taken away. `dataflow.execute` cancels its job then."""


@contextlib.contextmanager
def on_termination() -> Iterator[None]:
    """Raises Terminated in the block when SIGTERM comes, and ends the process as the signal would have.

    Kubernetes sends it to the pods of a run that is terminated. A pod that is lost gets none, and its retry finds the
    job by its name and waits on it.
    """

    def stop(number: int, frame: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # cancelling takes a moment
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except Terminated:
        print("stopped by SIGTERM", flush=True)
        sys.exit(128 + signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
