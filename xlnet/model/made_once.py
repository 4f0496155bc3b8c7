"""Arrays that follow from sizes alone: made once and handed to a compiled program, instead of written into it.

TensorFlow folds what is constant before XLA sees it, for each layer, its gradient and its transpose: of the 50 MB of a
compiled step of four layers 1 MB was machine code, and as much again stayed in memory.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import keras

from xlnet import frameworks


def made_once(make: Callable[..., Any], *sizes: Any, **about: Any) -> Any:
    """make(*sizes, **about), arrays in any structure; where sizes are known on a CPU, the same at each call."""
    is_known = all(isinstance(size, int | str) for size in (*sizes, *about.values()))
    if keras.backend.backend() == "tensorflow" and frameworks.is_on_cpu() and is_known:
        return _made(make, *sizes, **about)
    return make(*sizes, **about)


@cache
def _made(make: Callable[..., Any], *sizes: Any, **about: Any) -> Any:
    import tensorflow as tf

    with tf.init_scope():  # outside of the program that is being traced, which is then given the arrays
        return make(*sizes, **about)
