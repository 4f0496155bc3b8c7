"""How far a job is: its workers append lines to a file, and a thread of the driver reads them.

Beam tells a job's counters when the job is over; the journal tells while it runs. Workers on other machines have no
journal, their runner shows how far they are.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from xlnet import storage
from xlnet.progress import Progress

NAME = ".journal"
INTERVAL = 0.2  # seconds


@dataclass(frozen=True)
class Advance:
    """How far one stage is, `seconds` after the first worker began."""

    stage: str
    done: int
    total: int
    seconds: float


class Journal:
    """The journal of an output folder; without effect where the folder is remote. Can be pickled."""

    def __init__(self, directory: str) -> None:
        self.path = None if storage.is_remote(directory) else storage.join(directory, NAME)

    def note(self, stage: str, amount: int) -> None:
        """Tell that so much more of a stage is done."""
        if self.path is not None:
            with contextlib.suppress(OSError), open(self.path, "a", encoding="ascii") as stream:
                stream.write(f"{stage} {amount} {time.time()}\n")  # one write, shorter than a page: lines stay whole

    @contextlib.contextmanager
    def followed(self, progress: Callable[[Advance], None], *, totals: dict[str, int]) -> Iterator[None]:
        """Calls `progress` while the block runs, at least once a stage when it ends well; then removes the journal."""
        if self.path is None:
            yield
            return
        over = threading.Event()
        follower = threading.Thread(target=self._follow, args=(progress, totals, over), daemon=True)
        follower.start()
        try:
            yield
        finally:
            over.set()
            follower.join()
            with contextlib.suppress(OSError):
                os.remove(self.path)

    def _follow(self, progress: Callable[[Advance], None], totals: dict[str, int], over: threading.Event) -> None:
        done = dict.fromkeys(totals, 0)
        first, at = None, 0
        is_last = False
        while not is_last:
            is_last = over.wait(INTERVAL)
            lines, at = self._lines(at)
            for stage, amount, moment in lines:
                first = moment if first is None else first
                done[stage] += amount
                last = stage, moment
            if lines and first is not None:
                stage, moment = last
                progress(Advance(stage, done[stage], totals[stage], moment - first))

    def _lines(self, at: int) -> tuple[list[tuple[str, int, float]], int]:
        try:
            with open(self.path or "", "rb") as stream:
                stream.seek(at)
                content = stream.read()
        except OSError:
            return [], at
        whole = content[: content.rfind(b"\n") + 1]
        words = [line.split() for line in whole.decode().splitlines()]
        return [(stage, int(amount), float(moment)) for stage, amount, moment in words], at + len(whole)


class Shown:
    """Shows a job's advance to a person: bytes of text read, then shards written."""

    def __init__(self) -> None:
        self.lines: dict[str, Progress] = {}

    def __call__(self, advance: Advance) -> None:
        """Show one advance."""
        unit = {"tokenize": "bytes", "write": "shards"}.get(advance.stage, "")
        if advance.stage not in self.lines:
            self.lines[advance.stage] = Progress(advance.total, unit=unit, name=advance.stage)
            self.lines[advance.stage].update(0)
        rate = f"{advance.done / advance.seconds:,.0f} {unit}/s" if advance.seconds else ""
        self.lines[advance.stage].update(advance.done, rate=rate)
