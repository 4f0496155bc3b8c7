"""What a pretraining run measures of itself, written down at the end of each interval."""

import time
from typing import Any

from keras import ops

from xlnet.training.metrics_log import MetricsLog
from xlnet.training.pretrainer import Pretrainer

MEASURED = ("loss", "learning_rate", "gradient_norm", "pieces_per_second")


class RunMetrics:
    """The metrics of a run, over all its restarts. `newest`: of each metric the last value."""

    def __init__(self, output: str, *, trainer: Pretrainer, start: int, pieces_per_step: int):
        self.trainer, self.pieces_per_step = trainer, pieces_per_step
        self.log = MetricsLog(output, resume_at=start or None)
        self.newest = {name: value for name, value in self.log.last.items() if name not in ("step", "seconds")}
        self.started = time.monotonic() - self.log.last.get("seconds", 0.0)

    def begin_interval(self) -> None:
        """Called before an interval's first step."""
        self.begun = time.monotonic()

    def end_interval(self, step: int, *, steps: int, skipped: int) -> None:
        """Write a line about the last `steps` steps; `skipped` counts since the run began."""
        updates = self.trainer.optimizer
        self.newest |= {
            "loss": float(ops.convert_to_numpy(self.trainer.target_loss.result())),
            "learning_rate": float(ops.convert_to_numpy(updates.learning_rate)),
            "gradient_norm": float(ops.convert_to_numpy(updates.gradient_norm)),
            "pieces_per_second": round(steps * self.pieces_per_step / (time.monotonic() - self.begun), 1),
        }
        self.trainer.target_loss.reset_state()
        counts = {"skipped": skipped} if skipped else {}
        self.log.write(step, {name: self.newest[name] for name in MEASURED} | {"seconds": self.seconds(3)} | counts)

    def validated(self, step: int, loss: float) -> None:
        """Write the held-out loss."""
        self.newest["validation_loss"] = loss
        self.log.write(step, {"validation_loss": loss})

    def seconds(self, digits: int) -> float:
        """Spent so far, without the pauses between restarts."""
        return round(time.monotonic() - self.started, digits)

    def note(self) -> dict[str, Any]:
        """The newest figures for a line of progress."""
        shown = [(name, self.newest[name]) for name in ("loss", "validation_loss") if name in self.newest]
        return {
            "rate": f"{self.newest['pieces_per_second']:,.0f} pieces/s",
            "note": "  ".join(f"{name} {value:.3f}" for name, value in shown),
        }
