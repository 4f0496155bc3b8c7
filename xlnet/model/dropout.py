"""Dropout whose random bits cost a handful of integer operations an element.

Keras draws its masks with a generator of many rounds, which XLA computes in scalar code and again in every consumer:
on a CPU that took five times as long as all the rest of a training step. Here bit `i` of a call is a hash of `i`
and of the call's seed (two rounds of the "lowbias32" mixer of C. Wellons, bias 0.17), cheap enough to be recomputed.
"""

import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

ROUNDS = ((16, 0x7FEB352D), (15, 0x846CA68B))  # of the mixer: a shift and a factor each


class Draws:
    """Seeds that follow from one seed: a layer that is computed again, to save memory, draws the same masks again."""

    def __init__(self, seed: Any) -> None:
        self._seed, self._count = seed, 0

    def next(self) -> Any:
        """uint32 [2], another one at each call."""
        first, second = ops.unstack(ops.cast(self._seed, "uint32"))
        self._count += 1
        return ops.stack([first + np.uint32(self._count * 0x9E3779B9 % 2**32), second])


@dataclass(frozen=True)
class Dropout:
    """Dropout at a rate, with masks that follow from `draws`; None: none."""

    rate: float
    draws: "Draws | keras.random.SeedGenerator | None"

    @property
    def is_active(self) -> bool:
        """Whether anything is dropped out."""
        return self.draws is not None and self.rate > 0

    def next_key(self) -> Any:
        """uint32 []: what the places of the next call's mask are mixed with; None where nothing is dropped out."""
        return _key(self.draws) if self.is_active else None

    def __call__(self, values: Any) -> Any:
        """Values of any shape, some of them dropped out."""
        return dropout(values, self.rate, seed=self.draws) if self.is_active else values


def dropout(values: Any, rate: float, *, seed: "keras.random.SeedGenerator | Draws") -> Any:
    """Values of any shape, each with probability `rate` set to 0, the others scaled by 1 / (1 - rate)."""
    shape = ops.shape(values)
    kept = _bits(shape, seed) >= np.uint32(round(rate * 2**32))
    return ops.where(kept, values * (1.0 / (1.0 - rate)), ops.zeros((), dtype=values.dtype))


def _bits(shape: Any, seed: "keras.random.SeedGenerator | Draws") -> Any:
    """uint32 [shape], independent between calls and between positions."""
    *outer, columns = shape or (1,)
    rows = math.prod(outer) if all(isinstance(length, int) for length in outer) else ops.prod(ops.stack(outer))
    row, column = (ops.cast(ops.arange(length, dtype="int32"), "uint32") for length in (rows, columns))
    # One count of all would be written into TensorFlow's program for XLA, number by number: 200 MB in XLNet-base.
    return mixed(ops.reshape((row * ops.cast(columns, "uint32") + _key(seed))[:, None] + column, shape))


def _key(seed: "keras.random.SeedGenerator | Draws") -> Any:
    first, second = ops.unstack(ops.cast(seed.next(), "uint32"))
    return mixed(first + mixed(second))


def mixed(bits: Any) -> Any:
    """uint32 [...] -> uint32 [...], as good as random."""
    for shift, factor in ROUNDS:
        bits = ops.bitwise_xor(bits, ops.right_shift(bits, np.uint32(shift))) * np.uint32(factor)
    return ops.bitwise_xor(bits, ops.right_shift(bits, np.uint32(16)))
