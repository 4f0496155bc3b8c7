"""TensorFlow SavedModels: one that takes ids, and how it is asked."""

from pathlib import Path
from typing import Any

from xlnet.serving.served import Call, Served
from xlnet.tasks.task import Arrays

SIGNATURE = "serving_default"


def write(served: Served, folder: Path) -> None:
    """Writes a SavedModel whose signature takes features of any number and length."""
    import tensorflow as tf

    module = tf.Module()  # Keras' ExportArchive would write every weight twice
    module.weights = [variable.value for variable in served.model.variables]
    module.serve = tf.function(served.call, input_signature=[signature(served)], autograph=False)
    tf.saved_model.save(module, str(folder), signatures={SIGNATURE: module.serve})


def signature(served: Served) -> dict[str, Any]:
    """What the model takes: int32 of any sizes, by name."""
    import tensorflow as tf

    inputs = served.features().inputs
    return {name: tf.TensorSpec([None] * values.ndim, tf.int32, name=name) for name, values in inputs.items()}


def load(folder: Path) -> Call:
    """The signature of a SavedModel."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder)).signatures[SIGNATURE]

    def call(inputs: Arrays) -> dict[str, Any]:
        return {
            name: values.numpy() for name, values in loaded(**{n: tf.constant(v) for n, v in inputs.items()}).items()
        }

    return call
