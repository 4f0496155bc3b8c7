"""Trading time for memory: layers that keep only what enters them, and are computed again for the gradient.

Equal layers are one loop over their stacked weights: XLA compiles one of them, however many there are, and never holds
two. Source: Chen et al. 2016, "Training deep nets with sublinear memory cost".
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from xlnet.model.gradients import gradients_of
from xlnet.model.traced_once import Layer


def recomputed(
    layer: Layer, streams: list[Any], *, learned: Sequence[Any], given: Sequence[Any]
) -> tuple[list[Any], list[Any]]:
    """As `traced_once.traced_once` with `again`. The loop holds all that is learned, and its gradients, twice."""
    run = _on_jax if keras.backend.backend() == "jax" else _on_tensorflow
    streams, entered = run(layer, streams, _stacked(learned), _stacked(given))
    return streams, [entered[0][place] for place in range(len(learned))]


def _stacked(each: Sequence[Any]) -> Any:
    return keras.tree.map_structure(lambda *arrays: ops.stack(arrays), *each)


def _on_jax(layer: Layer, streams: list[Any], learned: Any, given: Any) -> tuple[list[Any], list[Any]]:
    import jax

    again = jax.checkpoint(layer, prevent_cse=False)
    last, entered = jax.lax.scan(
        lambda streams, own: (again(streams, *own), [*map(ops.stop_gradient, streams)]), streams, (learned, given)
    )
    return last, entered


def _on_tensorflow(layer: Layer, streams: list[Any], learned: Any, given: Any) -> tuple[list[Any], list[Any]]:
    import tensorflow as tf

    layers = keras.tree.flatten([learned, given])[0].shape[0]

    def at(index: Any, arrays: Any) -> Any:
        return keras.tree.map_structure(lambda array: tf.gather(array, index), arrays)

    def loop(body: Callable[..., Any], *start: Any) -> Any:
        return tf.while_loop(lambda count, *_: count < layers, body, (0, *start), maximum_iterations=layers)[1:]

    @tf.custom_gradient
    def run(*arrays: Any) -> Any:
        first, weights = list(arrays[: len(streams)]), list(arrays[len(streams) :])
        own = keras.tree.pack_sequence_as(learned, weights)

        def forward(index: Any, streams: list[Any], entered: list[Any]) -> Any:
            entered = _written(entered, index, streams)
            return index + 1, _shaped(layer(streams, at(index, own), at(index, given)), first), entered

        last, entered = loop(forward, first, _room(layers, first))
        entered = [kept.stack() for kept in entered]

        def gradient(*upstream: Any) -> list[Any]:
            def backward(count: Any, towards: list[Any], grads: list[Any]) -> Any:
                index = layers - 1 - count
                before, mine = at(index, entered), at(index, own)

                def again(*sources: Any) -> list[Any]:
                    before, mine = keras.tree.pack_sequence_as([first, own], list(sources))
                    return layer(before, mine, at(index, given))

                new = gradients_of(again, [*before, *keras.tree.flatten(mine)], towards)
                towards, new = new[: len(before)], new[len(before) :]
                return count + 1, _shaped(towards, first), _written(grads, index, new)

            like = [tf.TensorSpec(array.shape[1:], array.dtype) for array in weights]
            towards, grads = loop(backward, list(upstream[: len(first)]), _room(layers, like))
            return [*towards, *(kept.stack() for kept in grads)]

        return [*last, *entered], gradient

    found = run(*streams, *keras.tree.flatten(learned))
    return found[: len(streams)], [*map(tf.stop_gradient, found[len(streams) :])]


def _room(layers: int, like: Sequence[Any]) -> list[Any]:
    """Places for arrays like these, one a layer."""
    import tensorflow as tf

    return [tf.TensorArray(array.dtype, size=layers, element_shape=array.shape) for array in like]


def _written(rooms: Sequence[Any], index: Any, arrays: Sequence[Any]) -> list[Any]:
    return [room.write(index, array) for room, array in zip(rooms, arrays, strict=True)]


def _shaped(arrays: Sequence[Any], like: Sequence[Any]) -> list[Any]:
    """The arrays, with all that is known of the shapes of others."""
    import tensorflow as tf

    return [tf.ensure_shape(array, known.shape) for array, known in zip(arrays, like, strict=True)]
