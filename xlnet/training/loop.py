"""The loop of a pretraining run: intervals of steps, with metrics, held-out loss and checkpoints between them."""

import itertools
from typing import Any, NoReturn

import keras

from xlnet import allocation
from xlnet.progress import Progress
from xlnet.training.devices import Devices
from xlnet.training.held_out import HeldOut
from xlnet.training.pretrainer import Pretrainer
from xlnet.training.pretraining_data import TrainingData
from xlnet.training.run_checkpoints import RunCheckpoints
from xlnet.training.run_metrics import RunMetrics
from xlnet.training.settings import PretrainingSettings
from xlnet.training.skipped import Skipped
from xlnet.training.stopping import StoppedError

LAID_OUT = 1 << 17  # steps, at most, for which the data are laid out at once, however long the run is


class Loop:
    """Trains on the batches of a run from step `start` to the last one."""

    def __init__(
        self,
        trainer: Pretrainer,
        data: TrainingData,
        *,
        settings: PretrainingSettings,
        start: int,
        metrics: RunMetrics,
        checkpoints: RunCheckpoints,
        skipped: Skipped,
        held_out: HeldOut | None,
        devices: Devices,
    ):
        self.trainer, self.data, self.settings, self.start = trainer, data, settings, start
        self.metrics, self.checkpoints, self.skipped, self.held_out = metrics, checkpoints, skipped, held_out
        self.devices = devices
        self.progress = Progress(settings.steps, unit="steps", name="pretraining") if devices.is_chief else None
        self.is_asked_to_stop = False
        self.saved = start
        self.timed: Any = None

    def stop(self) -> None:
        """Ask for a checkpoint after the step that runs; may be called from a signal handler.

        One of many hosts cannot stop alone: they agree at the end of the interval.
        """
        self.is_asked_to_stop = True
        self.trainer.stop_training = self.devices.hosts == 1

    def run(self) -> None:
        """Train to the end. Raises StoppedError when asked to stop, with all saved."""
        last, every = self.settings.steps, self.settings.log_interval
        step = self.start
        self._tell(step)
        if step and step % every == 0:  # a run that was stopped while it measured
            self._validate(step)
        while step < last:
            ahead = every - step % every
            interval = min(ahead, last - step, LAID_OUT)  # a run that was stopped in between first ends the interval
            epochs = min(last - step, LAID_OUT) // interval if interval == every else 1
            self._fit(step, step + epochs * interval, interval=interval, epochs=epochs)
            step += epochs * interval
        self._validate(last)

    def _fit(self, first: int, last: int, *, interval: int, epochs: int) -> None:
        at_ends = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: self._begin(),
            on_epoch_end=lambda epoch, logs: self._end(first + (epoch + 1) * interval, interval),
        )
        with self.data.naming_damage():
            self.trainer.fit(
                self.metrics.wait.measured(self.data.batches(first, last)),
                epochs=epochs,
                steps_per_epoch=interval,
                callbacks=[at_ends],
                verbose=0,
                shuffle=False,
            )

    def _begin(self) -> None:
        if self.timed is None:
            self.timed = self.trainer.train_function = self._timing_the_first(self.trainer.train_function)
        self.metrics.begin_interval()
        if self.is_asked_to_stop:
            self.trainer.stop_training = self.devices.hosts == 1  # Keras takes it back as it begins

    def _timing_the_first(self, step: Any) -> Any:
        """The step of `fit`, whose first call is counted as its compilation."""
        calls = itertools.count()

        def timed(*given: Any) -> Any:
            if next(calls):
                return step(*given)
            with self.metrics.clock.spending("compile"):
                found = step(*given)
            allocation.give_back()
            return found

        return timed

    def _end(self, step: int, interval: int) -> None:
        """After the steps of an interval, or in the middle of it when the run is asked to stop."""
        if keras.backend.backend() == "jax":
            self.trainer.jax_state_sync()
        self.skipped.check()
        reached, last = self.trainer.optimizer.position, self.settings.steps
        if reached == step and (step == last or not step % self.settings.log_interval):
            self._at_interval(step, interval)
        if self.devices.any(self.is_asked_to_stop) and reached < last:
            self._leave(reached)

    def _leave(self, step: int) -> NoReturn:
        if self.saved != step:
            self._save(step)
        raise StoppedError(f"stopped at step {step} of {self.settings.steps}, saved; the same command goes on")

    def _at_interval(self, step: int, interval: int) -> None:
        self.metrics.end_interval(step, steps=interval, skipped=self.skipped.count)
        self._validate(step)
        if self._passes(step, self.settings.checkpoint_interval):
            self._save(step)
        self._tell(step, **self.metrics.note())

    def _tell(self, step: int, **note: Any) -> None:
        if self.progress is not None:
            self.progress.update(step, **note)

    def _passes(self, step: int, every: int) -> bool:
        """Whether a multiple of `every`, or the end, lies in the interval that ends at `step`."""
        return step == self.settings.steps or step // every > (step - self.settings.log_interval) // every

    def _validate(self, step: int) -> None:
        """Measure the held-out loss where it is due. Asked to stop, a run leaves, and measures when it goes on.

        Many hosts measure to the end: none can leave alone.
        """
        if self.held_out is None or self.metrics.validated_at == step:
            return
        if not self._passes(step, self.settings.validation_interval):
            return
        with self.metrics.clock.spending("validation"):
            measured = self.held_out.measure(is_given_up=lambda: self.is_asked_to_stop and self.devices.hosts == 1)
        if measured is None:
            self._leave(step)
        self.metrics.validated(step, measured)

    def _save(self, step: int) -> None:
        with self.metrics.clock.spending("checkpoint"):
            self.metrics.log.flush()  # first: lines after a checkpoint can be dropped, those before it not made again
            self.checkpoints.save(step)
        self.saved = step
