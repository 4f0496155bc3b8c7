"""Equal layers of which Python traces one: a step of many layers is built in about the time of one."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from xlnet.model.gradients import anew, custom_gradient, gradients_of

Layer = Callable[[list[Any], Any, Any], list[Any]]


def traced_once(
    layer: Layer, streams: list[Any], *, learned: Sequence[Any], given: Sequence[Any], again: bool = False
) -> tuple[list[Any], list[Any]]:
    """Run layer(streams, learned[i], given[i]) -> streams, one after the other -> the last ones, and what entered.

    learned, given: what each layer gets, arrays in any structure, the same for all. There is a gradient for what is
    learned and for the streams, none for what is given. What entered is the first stream, before each layer.
    again: what lies within a layer is computed again for the gradient, instead of being kept.
    """
    if keras.backend.backend() == "jax" and not again:
        through = traced(layer)
    else:
        through = _with_its_gradient(layer, [streams, learned[0], given[0]], again=again)
    entered = []
    for own in zip(learned, given, strict=True):
        entered.append(streams[0])
        streams = through(streams, *own)
    return streams, entered


def traced(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, of which Python traces one call of those with arguments of the same shapes."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function, autograph=False)


def _with_its_gradient(layer: Layer, like: list[Any], *, again: bool) -> Layer:
    """The layer as a function, and its gradient as one that computes the layer again: XLA keeps what it finds twice.

    The gradient that TensorFlow makes of a function is handed all that lies within it, shapes among it, and XLA's
    bridge then takes for a constant whatever reaches the function. like: what any layer is called with.
    """
    learning = len(keras.tree.flatten(like[:2]))

    def run(*arrays: Any) -> list[Any]:
        return layer(*keras.tree.pack_sequence_as(like, list(arrays)))

    def gradients(arrays: list[Any], upstream: list[Any]) -> list[Any]:
        if again:
            arrays = [_apart(array, after=upstream[-1]) for array in arrays]
        return gradients_of(lambda *own: run(*own, *arrays[learning:]), arrays[:learning], upstream)

    forward, backward = traced(run), traced(gradients)

    @custom_gradient
    def called(*arrays: Any) -> Any:
        def gradient(*upstream: Any) -> list[Any]:
            return [*backward(list(arrays), list(upstream)), *[None] * (len(arrays) - learning)]

        return tuple(forward(*arrays)), gradient

    return lambda *given: list(called(*keras.tree.flatten(list(given))))


def _apart(array: Any, *, after: Any) -> Any:
    """An array whose products XLA does not find twice; what a matrix is multiplied with is apart already."""
    is_float = keras.backend.is_float_dtype(keras.backend.standardize_dtype(array.dtype))
    return anew(array, after=after) if is_float and len(array.shape) > 2 else array
