"""Factorization orders, and what they let each position see.

An order is kept as ranks of those positions alone whose place in it matters: the targets, <sep> and <cls>. All others
are context: they are seen whatever their place would be.
"""

import numpy as np
from numpy.typing import NDArray

PLACE = np.uint64(0xFFFF)  # positions have 16 bits
CHUNK = np.uint64(48)  # the bits below the number of a chunk


def draw(
    generator: np.random.Generator,
    is_ordered: NDArray[np.bool_],
    *,
    reuse_length: int,
    permutation_size: int,
    slots: int,
) -> NDArray[np.int64]:
    """One factorization order for each window: from the positions that are no context [windows, length] to ranks.

    Ranks [windows, slots]: for each such position, in order of position, when in its half it is predicted, from 0;
    then 0 to the end. Each half is ordered by itself, in chunks of `permutation_size` that follow each other: one
    permutation, the same for every chunk of a half. Source: reference `data_utils.py`, `_local_perm`.
    """
    windows, length = is_ordered.shape
    counts = np.count_nonzero(is_ordered, axis=1)
    if counts.max(initial=0) > slots:
        raise ValueError(f"a window has {counts.max()} targets and functional pieces, there is room for {slots}")
    used = np.arange(slots) < counts[:, None]
    position = np.full((windows, slots), length)
    found = np.flatnonzero(is_ordered)
    np.place(position, used, found - found // length * length)  # a third of the time of a remainder
    drawn = _draw(generator, position, length=length, reuse_length=reuse_length, permutation_size=permutation_size)
    # The chunk above, a random number in the middle, the slot below: sorted, the slots are in the order. 32 random
    # bits leave two of a window equal by a chance of 1 in 10^6; they then keep their places.
    keys = (position // permutation_size).astype(np.uint64) << CHUNK
    keys |= (drawn >> np.uint64(32)) << np.uint64(16)
    keys |= np.arange(slots, dtype=np.uint64)
    keys.sort(axis=1)
    places = (keys & PLACE).astype(np.int64) + slots * np.arange(windows)[:, None]
    ranks = np.empty((windows, slots), np.int64)
    ranks.ravel()[places] = np.arange(slots)
    first_of_new = np.count_nonzero(position < reuse_length, axis=1)
    ranks -= np.where(position >= reuse_length, first_of_new[:, None], 0)
    ranks *= used
    return ranks


def _draw(
    generator: np.random.Generator,
    position: NDArray[np.int64],
    *,
    length: int,
    reuse_length: int,
    permutation_size: int,
) -> NDArray[np.uint64]:
    """Random numbers for the positions, equal where they share a place in a permutation."""
    if 2 * permutation_size == length:  # a chunk a half: nothing is shared
        return generator.bit_generator.random_raw(position.size).reshape(position.shape)
    size = 2 * permutation_size
    drawn = generator.bit_generator.random_raw(len(position) * size).reshape(-1, size)
    half = np.where(position >= reuse_length, permutation_size, 0)
    return np.take_along_axis(drawn, half + position % permutation_size, axis=1)


def dense(ranks: NDArray[np.integer], is_ordered: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Ranks [..., slots] put to their positions [..., length], where `is_ordered`; 0 elsewhere."""
    slot = np.cumsum(is_ordered, axis=-1) - 1
    last = ranks.shape[-1] - 1
    return np.where(is_ordered, np.take_along_axis(ranks, np.clip(slot, 0, last), axis=-1), 0).astype(np.int64)


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
