"""What a person sees of a run on this machine: each step, its progress, what went wrong; the rest goes to a log."""

import re
import threading
from typing import TextIO

from xlnet.progress import duration

SHOWN = re.compile(  # progress lines, and what went wrong
    r"error: |attempt \d+ of |taken from the cache|[\w -]+ [\d,]+/[\d,]+ |.* is passed over: "
)


class Console:
    """See `pipelines.attempts.Watch`. Where steps run side by side, each line names its own."""

    def __init__(self, terminal: TextIO, log: TextIO, *, names: bool = False):
        self.terminal = terminal
        self.log = log
        self.names = names
        self.lock = threading.Lock()

    def began(self, step: str) -> None:
        """Name the step."""
        with self.lock:
            self.log.write(f"step '{step}' begins\n")
            self._tell(step if not self.names else f"{step}: begins")

    def said(self, step: str, line: str) -> None:
        """Keep the line, and show it where a person wants it."""
        with self.lock:
            self.log.write(f"{step}: {line}\n" if self.names else f"{line}\n")
            self.log.flush()
            if SHOWN.match(line.strip()):
                self._tell(self._led(step, line.strip()))

    def ended(self, step: str, seconds: float) -> None:
        """Say how long it took."""
        with self.lock:
            self.log.write(f"step '{step}' done in {seconds:.1f} s\n")
            self.log.flush()
            self._tell(self._led(step, f"done in {duration(seconds)}"))

    def _led(self, step: str, line: str) -> str:
        return f"{step}: {line}" if self.names else f"    {line}"

    def _tell(self, line: str) -> None:
        self.terminal.write(f"{line}\n")
        self.terminal.flush()
