"""Gradients of our own, where the one that a framework derives is slow."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from xlnet import frameworks


def custom_gradient(function: Callable[..., tuple[Any, Callable[[Any], Any]]]) -> Callable[..., Any]:
    """As Keras has it, but the gradient is handed what comes from above in one way, whatever the backend.

    function(*arrays) -> (its result, gradient), and gradient(upstream) -> the gradient towards each of the arrays.
    """

    @ops.custom_gradient
    def run(*arrays: Any) -> tuple[Any, Callable[..., Any]]:
        result, gradient = function(*arrays)

        def handed(*arguments: Any, upstream: Any = None) -> Any:
            return gradient(arguments[0] if upstream is None else upstream)

        return result, handed

    return run


def fenced(values: Any) -> Any:
    """The values, which XLA computes on a CPU as they are written: a transpose stays out of the product beside it."""
    if not frameworks.is_on_cpu():
        return values
    if keras.backend.backend() == "jax":
        import jax

        return jax.lax.optimization_barrier(values)
    from tensorflow.compiler.tf2xla.python import xla

    (apart,) = xla.optimization_barrier(values)
    return apart
