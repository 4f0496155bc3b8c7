"""Running mean and variance of a number that comes once a step, as variables inside the compiled step."""

from collections.abc import Callable
from typing import Any

from keras import ops

SPAN = 128  # steps; a number's weight falls to 1/e over as many, and none is judged before
LEAST_DEVIATION = 0.02  # of the mean: losses that hardly vary have no spikes of a hundredth


class Running:
    """Mean and variance of the losses of a run, of all alike in the first SPAN steps, then exponentially weighted.

    `scalar(name, dtype)` makes a variable. Source: Welford's update; West 1979 for the weights.
    """

    def __init__(self, scalar: Callable[[str, str], Any]):
        self.count = scalar("loss_count", "int32")
        self.mean = scalar("loss_mean", "float32")
        self.variance = scalar("loss_variance", "float32")

    def is_above(self, value: Any, *, deviations: float) -> Any:
        """Whether a number lies so many standard deviations above the mean; bool []."""
        count, mean, variance = (ops.convert_to_tensor(each) for each in (self.count, self.mean, self.variance))
        deviation = ops.maximum(ops.sqrt(variance), LEAST_DEVIATION * ops.abs(mean))
        return ops.logical_and(count >= SPAN, value > mean + deviations * deviation)

    def add(self, value: Any, *, is_counted: Any) -> None:
        """Take a number in, if it counts."""
        count, mean, variance = (ops.convert_to_tensor(each) for each in (self.count, self.mean, self.variance))
        weight = 1.0 / ops.cast(ops.minimum(count + 1, SPAN), "float32")
        ahead = value - mean
        self.mean.assign(ops.where(is_counted, mean + weight * ahead, mean))
        self.variance.assign(ops.where(is_counted, (1.0 - weight) * (variance + weight * ops.square(ahead)), variance))
        self.count.assign(ops.where(is_counted, ops.minimum(count + 1, SPAN), count))
