"""What each position may see under a factorization order, computed on the device.

The orders are stored with the data; the [length, length] masks follow from them inside the model's step and are
never stored or sent. Source: Yang et al. 2019, section 2.2; reference data_utils.py, `_local_perm`.
"""

from typing import Any

from keras import ops


def target_positions(is_target: Any, predictions: int) -> tuple[Any, Any]:
    """Where the targets are: bool [B, L] -> (positions int32 [B, T], mask float32 [B, T]).

    Positions ascend. A row with fewer than `predictions` targets is padded with position 0 and mask 0; targets
    beyond the first `predictions` are dropped.
    """
    length = ops.shape(is_target)[1]
    here = ops.arange(length, dtype="int32")[None, :]
    ascending = ops.sort(ops.where(ops.cast(is_target, "bool"), here, length), axis=-1)[:, :predictions]
    found = ascending < length
    return ops.where(found, ascending, 0), ops.cast(found, "float32")


def visible(order: Any, is_target: Any, is_functional: Any, *, reuse_length: int) -> Any:
    """bool [B, L, L]: position i may see j.

    `order` int [B, L] counts within each half; the reuse half is the first `reuse_length` positions (0: there is
    only one half). Pieces that are neither targets nor functional (`<sep>`, `<cls>`) are seen by all of their half.
    A target sees what comes before it in the order, never itself; every other position sees what comes no later
    than itself. The new half sees all of the reuse half, the reuse half nothing of the new half.
    """
    rank, own = _ranks(order, is_target, is_functional)
    half = ops.arange(ops.shape(order)[1], dtype="int32")[None, :] >= reuse_length
    return _sees(own, rank, half, half)


def visible_from(positions: Any, order: Any, is_target: Any, is_functional: Any, *, reuse_length: int) -> Any:
    """bool [B, T, L]: the rows `positions` (int [B, T]) of `visible`, without building the others."""
    rank, own = _ranks(order, is_target, is_functional)
    half = ops.arange(ops.shape(order)[1], dtype="int32")[None, :] >= reuse_length
    return _sees(ops.take_along_axis(own, positions, axis=1), rank, positions >= reuse_length, half)


def _ranks(order: Any, is_target: Any, is_functional: Any) -> tuple[Any, Any]:
    is_target = ops.cast(is_target, "bool")
    ordered = ops.logical_or(is_target, ops.cast(is_functional, "bool"))
    rank = ops.where(ordered, ops.cast(order, "int32"), -1)
    return rank, ops.where(is_target, rank, rank + 1)


def _sees(own: Any, rank: Any, from_new: Any, to_new: Any) -> Any:
    earlier = own[:, :, None] > rank[:, None, :]
    from_new, to_new = from_new[:, :, None], to_new[:, None, :]
    same_half = ops.equal(from_new, to_new)
    return ops.where(same_half, earlier, from_new)
