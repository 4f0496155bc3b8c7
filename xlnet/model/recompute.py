"""Trading time for memory: a function that is run again for its gradient instead of keeping what it computed."""

from collections.abc import Callable
from typing import Any

import keras


def recomputed(run: Callable[..., list[Any]], given: dict[str, Any]) -> list[Any]:
    """run(**given), computed again for the gradient; what has a gradient must be handed over array by array."""
    leaves = keras.tree.flatten(given)
    learned = [
        place
        for place, leaf in enumerate(leaves)
        if hasattr(leaf, "dtype") and keras.backend.is_float_dtype(keras.backend.standardize_dtype(leaf.dtype))
    ]

    def again(*arrays: Any) -> list[Any]:
        filled = list(leaves)
        for place, array in zip(learned, arrays, strict=True):
            filled[place] = array
        return run(**keras.tree.pack_sequence_as(given, filled))

    return keras.remat(again)(*(leaves[place] for place in learned))
