"""What TensorFlow keeps of what it traces: few frames, and each number once, with which the results are the same."""

import os
import subprocess
import sys

CONSTANTS = """
from xlnet import frameworks
frameworks.load()
import numpy as np
import tensorflow as tf
from tensorflow.python.compiler.xla import xla

def made(scale):
    with tf.control_dependencies([scale]):
        bound = tf.constant(7)
    with tf.device("cpu:0"):
        placed = tf.constant(7)
    cluster = xla.XLACompileContext("cluster", tf.no_op())  # as a step on a TPU is traced
    cluster.Enter()
    within = tf.constant(7)
    cluster.Exit()
    free = [tf.constant(7) for _ in range(2)]
    assert free[0] is free[1] and len({id(one) for one in (bound, placed, within, free[0])}) == 4
    lists = [tf.constant(value) for value in ([1, 2], [1, 2], np.array([1, 2], "int32"), np.array([1, 2], "int32"))]
    assert lists[0] is lists[1] and lists[2] is lists[3]
    assert tf.constant([7] * 17) is not tf.constant([7] * 17)
    zeros = [0.0, -0.0, 0, False, np.float32(0), np.float32(-0.0), [0], [[0]], np.array([0]), np.array([0], "int8")]
    constants = [tf.constant(value) for value in zeros]
    constants += [tf.constant(0, "int64"), tf.constant(0, shape=(1, 1)), tf.constant(0, shape=(2,))]
    assert len(set(map(id, constants))) == len(constants)
    inner.append(tf.function(lambda: tf.constant(7) + 0, autograph=False)())
    with tf.GradientTape() as tape:
        tape.watch(scale)
        scaled = scale * 2.0 * 2.0
    return constants, inner[-1] + free[0] + bound + placed, tape.gradient(scaled, scale)

inner = []
constants, total, slope = tf.function(made, autograph=False)(tf.constant(3.0))
assert (int(total), float(slope)) == (28, 4.0)
print(*[str(np.asarray(one).dtype) + str(np.asarray(one).tolist()).replace(" ", "") for one in constants])
"""


def test_a_function_has_a_number_once_and_none_that_is_another():
    printed = _run(CONSTANTS).split()
    assert printed == [
        "float320.0",
        "float32-0.0",
        "int320",
        "boolFalse",
        "float320.0",
        "float32-0.0",
        "int32[0]",
        "int32[[0]]",
        "int64[0]",
        "int8[0]",
        "int640",
        "int32[[0]]",
        "int32[0,0]",
    ]


REMEMBERED = """
from xlnet import frameworks
frameworks.load()
frameworks.load()
import tensorflow as tf
from keras import ops

def made(value):
    found.append(ops.add(value, 1.0))
    return found[0]

found = []
assert tf.function(made, autograph=False, jit_compile=True)(tf.zeros(1)) == 1
print(*[f"{frame.filename.split('/')[-1]}:{frame.name}" for frame in found[0].op.traceback])
"""


def test_an_operation_of_tensorflow_remembers_where_it_was_made_in_few_frames():
    frames = _run(REMEMBERED).split()  # XLA in TensorFlow ends the process where no frame is left
    assert [frame for frame in frames if "<string>" in frame] == ["<string>:<module>", "<string>:made"]
    assert {frame.split(":")[0] for frame in frames} == {"<string>", "ops.py", "traceback_utils.py"}


def _run(program: str) -> str:
    environment = os.environ | {"KERAS_BACKEND": "tensorflow"}
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    return run.stdout
