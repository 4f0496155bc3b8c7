"""Memory of the host that one step frees is kept for the next, instead of being returned and asked for again.

A step takes and frees hundreds of megabytes. The C library hands such blocks back to the system at once, which then
clears every page anew for the next step: on a CPU a tenth of the step's time and more.
"""

import ctypes
from typing import Any

TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8  # of glibc's mallopt(3)
NEVER = 2**31 - 1  # bytes


def keep() -> None:
    """From here on, keep what is freed; nothing where the C library is another one. Call it before threads start."""
    tune = getattr(_library(), "mallopt", None)
    if tune is not None:
        tune(MMAP_MAX, 0)  # not a high threshold: TensorFlow lowers it when it makes a dataset of a generator
        tune(TRIM_THRESHOLD, NEVER)
        tune(ARENA_MAX, 1)  # in the others, of threads, blocks above 32 MB are mapped one by one whatever is asked


def give_back() -> None:
    """Return what is free now: after a compilation, which takes memory that no step needs again."""
    trim = getattr(_library(), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _library() -> Any:
    return ctypes.CDLL(None)
