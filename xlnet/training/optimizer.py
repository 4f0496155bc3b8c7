"""Adam with warmup, decay, clipping by the global norm and rates by layer, for every Keras backend."""

import math
from typing import Any

import keras
from keras import ops

from xlnet.model.gradients import read
from xlnet.model.traced_once import traced
from xlnet.training.guard import Care, Guarded, chosen
from xlnet.training.settings import OptimizerSettings

NOT_DECAYED = ("LayerNorm", "bias")  # reference: model_utils.py, exclude_from_weight_decay
DECAYED_AFTER_ALL = ("r_w_bias", "r_r_bias", "r_s_bias")  # ... and include_in_weight_decay


@keras.saving.register_keras_serializable(package="xlnet")
class WarmupDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warmup from 0, then linear or cosine decay. Source: model_utils.py, get_train_op."""

    def __init__(
        self,
        learning_rate: float,
        *,
        steps: int,
        warmup_steps: int,
        decay: str,
        end_rate: float,
        warms_ahead: bool = False,
    ):
        self.learning_rate = learning_rate
        self.steps = steps
        self.warmup_steps = warmup_steps
        self.decay = decay
        self.end_rate = end_rate
        self.warms_ahead = warms_ahead

    def __call__(self, step: Any) -> Any:
        """The learning rate at a step, counted from 0."""
        step = ops.cast(step, "float32")
        done = ops.clip((step - self.warmup_steps) / max(1, self.steps - self.warmup_steps), 0.0, 1.0)
        remaining = 0.5 * (1.0 + ops.cos(math.pi * done)) if self.decay == "cosine" else 1.0 - done
        decayed = self.learning_rate * (self.end_rate + (1.0 - self.end_rate) * remaining)
        warming = self.learning_rate * (step + self.warms_ahead) / max(1, self.warmup_steps)
        return ops.where(step < self.warmup_steps, warming, decayed)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal schedule."""
        return dict(self.__dict__)


class AdamW(Guarded, keras.optimizers.AdamW):
    """Keras' AdamW with clipping by the global norm; with layer decay, the rate of each layer is scaled."""

    def build(self, variables: list[Any]) -> None:
        """Makes the moments, and finds out which variables decay."""
        if self.built:
            return
        super().build(variables)
        self._decayed = [self.weight_decay and is_decayed(variable.path) for variable in variables]

    def _apply_weight_decay(self, variables: list[Any]) -> None:
        """Done with the update of each variable, where its rate is at hand."""

    def _backend_update_step(self, grads: list[Any], trainable_variables: list[Any], learning_rate: Any) -> None:
        """The update that Keras has for each variable; what is the same for many of them is computed or traced once.

        Of 160 variables, each by itself, it was a third of all operations that are traced for a step.
        """
        taken = ops.cast(self.iterations + 1, "float32")
        forgotten, forgotten_squares = (
            1 - ops.power(beta, taken) for beta in map(_constant, (self.beta_1, self.beta_2))
        )
        rates = {scale: learning_rate if scale == 1.0 else learning_rate * scale for scale in set(self.rate_scales)}
        lengths = {scale: rate * ops.sqrt(forgotten_squares) / forgotten for scale, rate in rates.items()}
        update = traced(self._updated)
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            index = self._get_variable_index(variable)
            changed = variable, self._momentums[index], self._velocities[index]
            scale = self.rate_scales[index]
            rate = rates[scale] if self._decayed[index] else None
            values = update(gradient, *map(read, changed), rate, lengths[scale], self._is_sound)
            for one, value in zip(changed, values, strict=True):
                one.assign(value)

    def _updated(
        self, gradient: Any, weight: Any, mean: Any, square: Any, rate: Any, length: Any, is_sound: Any
    ) -> tuple[Any, Any, Any]:
        """-> weight, mean and square after the update, or as they are if it is not sound. rate: None: no decay."""
        if rate is not None:
            weight = weight - chosen(is_sound, weight * _constant(self.weight_decay) * rate)
        mean = mean + chosen(is_sound, (gradient - mean) * _constant(1 - self.beta_1))
        square = square + chosen(is_sound, (ops.square(gradient) - square) * _constant(1 - self.beta_2))
        moved = mean * length / (ops.sqrt(square) + _constant(self.epsilon))
        return weight - chosen(is_sound, moved), mean, square


def _constant(value: float) -> Any:
    return ops.convert_to_tensor(value, "float32")


class ReferenceAdamW(Guarded, keras.optimizers.Optimizer):
    """Adam without bias correction, weight decay beside it. Source: model_utils.py, AdamWeightDecayOptimizer.

    The original counts its step beside the update, not after it: in its recorded runs the warmup is one step
    ahead (weights move at step 0, where the rate is 0). Build it with `WarmupDecay(..., warms_ahead=True)`.
    """

    def __init__(self, *, learning_rate: Any, weight_decay: float, epsilon: float, care: Care):
        super().__init__(care=care, learning_rate=learning_rate, weight_decay=None, name="reference_adamw")
        self.decay_rate = weight_decay
        self.epsilon = epsilon

    def build(self, variables: list[Any]) -> None:
        """Makes the two moments of every variable."""
        if self.built:
            return
        super().build(variables)
        self._first = [self.add_variable_from_reference(variable, "adam_m") for variable in variables]
        self._second = [self.add_variable_from_reference(variable, "adam_v") for variable in variables]
        self._decayed = [is_decayed(variable.path) for variable in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One variable's update."""
        index = self._get_variable_index(variable)
        first, second = self._first[index], self._second[index]
        self.assign(first, 0.9 * first + 0.1 * gradient)
        self.assign(second, 0.999 * second + 0.001 * ops.square(gradient))
        update = first / (ops.sqrt(second) + self.epsilon)
        if self._decayed[index]:
            update = update + self.decay_rate * variable
        self.assign_sub(variable, ops.cast(learning_rate, variable.dtype) * update)


def is_decayed(name: str) -> bool:
    """Whether a variable's weights decay: not layer norms and biases, but the attention biases do."""
    if any(part in name for part in DECAYED_AFTER_ALL):
        return True
    return not any(part in name for part in NOT_DECAYED)


def build(
    settings: OptimizerSettings,
    *,
    steps: int,
    variables: list[Any],
    most_skipped: int | None = None,
    spike_deviations: float = 0.0,
    scales_loss: bool = False,
) -> AdamW | ReferenceAdamW:
    """The optimizer of a run of `steps` steps over `variables` (the trainable ones of a built model).

    `most_skipped` guards it against steps that are not finite, `spike_deviations` against spikes; `scales_loss` is for
    float16. See `Guarded`.
    """
    is_reference = settings.optimizer == "reference"
    is_uncorrected = is_reference and settings.weight_decay > 0
    schedule = WarmupDecay(
        settings.learning_rate,
        steps=steps,
        warmup_steps=settings.warmup_steps,
        decay=settings.decay,
        end_rate=settings.end_rate,
        warms_ahead=is_uncorrected,
    )
    care = Care(
        clip_norm=settings.clip_norm,
        layer_decay=settings.layer_decay,
        scales_gradients=is_reference,
        most_skipped=most_skipped,
        spike_deviations=spike_deviations,
        scales_loss=scales_loss,
    )
    kind = ReferenceAdamW if is_uncorrected else AdamW
    optimizer = kind(care=care, learning_rate=schedule, epsilon=settings.epsilon, weight_decay=settings.weight_decay)
    optimizer.build(variables)
    return optimizer
