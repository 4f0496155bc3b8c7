"""The shift of scores to their distances: what it does, and its gradient."""

import numpy as np
import tensorflow as tf

from xlnet.model.positions import _unslid, shift, unshift


def test_a_row_begins_at_the_distance_of_its_first_key() -> None:
    length, keys = 4, 6
    columns = np.arange(length + keys, dtype=np.float32)
    shifted = shift(tf.tile(columns[None], (length, 1)), keys=keys)
    np.testing.assert_array_equal(shifted, [np.arange(keys) + length - row for row in range(length)])


def test_the_way_back_is_the_gradient_that_the_framework_derives() -> None:
    random = np.random.default_rng(0)
    for shape, keys in (((2, 1, 3, 5, 12), 7), ((2, 2, 1, 5, 14), 7), ((3, 4, 4 + 9), 9)):
        length, encodings = shape[-2:]
        own = random.integers(1, length + 1, (*shape[1:3], length)) if len(shape) == 5 else None
        scores = tf.constant(random.standard_normal(shape), "float32")
        upstream = tf.constant(random.standard_normal((*shape[:-1], keys)), "float32")
        for starts in (None, own):
            with tf.GradientTape() as tape:
                tape.watch(scores)
                shifted = shift(scores, starts, keys=keys)
            derived = tape.gradient(shifted, scores, upstream)
            np.testing.assert_array_equal(unshift(upstream, starts, encodings=encodings), derived)
            if starts is None:
                np.testing.assert_array_equal(_unslid(upstream, encodings), derived)
