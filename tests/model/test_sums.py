"""Sums and layer normalisation: what they are, and what XLA makes of them."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from xlnet.model import sums
from xlnet.model.config import LAYER_NORM_EPSILON
from xlnet.model.dropout import dropout
from xlnet.model.layer_norm import layer_norm

RANDOM = np.random.default_rng(0)
VALUES = tf.constant(RANDOM.standard_normal((8, 2, 64, 128)), "float32")
OTHERS = tf.constant(RANDOM.standard_normal((8, 2, 64, 128)), "float32")
HEADS = tf.constant(RANDOM.standard_normal((8, 128)), "float32")
SUMS = {
    "rows": (sums.of_rows, lambda values: np.sum(values, axis=-1, keepdims=True)),
    "columns": (sums.of_columns, lambda values: np.sum(values, axis=(0, 1, 2))),
    "positions": (lambda values: sums.of_positions(values, like=HEADS), lambda values: np.sum(values, axis=(1, 2))),
    "of a head": (lambda values: sums.of_positions(values, like=HEADS[0]), lambda values: np.sum(values, (0, 1, 2))),
    "squares": (sums.of_squares, lambda values: np.sum(values**2)),
}


def program(function, *arrays, stage="optimized_hlo"):
    return tf.function(function, jit_compile=True).experimental_get_compiler_ir(*arrays)(stage=stage)


def windows(text):
    """Of how many elements the largest sum by windows is."""
    return largest(r"= \w+\[([\d,]+)\]\S* reduce-window\(", text)


def largest(pattern, text):
    return max((np.prod(np.int64(shape.split(","))) for shape in re.findall(pattern, text)), default=0)


@pytest.mark.parametrize("name", SUMS)
def test_sums_of_products_are_those_of_numpy_and_are_made_in_one_pass(name):
    ours, of_numpy = SUMS[name]

    def summed(values, others):
        return ours(values * others)

    wanted = of_numpy(np.float64(VALUES) * np.float64(OTHERS))
    np.testing.assert_allclose(tf.function(summed, jit_compile=True)(VALUES, OTHERS), wanted, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(summed(VALUES, OTHERS), wanted, rtol=1e-5, atol=1e-4)
    assert windows(program(summed, VALUES, OTHERS)) <= 64


def test_plain_sums_of_products_take_xla_more_passes():
    """If this fails, `xlnet.model.sums` can go."""
    assert windows(program(lambda values, others: ops.sum(values * others, axis=-1), VALUES, OTHERS)) == 8 * 2 * 64 * 4


def plain(hidden, gamma, beta):
    wide = ops.cast(hidden, "float32")
    centred = wide - ops.mean(wide, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
    return ops.cast(centred / ops.sqrt(variance + LAYER_NORM_EPSILON), hidden.dtype) * gamma + beta


@pytest.mark.parametrize(("dtype", "close"), [("float32", 1e-5), ("bfloat16", 2e-2)])
def test_layer_norm_has_the_gradient_of_what_it_computes(dtype, close):
    gamma, beta = HEADS[0], HEADS[1]
    found = []
    for norm, kind in ((layer_norm, dtype), (plain, "float32")):
        given = [tf.cast(array, kind) for array in (3 * VALUES + 1, gamma, beta)]
        with tf.GradientTape() as tape:
            tape.watch(given)
            loss = tf.reduce_sum(tf.cast(norm(*given), "float32") * OTHERS)
        found.append([loss, *tape.gradient(loss, given)])
    assert [array.dtype for array in found[0][1:]] == [dtype] * 3
    for ours, wanted in zip(*found, strict=True):
        error = np.linalg.norm(np.float64(tf.cast(ours, "float32")) - np.float64(wanted))
        assert error <= close * np.linalg.norm(np.float64(wanted)) + 1e-3


def test_no_array_as_large_as_a_mask_of_dropout_is_written_into_the_program():
    generator = keras.random.SeedGenerator(1)
    text = program(lambda values: dropout(values, 0.1, seed=generator), VALUES, stage="hlo")
    assert largest(r"\w+\[([\d,]+)\]\S* constant\(", text) <= 8 * 2 * 64


@pytest.mark.parametrize("name", ["rows", "positions", "squares"])
def test_lengths_need_not_be_known(name):
    ours, of_numpy = SUMS[name]
    traced = tf.function(ours, input_signature=[tf.TensorSpec([8, None, None, None], tf.float32)])
    np.testing.assert_allclose(traced(VALUES), of_numpy(np.float64(VALUES)), rtol=1e-5, atol=1e-4)
