"""What the machine gives: memory that is taken, and how fast it multiplies matrices at best."""

import contextlib
import os
import time

import keras
import numpy as np
from keras import ops

SIDE = 2048  # of the matrices whose product is timed
TRIES = 4


def memory() -> dict[str, int]:
    """Bytes: `memory_bytes` that the process holds, and at most, of the first accelerator, `device_memory_bytes`."""
    found = {}
    with contextlib.suppress(OSError), open("/proc/self/statm", encoding="ascii") as numbers:
        found["memory_bytes"] = int(numbers.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    if keras.backend.backend() == "jax":
        import jax

        taken = (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    else:
        import tensorflow as tf

        gpus = tf.config.list_logical_devices("GPU")
        taken = tf.config.experimental.get_memory_info(gpus[0].name.removeprefix("/device:"))["peak"] if gpus else None
    return found | ({} if taken is None else {"device_memory_bytes": int(taken)})


def float32_peak() -> float:
    """Floating point operations a second in the best of some products of float32 matrices."""
    square = ops.convert_to_tensor(np.random.default_rng(0).standard_normal((SIDE, SIDE)).astype(np.float32))
    seconds = []
    for _ in range(TRIES):
        begun = time.perf_counter()
        ops.convert_to_numpy(ops.matmul(square, square))
        seconds.append(time.perf_counter() - begun)
    return 2.0 * SIDE**3 / min(seconds)
