"""What happens beside the steps of fine-tuning: metrics, progress, and the best epoch."""

import math
import time
from typing import Any

import keras
from keras import ops

from xlnet.errors import UserError
from xlnet.progress import Progress
from xlnet.serving.predictor import Predictor
from xlnet.tasks.metrics import score
from xlnet.tasks.task import Examples
from xlnet.training.metrics_log import MetricsLog

SHOWN = ("dev_loss", "dev_accuracy", "dev_pearson")  # of the best epoch, in the progress line
LINES = 200  # of metrics in a run, at most; every step costs a write


class Watch(keras.callbacks.Callback):
    """Writes metrics at intervals, measures on the dev examples after each epoch, keeps the best weights.

    Best is what the task says (`Task.best`); the lower loss settles a tie.
    """

    def __init__(self, predictor: Predictor, dev: Examples | None, *, folder: str, shown: bool):
        super().__init__()
        self.predictor, self.dev, self.shown = predictor, dev, shown
        self.dev_features = None if dev is None else predictor.features(dev)
        self.log = MetricsLog(folder)
        self.best: dict[str, float] = {}
        self.best_key: tuple[float, float] | None = None
        self.best_weights: list[Any] | None = None
        self.last: dict[str, float] = {}
        self.step = 0
        self.timed_steps, self.timed_seconds = 0, 0.0  # without the first step, which compiles

    def expect(self, steps: int, *, batch_size: int) -> None:
        """Tells how long the run will be."""
        self.steps, self.batch_size = steps, batch_size
        self.interval = max(1, steps // LINES)
        self.progress = Progress(steps, unit="steps", name="fine-tuning") if self.shown else None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """The clock starts."""
        self.began = time.monotonic()
        if self.progress is not None:
            self.progress.update(0)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keras' running mean of the loss starts anew."""
        self.epoch = epoch + 1
        self._begin_interval(sum_before=0.0, steps_before=0)
        self.in_epoch = 0

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes a line at the end of an interval, and stops after the last step."""
        self.step += 1
        self.in_epoch += 1
        if self.step == 1:
            self.untimed, self.interval_began = 1, time.monotonic()
        running = (logs or {})["target_loss"]
        summed = running * self.in_epoch
        if not math.isfinite(summed):
            raise UserError(f"the loss is {running} at step {self.step}; lower learning_rate or clip_norm")
        if self.step % self.interval == 0 or self.step == self.steps:
            self._write(summed)
        if self.step == self.steps:
            self.model.stop_training = True

    def _begin_interval(self, *, sum_before: float, steps_before: int) -> None:
        self.sum_before, self.steps_before = sum_before, steps_before
        self.untimed, self.interval_began = 0, time.monotonic()

    def _sync(self) -> None:
        if keras.backend.backend() == "jax":  # fit holds the weights elsewhere until it is asked
            self.model.jax_state_sync()

    def _write(self, summed: float) -> None:
        self._sync()
        count = self.in_epoch - self.steps_before
        now = time.monotonic()
        self.timed_steps += count - self.untimed
        self.timed_seconds += now - self.interval_began
        updates = self.model.optimizer
        self.last = {
            "loss": (summed - self.sum_before) / count,
            "learning_rate": float(ops.convert_to_numpy(updates.learning_rate)),
            "gradient_norm": float(ops.convert_to_numpy(updates.gradient_norm)),
            "examples_per_second": self._rate(),
        }
        self.log.write(self.step, {"epoch": self.epoch, **self.last, "seconds": round(now - self.began, 3)})
        self._begin_interval(sum_before=summed, steps_before=self.in_epoch)
        self._show()

    def _rate(self) -> float:
        """Examples a second so far; 0 while there is only the step that compiles."""
        return round(self.timed_steps * self.batch_size / max(self.timed_seconds, 1e-9), 1)

    def _show(self) -> None:
        if self.progress is None:
            return
        shown = {"loss": self.last["loss"]} | {name: self.best[name] for name in SHOWN if name in self.best}
        note = "  ".join(f"{name} {value:.3f}" for name, value in shown.items())
        self.progress.update(self.step, rate=f"{self.last['examples_per_second']:,.0f} examples/s", note=note)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Measures on the dev examples and keeps the weights when they are the best so far."""
        if self.dev is None or self.dev_features is None:
            return
        self._sync()
        predictor, features = self.predictor, self.dev_features
        outputs = predictor.outputs(features.inputs, batch_size=self.batch_size)
        found = predictor.task.measure(self.dev, features, outputs)
        values = {"loss": found["loss"], **found["metrics"]}
        line = {f"dev_{name}": value for name, value in values.items() if value is not None}
        self.log.write(self.step, {"epoch": self.epoch} | line)
        key = (score(predictor.task.best, found["metrics"]), score("loss", found))
        if self.best_key is None or key > self.best_key:
            self.best_key, self.best = key, {"epoch": self.epoch} | line
            self.best_weights = self.predictor.model.get_weights()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """The model gets the best weights back."""
        self._sync()
        if self.best_weights is not None:
            self.predictor.model.set_weights(self.best_weights)
            self.best_weights = None

    def summary(self) -> dict[str, Any]:
        """What a run came to."""
        return {
            "steps": self.step,
            "epochs": self.epoch,
            "loss": self.last["loss"],
            "examples_per_second": self._rate(),
            **{("best_epoch" if name == "epoch" else name): value for name, value in self.best.items()},
        }
