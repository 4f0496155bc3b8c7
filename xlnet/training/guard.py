"""What every optimizer here does around its update: clips, scales by layer, and passes over what is not sound.

All of it happens inside the compiled step; the host reads the counts when it reads the loss.
"""

import math
import re
from dataclasses import dataclass
from typing import Any

from keras import ops

from xlnet.model import sums
from xlnet.model.traced_once import traced
from xlnet.training.running import Running

REMEMBERED = 16  # positions of skipped steps that are kept for the host to read
FIRST_SCALE = 2.0**15
LARGEST_SCALE = 2.0**24
GROWTH_STEPS = 2000  # finite steps before the loss scale doubles; as in other implementations of loss scaling
LAYER = re.compile(r"(?:^|[/.])transformer[/.]layer_(\d+)[/.]")  # not `ff/layer_1`, which is a dense layer


@dataclass(frozen=True)
class Care:
    """How updates are guarded. See `OptimizerSettings` and `PretrainingSettings` for the settings behind it."""

    clip_norm: float
    layer_decay: float = 1.0
    scales_gradients: bool = False  # by layer, before Adam, as the original does; otherwise the rate is scaled
    most_skipped: int | None = None  # steps in a row; None: what is not finite is applied like anything else
    spike_deviations: float = 0.0  # with `most_skipped`: a loss so far above its mean is a spike; 0: none is
    scales_loss: bool = False


class Guarded:
    """Mixed into a Keras optimizer: see the module. `gradient_norm` is that before clipping, of the last sound step.

    With `Care.most_skipped` a step whose loss or gradient is not finite, or whose loss is a spike, leaves weights,
    moments and iterations as they are; after so many in a row nothing changes any more, so that it does not matter when
    the host finds out. A spike lies `Care.spike_deviations` standard deviations above the mean of the sound losses so
    far, those of the last SPAN steps weighing most. Source: the skipped steps of OLMo (Allen AI), which has 6 of 128.
    """

    care: Care
    gradient_norm: Any

    def __init__(self, *, care: Care, **options: Any):
        super().__init__(**options)
        self.care = care
        self._is_sound: Any = None  # of the step that is being traced; None: assignments need no guard

    def build(self, variables: list[Any]) -> None:
        """Make the variables of the update and of the guard."""
        super().build(variables)  # type: ignore[misc]
        scales = layer_scales([variable.path for variable in variables], decay=self.care.layer_decay)
        ones = [1.0] * len(scales)
        self.gradient_scales, self.rate_scales = (scales, ones) if self.care.scales_gradients else (ones, scales)
        self.gradient_norm = self._scalar("gradient_norm", "float32")
        if self.care.most_skipped is not None:
            self.skipped = self._scalar("skipped", "int32")
            self.skipped_in_row = self._scalar("skipped_in_row", "int32")
            self.skipped_steps = self.add_variable((REMEMBERED,), dtype="int32", name="skipped_steps")  # type: ignore[attr-defined]
            self.skipped_losses = self.add_variable((REMEMBERED,), dtype="float32", name="skipped_losses")  # type: ignore[attr-defined]
            self.losses = Running(self._scalar)
        if self.care.scales_loss:
            self.overflows = self._scalar("overflows", "int32")
            self.finite_in_row = self._scalar("finite_in_row", "int32")
            self.scale = self._scalar("scale", "float32")
            self.scale.assign(FIRST_SCALE)

    def _scalar(self, name: str, dtype: str) -> Any:
        return self.add_variable((), dtype=dtype, name=name)  # type: ignore[attr-defined]

    def scale_loss(self, loss: Any) -> Any:
        """The loss to differentiate: float16 gradients of the plain one would vanish."""
        return loss * ops.convert_to_tensor(self.scale) if self.care.scales_loss else loss

    def apply(self, grads: list[Any], trainable_variables: list[Any] | None = None, *, loss: Any = None) -> Any:
        """One update -> bool [], whether it was sound, or None where nothing is guarded. `loss`: unscaled."""
        if not self.built:  # type: ignore[attr-defined]
            self.build(trainable_variables or [])
        grads = [ops.convert_to_tensor(grad, sparse=False) for grad in grads]
        if self.care.scales_loss:
            inverse = 1.0 / ops.convert_to_tensor(self.scale)
            grads = [grad * ops.cast(inverse, grad.dtype) for grad in grads]
        norm = ops.sqrt(sum(map(traced(sums.of_squares), grads)))
        is_sound = None if self.care.most_skipped is None else self._judge(norm, loss)
        self._is_sound = is_sound
        try:
            self.assign(self.gradient_norm, norm)
            super().apply(self._scaled(grads, norm), trainable_variables)  # type: ignore[misc]
        finally:
            self._is_sound = None
        if is_sound is not None:
            self._account(is_sound, norm, loss)
        return is_sound

    def _backend_update_step(self, grads: list[Any], trainable_variables: list[Any], learning_rate: Any) -> None:
        """Keras' own, but for TensorFlow's sum over replicas: gradients are summed before they are judged."""
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            self.update_step(gradient, variable, learning_rate)  # type: ignore[attr-defined]

    def _scaled(self, grads: list[Any], norm: Any) -> list[Any]:
        clip = self.care.clip_norm
        factor = 1.0 if math.isinf(clip) else clip / ops.maximum(norm, clip)
        factors = {scale: ops.convert_to_tensor(factor * scale, "float32") for scale in set(self.gradient_scales)}
        scaled = zip(grads, self.gradient_scales, strict=True)
        return [grad * ops.cast(factors[scale], grad.dtype) for grad, scale in scaled]

    def _judge(self, norm: Any, loss: Any) -> Any:
        is_finite = ops.isfinite(norm)
        if loss is not None:
            is_finite = ops.logical_and(is_finite, ops.isfinite(loss))
        goes_on = ops.convert_to_tensor(self.skipped_in_row) < self.care.most_skipped
        is_sound = ops.logical_and(is_finite, goes_on)
        if loss is not None and self.care.spike_deviations:
            is_spike = self.losses.is_above(loss, deviations=self.care.spike_deviations)
            is_sound = ops.logical_and(is_sound, ops.logical_not(is_spike))
        return is_sound

    def _account(self, is_sound: Any, norm: Any, loss: Any) -> None:
        """Count what was skipped; an overflow of float16 alone costs a step and halves the scale."""
        iterations = self._iterations  # type: ignore[attr-defined]
        is_skipped = ops.logical_not(is_sound)
        iterations.assign_sub(ops.cast(is_skipped, iterations.dtype))  # the update has counted itself
        step = self._position()
        in_row, skipped = (ops.convert_to_tensor(count) for count in (self.skipped_in_row, self.skipped))
        counts = ops.logical_and(is_skipped, in_row < self.care.most_skipped)
        if self.care.scales_loss:
            counts = ops.logical_and(counts, ops.logical_not(self._rescale(is_skipped, norm, loss)))
        is_place = ops.logical_and(ops.equal(ops.arange(REMEMBERED, dtype="int32"), skipped % REMEMBERED), counts)
        self.skipped_steps.assign(ops.where(is_place, step, ops.convert_to_tensor(self.skipped_steps)))
        if loss is not None:
            self.skipped_losses.assign(ops.where(is_place, loss, ops.convert_to_tensor(self.skipped_losses)))
            self.losses.add(loss, is_counted=is_sound)
        self.skipped.assign(skipped + ops.cast(counts, "int32"))
        self.skipped_in_row.assign(ops.where(is_sound, 0, in_row + ops.cast(counts, "int32")))

    def _rescale(self, is_skipped: Any, norm: Any, loss: Any) -> Any:
        """Move the loss scale -> whether this step was only too large for it."""
        scale = ops.convert_to_tensor(self.scale)
        is_overflow = ops.logical_and(ops.logical_not(ops.isfinite(norm)), scale > 1.0)
        if loss is not None:
            is_overflow = ops.logical_and(is_overflow, ops.isfinite(loss))
        finite = ops.where(is_skipped, 0, ops.convert_to_tensor(self.finite_in_row) + 1)
        grows = finite >= GROWTH_STEPS
        grown = ops.where(grows, ops.minimum(scale * 2.0, LARGEST_SCALE), scale)
        self.scale.assign(ops.where(is_overflow, ops.maximum(scale * 0.5, 1.0), grown))
        self.finite_in_row.assign(ops.where(grows, 0, finite))
        self.overflows.assign_add(ops.cast(is_overflow, "int32"))
        return is_overflow

    def _position(self) -> Any:
        """Steps taken before this one was counted, skipped ones included."""
        taken = ops.cast(self._iterations, "int32")  # type: ignore[attr-defined]
        if self.care.most_skipped is not None:
            taken = taken + ops.convert_to_tensor(self.skipped)
        return taken + ops.convert_to_tensor(self.overflows) if self.care.scales_loss else taken

    @property
    def updates(self) -> int:
        """Steps that were sound, and so moved the weights."""
        return int(ops.convert_to_numpy(self._iterations))  # type: ignore[attr-defined]

    @property
    def position(self) -> int:
        """Batches that the optimizer was given so far, skipped ones included."""
        return int(ops.convert_to_numpy(self._position()))

    # The assignments of an update pass here, or what is assigned has passed `chosen`. The choice is made inside the
    # kernel that computes the value: no memory is read twice, and what is not chosen may be anything.

    def assign(self, variable: Any, value: Any) -> None:
        """Set a variable, if the step is sound."""
        old = ops.convert_to_tensor(variable)
        super().assign(variable, value if self._is_sound is None else ops.where(self._is_sound, value, old))  # type: ignore[misc]

    def assign_sub(self, variable: Any, value: Any) -> None:
        """Subtract from a variable, if the step is sound."""
        super().assign_sub(variable, chosen(self._is_sound, value))  # type: ignore[misc]


def chosen(is_sound: Any, value: Any) -> Any:
    """What a sound step adds; nothing of one that is not."""
    return value if is_sound is None else ops.where(is_sound, value, ops.zeros((), dtype=value.dtype))


def layer_scales(names: list[str], *, decay: float) -> list[float]:
    """For each variable what its layer takes of the full rate: the last layer 1, each layer below `decay` times it.

    What lies in no layer (embeddings, heads) takes 1, as in the original. Source: model_utils.py, get_train_op.
    """
    layers = [int(found[1]) if (found := LAYER.search(name)) else None for name in names]
    last = max((layer for layer in layers if layer is not None), default=0)
    return [1.0 if layer is None else decay ** (last - layer) for layer in layers]
