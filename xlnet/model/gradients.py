"""Gradients of our own, where the one that a framework derives is slow."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
from keras import ops

from xlnet import frameworks


def custom_gradient(function: Callable[..., tuple[Any, Callable[[Any], Any]]]) -> Callable[..., Any]:
    """As Keras has it, but the gradient is handed what comes from above in one way, whatever the backend.

    function(*arrays) -> (its result, gradient), and gradient(upstream) -> the gradient towards each of the arrays, None
    where there is none. On JAX, neither may take traced arrays from elsewhere: all are to be arguments.
    """

    @ops.custom_gradient
    def run(*arrays: Any) -> tuple[Any, Callable[..., Any]]:
        result, gradient = function(*arrays)

        def handed(*arguments: Any, upstream: Any = None) -> Any:
            if isinstance(result, tuple):
                return gradient(*(arguments[0] if isinstance(arguments[0], tuple | list) else arguments))
            return gradient(arguments[0] if upstream is None else upstream)

        return result, handed

    # A variable that is read within would be taken for one that the function uses beside its arguments.
    return lambda *arrays: run(*map(read, arrays))


def read(array: Any) -> Any:
    """An array as it is, the value of a variable: Keras leaves it one on TensorFlow, to be read by each operation."""
    if keras.backend.backend() == "jax":
        return ops.convert_to_tensor(array)
    import tensorflow as tf

    return tf.convert_to_tensor(array)


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


def anew(values: Any, *, after: Any) -> Any:
    """The values, from which XLA computes on a CPU once more what it computed before, after `after`: nothing is kept.

    It would keep what it finds twice in a program; that nothing is added here it cannot know: zero times infinity.
    """
    if not frameworks.is_on_cpu():
        return values
    return values + ops.cast(ops.stop_gradient(ops.reshape(after, (-1,))[0]) * 0, values.dtype)


def in_turn(
    function: Callable[[Any, Any], Any], arrays: Iterable[Any], about: Iterable[Any], *, training: bool
) -> list[Any]:
    """function(array, what is about it) of each; in training one after the other, backwards for the gradient.

    So what lies between is there for one of them at a time.
    """
    found: list[Any] = []
    for array, known in zip(arrays, about, strict=True):
        if found and training:
            found[-1], array = _one_then_other(found[-1], array)
        found.append(function(array, known))
    return found


@custom_gradient
def _one_then_other(first: Any, second: Any) -> tuple[Any, Callable[..., Any]]:
    """Both as they are, but what comes of the second comes after the first; for the gradient the other way round."""

    def gradient(towards_first: Any, towards_second: Any) -> tuple[Any, Any]:
        return anew(towards_first, after=towards_second), towards_second

    return (first, anew(second, after=first)), gradient


def product_again(of: Callable[[Any], Any], values: Any, kernel: Any) -> Any:
    """of(values) [B, L, F] through a kernel [F, D] -> [B, L, D], of which only the values are kept for the gradient."""

    @custom_gradient
    def product(values: Any, kernel: Any) -> tuple[Any, Callable[[Any], Any]]:
        rows, columns = kernel.shape

        def gradient(upstream: Any) -> tuple[Any, Any]:
            again = ops.reshape(of(anew(values, after=upstream)), (-1, rows))
            towards_kernel = ops.matmul(ops.transpose(again), ops.reshape(upstream, (-1, columns)))
            towards = ops.matmul(upstream, ops.transpose(kernel))
            (towards_values,) = gradients_of(lambda given: [of(given)], [anew(values, after=towards_kernel)], [towards])
            return towards_values, towards_kernel

        return ops.matmul(of(values), kernel), gradient

    return product(values, kernel)


def gradients_of(function: Callable[..., list[Any]], arrays: Sequence[Any], upstream: Sequence[Any]) -> list[Any]:
    """The gradients towards the arrays of those towards the list function(*arrays); zeros where there are none."""
    if keras.backend.backend() == "jax":
        import jax

        _, back = jax.vjp(function, *arrays)
        return list(back(list(upstream)))
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(arrays)
        result = function(*arrays)
    return tape.gradient(result, arrays, upstream, unconnected_gradients=tf.UnconnectedGradients.ZERO)
