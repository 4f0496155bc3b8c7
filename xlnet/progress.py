"""How far a long job is, for a person: one line with rate and time left."""

import sys
import time
from typing import TextIO


def duration(seconds: float) -> str:
    """Seconds as h:mm:ss, or m:ss below an hour."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


class Progress:
    """One line that tells how far a run is, how fast, and how long it still takes.

    A terminal sees one line that is written over; elsewhere a plain line appears at most every `interval`
    seconds.
    """

    def __init__(self, total: int, *, unit: str, name: str, stream: TextIO | None = None, interval: float = 10.0):
        self.total = total
        self.unit = unit
        self.name = name
        self.stream = stream or sys.stderr
        self.interval = interval if not self.stream.isatty() else 0.2
        self.started = time.monotonic()
        self.first: int | None = None
        self.shown = float("-inf")

    def update(self, done: int, *, rate: str = "", note: str = "") -> None:
        """Tell that `done` of the total are done, with what else is worth a word."""
        now = time.monotonic()
        if self.first is None:
            self.first, self.started = done, now
        if now - self.shown < self.interval and done < self.total:
            return
        self.shown = now
        elapsed = now - self.started
        left = elapsed / (done - self.first) * (self.total - done) if done > self.first else None
        parts = [
            f"{self.name} {done:,}/{self.total:,} {self.unit}",
            note,
            rate,
            f"{duration(left)} left" if left is not None else "",
        ]
        line = "  ".join(part for part in parts if part)
        if self.stream.isatty():
            self.stream.write(f"\r\x1b[K{line}" + ("\n" if done >= self.total else ""))
        else:
            self.stream.write(line + "\n")
        self.stream.flush()
