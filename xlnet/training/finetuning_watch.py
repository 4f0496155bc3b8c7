"""What happens between the steps of fine-tuning: metrics, measuring, checkpoints, and the end that comes early."""

import time
from typing import Any, NoReturn

import keras

from xlnet import allocation
from xlnet.progress import Progress
from xlnet.training import interval
from xlnet.training.best_weights import BestWeights
from xlnet.training.finetuner import Finetuner
from xlnet.training.finetuning_data import TrainingRows
from xlnet.training.finetuning_settings import FinetuningSettings
from xlnet.training.metrics_log import MetricsLog
from xlnet.training.run_checkpoints import RunCheckpoints
from xlnet.training.skipped import Skipped
from xlnet.training.stopping import StoppedError

SHOWN = ("dev_loss", "dev_accuracy", "dev_pearson", "dev_f1")  # of the best evaluation, in the progress line
TOLD = ("loss", "examples_per_second", "skipped", "overflows", "loss_scale")  # in the summary, as they were last
LINES = 200  # of metrics in a run, at most; every one waits for the step


class _GivenUpError(Exception):
    """Measuring that ended before its end."""


class Watch(keras.callbacks.Callback):
    """Trains the steps of a run from `start` on, and does after each what is due."""

    def __init__(
        self,
        trainer: Finetuner,
        rows: TrainingRows,
        *,
        settings: FinetuningSettings,
        start: int,
        log: MetricsLog,
        checkpoints: RunCheckpoints,
        skipped: Skipped,
        best: BestWeights | None,
        shown: bool,
    ):
        super().__init__()
        self.trainer, self.rows, self.settings = trainer, rows, settings
        self.log, self.checkpoints, self.skipped, self.best = log, checkpoints, skipped, best
        self.step = self.saved = start
        self.log_interval = max(1, rows.steps // LINES)
        self.evaluation_interval = settings.evaluation_interval or rows.epoch
        self.checkpoint_interval = settings.checkpoint_interval or rows.epoch
        self.progress = Progress(rows.steps, unit="steps", name="fine-tuning") if shown else None
        self.is_asked_to_stop = False
        self.began = time.monotonic() - log.reached  # of the run, over all its restarts
        self.timed_steps, self.timed_seconds = 0, 0.0  # without the first step, which compiles

    def stop(self) -> None:
        """Ask to save and leave, after the step that runs or in the middle of measuring; from a signal handler, too."""
        self.is_asked_to_stop = True

    def train(self) -> None:
        """Train to the last step, or until nothing gets better. Raises StoppedError when asked to stop, all saved."""
        if self.progress is not None:
            self.progress.update(self.step)
        if self.step and self._is_due(self.evaluation_interval) and not self._evaluate():
            self._leave()  # it was stopped while it measured, and is stopped again
        if not self.is_over:
            self.trainer.fit(
                self.rows.batches(self.step, self.rows.steps),
                steps_per_epoch=self.rows.steps - self.step,
                callbacks=[self],
                shuffle=False,
                verbose=0,
            )

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to train."""
        is_patient = self.best is None or not 0 < self.settings.patience <= self.best.since_best
        return self.step >= self.rows.steps or not is_patient

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """The clock starts."""
        self._start_clock()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """After each step."""
        self.step += 1
        if batch == 0:  # it was compiled
            allocation.give_back()
            self._start_clock()
        is_logged, is_measured, is_saved = map(
            self._is_due, (self.log_interval, self.evaluation_interval, self.checkpoint_interval)
        )
        if not (is_logged or is_measured or is_saved or self.is_asked_to_stop):
            return
        if keras.backend.backend() == "jax":  # fit holds the weights elsewhere until it is asked
            self.trainer.jax_state_sync()
        self.skipped.check()
        self._stop_clock()
        if is_logged:
            self._write()
        is_complete = not is_measured or self._evaluate()
        if is_saved or self.is_over or self.is_asked_to_stop:
            self._save()
        if self.is_asked_to_stop and not (self.is_over and is_complete):
            self._leave()
        self.trainer.stop_training = self.is_over
        self._start_clock()

    def _is_due(self, interval: int) -> bool:
        return self.step == self.rows.steps or self.step % interval == 0

    def _leave(self) -> NoReturn:
        raise StoppedError(f"stopped at step {self.step} of {self.rows.steps}, saved; the same command goes on")

    def _start_clock(self) -> None:
        self.steps_before, self.started = self.step, time.monotonic()

    def _stop_clock(self) -> None:
        self.timed_steps += self.step - self.steps_before
        self.timed_seconds += time.monotonic() - self.started

    def _write(self) -> None:
        line = interval.measured(self.trainer) | {"examples_per_second": self.rate}
        counts = {"skipped": self.skipped.count} if self.skipped.count else {}
        self.log.write(self.step, {"epoch": self.epoch, **line, "seconds": self.seconds(3)} | counts)
        self._show()

    def seconds(self, digits: int) -> float:
        """Spent so far, without the pauses between restarts."""
        return round(time.monotonic() - self.began, digits)

    def summary(self) -> dict[str, Any]:
        """What the steps came to."""
        found = {"steps": self.step, "epochs": self.epoch}
        found |= {name: self.log.last[name] for name in TOLD if name in self.log.last}
        return found | {"seconds": self.seconds(1)}

    @property
    def epoch(self) -> int:
        """The epoch of the step that was just done, counted from 1."""
        return (self.step - 1) // self.rows.epoch + 1

    @property
    def rate(self) -> float:
        """Rows a second in this life of the run; 0 while there is only the step that compiles."""
        return round(self.timed_steps * self.rows.plan.size / max(self.timed_seconds, 1e-9), 1)

    def _evaluate(self) -> bool:
        """Measure what is not measured yet -> whether that was done: asked to stop, a run measures when it goes on."""
        if self.best is None or any(line["step"] == self.step for line in self.best.evaluations):
            return True
        try:
            line = self.best.evaluate(self.step, epoch=self.epoch, report=self._give_up)
        except _GivenUpError:
            return False
        self.log.write(self.step, {name: value for name, value in line.items() if name != "step"})
        return True

    def _give_up(self, _: int) -> None:
        if self.is_asked_to_stop:
            raise _GivenUpError

    def _save(self) -> None:
        self.log.flush()  # first: a run that goes on looks up in its lines which weights were best
        self.checkpoints.save(self.step)
        if self.best is not None:
            self.best.forget([checkpoint.step for checkpoint in self.checkpoints.found()])

    def _show(self) -> None:
        if self.progress is None:
            return
        best = self.best.ranked()[0] if self.best is not None and self.best.evaluations else {}
        loss = {"loss": self.log.last["loss"]} if "loss" in self.log.last else {}
        shown = loss | {name: best[name] for name in SHOWN if best.get(name) is not None}
        note = "  ".join(f"{name} {value:.3f}" for name, value in shown.items())
        self.progress.update(self.step, rate=f"{self.rate:,.0f} examples/s", note=note)
