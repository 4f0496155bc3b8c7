"""Equal layers of which Python traces one: a step of many layers is built in about the time of one."""

from collections.abc import Sequence
from typing import Any

import keras

from xlnet.model.gradients import custom_gradient
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


def _on_tensorflow(layer: Layer, like: list[Any], *of_layer: Any) -> Layer:
    """The layer as a function, and its gradient as one that computes the layer again: XLA keeps what it finds twice.

    The gradient that TensorFlow makes of a function is handed all that lies within it, shapes among it, and XLA's
    bridge then takes for a constant whatever reaches the function. `like`: streams; `of_layer`: learned and given, of
    any.
    """
    import tensorflow as tf

    some_learned, some_given = of_layer

    def run(arrays: list[Any], told: list[Any]) -> list[Any]:
        streams, learned = keras.tree.pack_sequence_as([like, some_learned], arrays)
        return layer(streams, learned, keras.tree.pack_sequence_as(some_given, told))

    @tf.function(autograph=False)
    def forward(arrays: list[Any], told: list[Any]) -> list[Any]:
        return run(arrays, told)

    @tf.function(autograph=False)
    def backward(arrays: list[Any], told: list[Any], upstream: list[Any]) -> list[Any]:
        with tf.GradientTape() as tape:
            tape.watch(arrays)
            after = run(arrays, told)
        return tape.gradient(after, arrays, upstream, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    def through(streams: list[Any], learned: Any, given: Any) -> list[Any]:
        told = [tf.convert_to_tensor(array) for array in keras.tree.flatten(given)]

        @custom_gradient
        def called(*arrays: Any) -> Any:
            def gradient(*upstream: Any) -> list[Any]:
                return backward(list(arrays), told, list(upstream))

            return tuple(forward(list(arrays), told)), gradient

        return list(called(*keras.tree.flatten([streams, learned])))

    return through
