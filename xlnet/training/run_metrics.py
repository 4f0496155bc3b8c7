"""What a pretraining run measures of itself, written down at the end of each interval."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xlnet.errors import UserError
from xlnet.training import hardware, interval
from xlnet.training.clock import Clock
from xlnet.training.data_wait import DataWait
from xlnet.training.metrics_log import MetricsLog
from xlnet.training.pretrainer import Pretrainer
from xlnet.training.skipped import BEGIN_ANEW


@dataclass(frozen=True)
class Work:
    """What one step does: pieces read, and floating point operations (see `model.flops`)."""

    pieces: int
    operations: float


class RunMetrics:
    """The metrics of a run, over all its restarts. `newest`: of each metric the last value; `validated_at`: the step of
    the last held-out loss.

    `peak`: gives the operations a second that the device can do at most, asked once; None leaves out their share.
    """

    def __init__(
        self,
        output: str,
        *,
        trainer: Pretrainer,
        start: int,
        work: Work,
        clock: Clock,
        peak: Callable[[], float] | None = None,
        writes: bool = True,
    ):
        self.trainer, self.work, self.clock, self.peak = trainer, work, clock, peak
        self.known_peak: float | None = None
        self.log = MetricsLog(output, resume_at=start, begun=clock.begun, writes=writes)
        clock.go_on(self.log.last, reached=self.log.reached)
        self.newest = {
            name: value
            for name, value in self.log.last.items()
            if not is_time(name) and name != "step" and value is not None
        }
        measured = [line["step"] for line in self.log.lines if line.get("validation_loss") is not None]
        self.validated_at = max(measured, default=0)
        self.wait = DataWait()

    def begin_interval(self) -> None:
        """Called before an interval's first step."""
        self.begun, self.waited, self.compiled = time.monotonic(), self.wait.seconds, self.clock.spent["compile"]

    def end_interval(self, step: int, *, steps: int, skipped: int) -> None:
        """Write a line about the last `steps` steps; `skipped` counts since the run began."""
        taken = time.monotonic() - self.begun
        self.clock.spent["training"] += taken - (self.clock.spent["compile"] - self.compiled)
        per_second = steps / taken
        measured = {
            **interval.measured(self.trainer),
            "pieces_per_second": round(self.work.pieces * per_second, 1),
            "teraflops_per_second": round(self.work.operations * per_second / 1e12, 6),
            **self._share_of_peak(self.work.operations * per_second),
            **({"data_wait": round((self.wait.seconds - self.waited) / taken, 5)} if self.wait.is_known else {}),
            **hardware.memory(),
        }
        self.newest |= measured
        self.log.write(step, measured | self.clock.seconds() | ({"skipped": skipped} if skipped else {}))

    def validated(self, step: int, measured: dict[str, Any]) -> None:
        """Write the held-out loss, and what was measured with it."""
        self.newest |= measured
        self.validated_at = step
        self.log.write(step, measured)

    def require_finite(self) -> None:
        """Raises UserError when the newest held-out loss is not finite."""
        loss = self.newest.get("validation_loss", 0.0)
        if not math.isfinite(loss):
            raise UserError(f"the held-out loss is {loss} after the last step, so no model is published; {BEGIN_ANEW}")

    def note(self) -> dict[str, Any]:
        """The newest figures for a line of progress."""
        shown = [(name, self.newest[name]) for name in ("loss", "validation_loss") if name in self.newest]
        return {
            "rate": f"{self.newest['pieces_per_second']:,.0f} pieces/s",
            "note": "  ".join(f"{name} {value:.3f}" for name, value in shown),
        }

    def _share_of_peak(self, operations: float) -> dict[str, float]:
        if self.peak is None:
            return {}
        if self.known_peak is None:
            self.known_peak = self.peak()
        return {"mfu": round(operations / self.known_peak, 4)}


def is_time(name: str) -> bool:
    """Whether a metric tells of time spent, which every life of a run adds to."""
    return name.endswith("seconds")
