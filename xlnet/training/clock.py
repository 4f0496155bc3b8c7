"""Where the time of a run went, over all its restarts."""

import contextlib
import time
from collections.abc import Iterator, Mapping

KINDS = ("compile", "training", "validation", "checkpoint")  # what is left of the whole is the start of each life


class Clock:
    """Seconds of a run by kind; it runs from the moment it is made. Pauses between lives do not count."""

    def __init__(self) -> None:
        self.begun = time.monotonic()
        self.spent = dict.fromkeys(KINDS, 0.0)
        self.before = self.repeated = 0.0

    def go_on(self, last: Mapping[str, float], *, reached: float) -> None:
        """After the run's earlier lives: `last` is what `seconds` gave at the checkpoint, `reached` how far they came.

        What they did after that checkpoint is done again; it counts as repeated.
        """
        self.spent = {kind: float(last.get(f"{kind}_seconds", 0.0)) for kind in KINDS}
        self.before = max(reached, float(last.get("seconds", 0.0)))
        self.repeated = float(last.get("repeated_seconds", 0.0)) + self.before - float(last.get("seconds", 0.0))

    @contextlib.contextmanager
    def spending(self, kind: str) -> Iterator[None]:
        """What the block takes is of this kind."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.spent[kind] += time.monotonic() - begun

    def seconds(self) -> dict[str, float]:
        """The whole and each kind, in seconds."""
        found = {"seconds": self.before + time.monotonic() - self.begun}
        found |= {f"{kind}_seconds": spent for kind, spent in self.spent.items() if spent}
        found |= {"repeated_seconds": self.repeated} if self.repeated else {}
        return {name: round(value, 3) for name, value in found.items()}
