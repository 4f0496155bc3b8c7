"""Gradients of our own: what they are, and what XLA makes of them."""

import numpy as np
import tensorflow as tf
from keras import ops

from xlnet.model.gradients import _one_then_other, product_again

RANDOM = np.random.default_rng(0)
VALUES = tf.constant(RANDOM.standard_normal((2, 3, 8)), "float32")
KERNEL = tf.constant(RANDOM.standard_normal((8, 4)), "float32")


def again(values, kernel):
    return product_again(ops.tanh, values, kernel)


def plain(values, kernel):
    return ops.matmul(ops.tanh(values), kernel)


def gradients(product):
    @tf.function(jit_compile=True)
    def run(values, kernel):
        with tf.GradientTape() as tape:
            tape.watch([values, kernel])
            loss = tf.reduce_sum(product(values, kernel) ** 2)
        return loss, *tape.gradient(loss, [values, kernel])

    return run


def test_what_is_not_kept_has_the_same_gradients():
    for found, wanted in zip(gradients(again)(VALUES, KERNEL), gradients(plain)(VALUES, KERNEL), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_xla_computes_again_what_is_not_to_be_kept():
    compiled = [
        gradients(product).experimental_get_compiler_ir(VALUES, KERNEL)(stage="optimized_hlo")
        for product in (plain, again)
    ]
    assert [program.count(" tanh(") for program in compiled] == [1, 3]  # forward, and towards kernel and values


def test_turns_change_neither_values_nor_gradients():
    with tf.GradientTape() as tape:
        tape.watch([VALUES, KERNEL])
        first, second = _one_then_other(VALUES, KERNEL)
        loss = tf.reduce_sum(first**2) + tf.reduce_sum(second**3)
    np.testing.assert_array_equal(first, VALUES)
    np.testing.assert_array_equal(second, KERNEL)
    towards_first, towards_second = tape.gradient(loss, [VALUES, KERNEL])
    np.testing.assert_allclose(towards_first, 2 * VALUES, rtol=1e-6)
    np.testing.assert_allclose(towards_second, 3 * KERNEL**2, rtol=1e-6)
