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

from xlnet.progress import Progress

NAME = "journal"
INTERVAL = 0.2  # seconds
UNITS = {"compare": "bytes", "tokenize": "bytes", "write": "shards"}  # by stage


@dataclass(frozen=True)
class Advance:
    """How far one stage is, `seconds` after the first worker began."""

    stage: str
    done: int
    total: int
    seconds: float
    documents: int = 0
    pieces: int = 0


class Journal:
    """The journal in a folder of this machine; without effect where there is none. Can be pickled."""

    def __init__(self, folder: str | None) -> None:
        self.path = None if folder is None else os.path.join(folder, NAME)

    def note(self, stage: str, amount: int, *, documents: int = 0, pieces: int = 0) -> None:
        """Tell that so much more of a stage is done."""
        if self.path is not None:
            line = f"{stage} {amount} {documents} {pieces} {time.time()}\n"
            with contextlib.suppress(OSError), open(self.path, "a", encoding="ascii") as stream:
                stream.write(line)  # one write, shorter than a page: lines stay whole

    @contextlib.contextmanager
    def counting(self, stage: str, total: int) -> Iterator["Counting"]:
        """Tells how far one element of a stage is; when the block ends well, all of it is done."""
        counting = Counting(self, stage, total)
        self.note(stage, 0)
        yield counting
        self.note(stage, counting.left)

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
            self._close(totals)
        finally:
            over.set()
            follower.join()
            with contextlib.suppress(OSError):
                os.remove(self.path)

    def _close(self, totals: dict[str, int]) -> None:
        """At a good end all is done, also what nobody had to do, such as shards without text."""
        lines, _ = self._lines(0)
        for stage, total in totals.items():
            left = total - sum(amounts[0] for name, amounts, _ in lines if name == stage)
            if left > 0:
                self.note(stage, left)

    def _follow(self, progress: Callable[[Advance], None], totals: dict[str, int], over: threading.Event) -> None:
        done = {stage: [0, 0, 0] for stage in totals}
        first, at = None, 0
        is_last = False
        while not is_last:
            is_last = over.wait(INTERVAL)
            lines, at = self._lines(at)
            moments: dict[str, float] = {}
            for stage, amounts, moment in lines:
                first = moment if first is None else first
                done[stage] = [one + other for one, other in zip(done[stage], amounts, strict=True)]
                moments[stage] = moment
            for stage, moment in moments.items():
                amount, documents, pieces = done[stage]
                progress(Advance(stage, amount, totals[stage], moment - (first or moment), documents, pieces))

    def _lines(self, at: int) -> tuple[list[tuple[str, list[int], float]], int]:
        try:
            with open(self.path or "", "rb") as stream:
                stream.seek(at)
                content = stream.read()
        except OSError:
            return [], at
        whole = content[: content.rfind(b"\n") + 1]
        words = [line.split() for line in whole.decode().splitlines()]
        return [(stage, list(map(int, amounts)), float(moment)) for stage, *amounts, moment in words], at + len(whole)


class Counting:
    """How much of one element is left; nothing is told twice, and not more than there is."""

    def __init__(self, journal: Journal, stage: str, total: int) -> None:
        self.journal, self.stage, self.left = journal, stage, total

    def advance(self, amount: int, *, documents: int = 0, pieces: int = 0) -> None:
        """Tell that about so much more is done."""
        amount = min(amount, self.left)
        self.left -= amount
        self.journal.note(self.stage, amount, documents=documents, pieces=pieces)


class Shown:
    """Shows a job's advance to a person, a line a stage."""

    def __init__(self) -> None:
        self.lines: dict[str, Progress] = {}

    def __call__(self, advance: Advance) -> None:
        """Show one advance."""
        unit = UNITS[advance.stage]
        if advance.stage not in self.lines:
            self.lines[advance.stage] = Progress(advance.total, unit=unit, name=advance.stage)
            self.lines[advance.stage].update(0)
        rate = note = ""
        if advance.pieces and advance.seconds:
            note = f"{advance.documents:,} documents"
            rate = f"{advance.pieces / advance.seconds:,.0f} pieces/s"
        self.lines[advance.stage].update(advance.done, rate=rate, note=note)
