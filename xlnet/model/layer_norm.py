"""Layer normalisation with a gradient of its own: it keeps its input, and what it needs of the rest once a position.

The gradient divides by the deviation: a product with the inverse XLA would compute again for everyone who reads it, and
with it, in a deep model, all the layers that lead to it.
"""

from collections.abc import Callable
from typing import Any

from keras import ops

from xlnet.model import sums
from xlnet.model.config import LAYER_NORM_EPSILON
from xlnet.model.gradients import custom_gradient


@custom_gradient
def layer_norm(hidden: Any, gamma: Any, beta: Any) -> tuple[Any, Callable[[Any], Any]]:
    """[..., n] normalised over the last axis, in float32, with the reference's epsilon; gamma and beta [n]."""
    wide = ops.cast(hidden, "float32")
    mean = ops.mean(wide, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(wide - mean), axis=-1, keepdims=True)  # no matrix of ones, which exports quantize
    scale = ops.rsqrt(variance + LAYER_NORM_EPSILON)
    normal = ops.cast((wide - mean) * scale, hidden.dtype)

    def gradient(upstream: Any) -> tuple[Any, Any, Any]:
        above = ops.cast(upstream, "float32")
        normal = (ops.cast(hidden, "float32") - mean) * scale
        towards = above * ops.cast(gamma, "float32")
        deviation = ops.sqrt(variance + LAYER_NORM_EPSILON)
        towards_hidden = (towards - _mean(towards) - normal * _mean(towards * normal)) / deviation
        found = towards_hidden, sums.of_columns(above * normal), sums.of_columns(above)
        return tuple(ops.cast(one, to.dtype) for one, to in zip(found, (hidden, gamma, beta), strict=True))

    return normal * gamma + beta, gradient


def _mean(values: Any) -> Any:
    return sums.of_rows(values) / values.shape[-1]
