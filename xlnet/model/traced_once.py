"""Equal layers of which Python traces one: a step of many layers is built in about the time of one."""

from collections.abc import Sequence
from typing import Any

import keras

from xlnet.model.gradients import custom_gradient, gradients_of
from xlnet.model.recompute import Layer


def traced_once(
    layer: Layer, streams: list[Any], *, learned: Sequence[Any], given: Sequence[Any]
) -> tuple[list[Any], list[Any]]:
    """As `recompute.recomputed`, but what lies within a layer is kept for the gradient."""
    is_jax = keras.backend.backend() == "jax"
    through = _on_jax(layer) if is_jax else _on_tensorflow(layer, streams, learned[0], given[0])
    entered = []
    for own in zip(learned, given, strict=True):
        entered.append(streams[0])
        streams = through(streams, *own)
    return streams, entered


def _on_jax(layer: Layer) -> Layer:
    import jax

    return jax.jit(layer)


def _on_tensorflow(layer: Layer, streams: list[Any], learned: Any, given: Any) -> Layer:
    """The layer as a function, and its gradient as one that computes the layer again: XLA keeps what it finds twice.

    The gradient that TensorFlow makes of a function is handed all that lies within it, shapes among it, and XLA's
    bridge then takes for a constant whatever reaches the function. streams, learned, given: as any layer is called.
    """
    import tensorflow as tf

    like, given_like = [streams, learned], given

    def run(arrays: list[Any], told: list[Any]) -> list[Any]:
        streams, learned = keras.tree.pack_sequence_as(like, arrays)
        return layer(streams, learned, keras.tree.pack_sequence_as(given_like, told))

    forward = tf.function(run, autograph=False)

    @tf.function(autograph=False)
    def backward(arrays: list[Any], told: list[Any], upstream: list[Any]) -> list[Any]:
        return gradients_of(lambda *arrays: run(list(arrays), told), arrays, upstream)

    def through(streams: list[Any], learned: Any, given: Any) -> list[Any]:
        told = [tf.convert_to_tensor(array) for array in keras.tree.flatten(given)]

        @custom_gradient
        def called(*arrays: Any) -> Any:
            def gradient(*upstream: Any) -> list[Any]:
                return backward(list(arrays), told, list(upstream))

            return tuple(forward(list(arrays), told)), gradient

        return list(called(*keras.tree.flatten([streams, learned])))

    return through
