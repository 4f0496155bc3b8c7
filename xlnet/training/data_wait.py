"""How long a step waits for its batch."""

from typing import Any

import tensorflow as tf


class DataWait:
    """Adds up the `seconds` from the moment that a batch is asked for to the moment that it is there."""

    def __init__(self) -> None:
        self.seconds, self.is_known = 0.0, True

    @tf.autograph.experimental.do_not_convert
    def measured(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """The same batches; those of one consumer at a time. What replicas are dealt is fetched ahead: not known."""
        self.is_known = isinstance(dataset, tf.data.Dataset)
        if not self.is_known:
            return dataset
        asked = tf.data.Dataset.counter().map(lambda _: tf.timestamp())  # a zip asks its first part first
        options = tf.data.Options()
        options.experimental_optimization.inject_prefetch = False  # a batch made ahead would be one asked for ahead
        return tf.data.Dataset.zip(asked, dataset).map(self._arrived).with_options(options)

    def _arrived(self, asked: Any, batch: Any) -> Any:
        with tf.control_dependencies([tf.numpy_function(self._add, [tf.timestamp() - asked], tf.float64)]):
            return tf.nest.map_structure(tf.identity, batch)

    def _add(self, seconds: Any) -> Any:
        self.seconds += float(seconds)
        return seconds
