"""What TensorFlow keeps of the operations that it traces, made less: no public names of TensorFlow do that.

A step holds what it was traced to for as long as it lives, and most of the time to a first step goes by the number of
operations.
"""

import os
import sys
from functools import cache
from typing import Any

import numpy as np

LONGEST = 16  # of lists that are shared: shapes, axes, bounds of slices


@cache
def keep_short() -> None:
    """From here on, what is traced repeats less, and in this thread remembers less."""
    _leave_out_frames()
    _share_constants()


def _leave_out_frames() -> None:
    """Operations remember where they were made without the files of TensorFlow and Keras.

    A compiled step holds the names for each operation, some 50 files and functions: 35 MB with four layers.
    """
    from tensorflow.python.framework import ops
    from tensorflow.python.util import tf_stack, traceback_utils

    folders = tuple(os.path.dirname(str(sys.modules[name].__file__)) + os.sep for name in ("tensorflow", "keras"))
    files = {str(getattr(module, "__file__", None)) for module in [*sys.modules.values()]}
    # The last frames, of these, TensorFlow takes off by number once the others are left out.
    kept = {str(module.__file__) for module in (ops, tf_stack, traceback_utils)}
    left_out = {file for file in files if file.startswith(folders)} - kept

    class LeftOut(tf_stack.StackTraceFilter):  # type: ignore[misc]
        def get_filtered_filenames(self) -> set[str]:
            return left_out

    LeftOut().__enter__()


def _share_constants() -> None:
    """A function has each number, and each short list of them, once: of the operations of a step, half were constants.

    Not where an order, a place or a part of a program is asked for, which belongs to the one constant.
    """
    from tensorflow.python.framework import ops

    make = ops._create_graph_constant

    def shared(value: Any, dtype: Any, shape: Any, name: Any, verify_shape: bool, allow_broadcast: bool) -> Any:
        about = {"verify_shape": verify_shape, "allow_broadcast": allow_broadcast}
        graph = ops.get_default_graph()
        is_bound = graph._current_control_dependencies() or graph._device_functions_outer_to_inner
        is_free = graph.building_function and not is_bound and graph._get_control_flow_context() is None
        written = _written(value) if is_free else None
        if written is None:
            return make(value, dtype, shape, name, **about)
        if not hasattr(graph, "shared_constants"):
            graph.shared_constants = {}
        known = written, str(dtype), str(shape), *about.values()
        if known not in graph.shared_constants:
            graph.shared_constants[known] = make(value, dtype, shape, name, **about)
        return graph.shared_constants[known]

    ops._create_graph_constant = shared


def _written(value: Any) -> Any:
    """What tells a few numbers from others, 0.0 from -0.0 and 1 from True as well; None: there are more, or others."""
    if isinstance(value, np.ndarray | np.generic):
        is_known = value.size <= LONGEST and value.dtype.kind in "biuf"
        return (value.dtype.str, value.shape, value.tobytes()) if is_known else None
    if type(value) in (list, tuple):
        parts = tuple(map(_written, value)) if len(value) <= LONGEST else (None,)
        return None if None in parts else parts
    return repr(value) if type(value) in (bool, int, float) else None
