"""Stopping a run from outside: SIGTERM asks it to save and leave, with a code that says "come again".

Schedulers send SIGTERM before they take a machine away (Kubernetes, preemptible machines, batch queues).
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

EXIT_CODE = os.EX_TEMPFAIL  # 75: not an error; the same command goes on from here


class StoppedError(BaseException):
    """A run was asked to stop, and saved its state. The message says where, on one line.

    No Exception: it may come in the middle of an import, and who catches those there goes on without.
    """


class _Handler:
    def __init__(self, ask: Callable[[], None]) -> None:
        self.ask, self.was_asked = ask, False

    def __call__(self, number: int, frame: Any) -> None:
        self.was_asked = True
        self.ask()


@contextlib.contextmanager
def on_termination(ask: Callable[[], None]) -> Iterator[None]:
    """Calls `ask` when SIGTERM arrives while the block runs. Without effect outside the main thread.

    Such a block may stand in another: if it was asked and came to its end all the same, the outer one is asked then. In
    `before_training` nothing is left to stop when it ends: SIGTERM has no effect from there on.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = _Handler(ask)
    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN if before is _leave else before or signal.SIG_DFL)
    if handler.was_asked and isinstance(before, _Handler):
        before(signal.SIGTERM, None)


@contextlib.contextmanager
def before_training() -> Iterator[None]:
    """SIGTERM raises StoppedError until a block of `on_termination` begins: there is nothing to save yet."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _leave(number: int, frame: Any) -> None:
    raise StoppedError("stopped before the first step, nothing is lost; the same command goes on")
