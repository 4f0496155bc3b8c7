"""Factorization orders, and what they let each position see."""

import numpy as np
from numpy.typing import NDArray

PLACE = np.uint64(0xFFFF)  # positions have 16 bits


def draw(
    generator: np.random.Generator,
    windows: int,
    *,
    sequence_length: int,
    reuse_length: int,
    permutation_size: int,
) -> NDArray[np.int16]:
    """One factorization order for each window [windows, sequence_length]: when in its half each position is predicted.

    Each half is ordered by itself, in chunks of `permutation_size` that follow each other: one permutation, the same
    for every chunk of a half. Source: reference `data_utils.py`, `_local_perm`.
    """
    halves = []
    place = np.arange(permutation_size, dtype=np.uint64)
    for length in (reuse_length, sequence_length - reuse_length):
        # A random number above, the place below: once sorted, the places are a permutation (four times the speed of
        # shuffling row by row). 48 random bits leave no two equal but by a chance of 1 in 10^9 a window.
        keys = generator.bit_generator.random_raw(windows * permutation_size).reshape(windows, permutation_size)
        keys = (keys & ~PLACE) | place
        keys.sort(axis=1)
        chunk = (keys & PLACE).astype(np.int16)
        starts = np.arange(0, length, permutation_size, dtype=np.int16)
        halves.append((starts[None, :, None] + chunk[:, None, :]).reshape(windows, length))
    return np.concatenate(halves, axis=1)


def visible(
    order: NDArray[np.integer],
    is_target: NDArray[np.bool_],
    is_functional: NDArray[np.bool_],
    *,
    reuse_length: int,
) -> NDArray[np.bool_]:
    """What each position sees under a factorization order: [..., length] to [..., sees, is seen].

    A position sees every piece of its half that is neither target nor functional (<sep>, <cls>), and those that come
    earlier in the order; a functional position also sees itself, a target does not. The new half sees all of the
    reuse half, which sees nothing of the new one. Sources: Yang et al. 2019, section 2.2; reference `_local_perm`.
    """
    is_context = ~(is_target | is_functional)
    rank = np.where(is_context, -1, order)
    own = np.where(is_target, rank, rank + 1)
    sees = own[..., :, None] > rank[..., None, :]
    sees[..., :reuse_length, reuse_length:] = False
    sees[..., reuse_length:, :reuse_length] = True
    return sees
