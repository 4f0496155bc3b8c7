"""Which keys each stream must not see, and which lie in another segment.

Keys are the memory, then the positions of the segment. All of the memory may be seen, but for its padding.
Source: reference modeling.py, `transformer_xl` and `_create_mask`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from keras import ops

from xlnet.model import query_blocks
from xlnet.model.attention import View, split_rows


def causal(length: Any, memory_length: Any, *, same_length: bool) -> Any:
    """bool [L, M + L], True where a left-to-right model may see; `same_length`: never further back than M."""
    queries = ops.arange(length, dtype="int32")[:, None]
    keys = ops.arange(memory_length + length, dtype="int32")[None, :]
    back = keys <= queries + memory_length
    # As in the reference, the bound counts from the first key: a query i sees the keys i to i + M.
    return ops.logical_and(back, keys >= queries) if same_length else back


def empty(memories: Sequence[Any]) -> Any:
    """bool [B, M]: where memories (one a layer) hold nothing. An empty memory is filled with zeros."""
    return ops.all(ops.equal(memories[-1], 0), axis=-1)  # an embedding, or normalised: never all zeros


def over_keys(padding: Any, memory_padding: Any, *, length: Any, memory_length: Any) -> Any:
    """The padding of the segment [B, L] and of the memory [B, M] in one, bool [B, M + L]; each may be None."""
    if padding is None and memory_padding is None:
        return None
    if padding is None:
        return ops.pad(memory_padding, [(0, 0), (0, length)], constant_values=False)
    padding = ops.cast(padding, "bool")
    if memory_padding is None:
        return ops.pad(padding, [(0, 0), (memory_length, 0)], constant_values=False)
    return ops.concatenate([memory_padding, padding], axis=1)


def content_view(
    segments: Any,
    visible: Any,
    *,
    padding: Any,
    history: Any,
    memory_length: Any,
    directions: int,
    boundary: int = 0,
) -> View:
    """The view of the content stream, which always sees itself.

    visible bool [B, L, L], padding bool [B, M + L], history bool [L, M + L] (`causal`): each may be None.
    boundary: `visible` lets no position before it see one from it on (0: there is none).
    """
    seen = _seen(visible, padding, history=history, memory_length=memory_length)
    if seen is not None:
        length = ops.shape(seen)[2] - memory_length
        itself = ops.arange(memory_length + length) == ops.arange(length)[:, None] + memory_length
        seen = ops.logical_or(seen, itself)
    view = _view(seen, segments, segments, memory_length=memory_length, directions=directions)
    pairs = view.other_segment if view.masked is None else view.masked
    length = None if pairs is None else ops.shape(pairs)[-2]
    if not isinstance(length, int):  # it is known only where the model runs
        return view
    is_causal = history is not None
    return replace(view, blocks=query_blocks.of(length, memory=memory_length, is_causal=is_causal, boundary=boundary))


def query_view(
    segments: Any,
    visible: Any,
    *,
    positions: Any,
    padding: Any,
    history: Any,
    memory_length: Any,
    directions: int,
) -> View:
    """The view of the query stream at `positions` int [B, T]; visible bool [B, T, L]. None: every position."""
    own = segments
    if positions is not None:
        own = None if segments is None else ops.take_along_axis(segments, positions, axis=1)
        history = None if history is None else ops.take(history, positions, axis=0)
    seen = _seen(visible, padding, history=history, memory_length=memory_length)
    view = _view(seen, own, segments, memory_length=memory_length, directions=directions)
    if positions is None:
        return view
    length = ops.shape(visible if segments is None else segments)[-1]
    return replace(view, starts=split_rows(length - positions, directions=directions))


def _seen(visible: Any, padding: Any, *, history: Any, memory_length: Any) -> Any:
    """bool [B or 1, Q, M + L], or None where everything may be seen."""
    seen = None if visible is None else ops.cast(visible, "bool")
    if seen is not None:
        seen = ops.pad(seen, [(0, 0), (0, 0), (memory_length, 0)], constant_values=True)
    if padding is not None:
        real = ops.logical_not(padding)[:, None, :]
        seen = real if seen is None else ops.logical_and(seen, real)
    if history is not None:
        history = history if len(history.shape) == 3 else history[None]
        seen = history if seen is None else ops.logical_and(seen, history)
    return seen


def _view(seen: Any, own: Any, segments: Any, *, memory_length: Any, directions: int) -> View:
    masked = other = None
    if seen is not None:
        masked = ops.logical_not(seen)
        rows_differ = masked.shape[0] != 1
        masked = split_rows(masked, directions=directions) if rows_differ else masked[None]
    if segments is not None:
        # The memory counts as segment 0, whatever it was.
        of_keys = ops.pad(segments, [(0, 0), (memory_length, 0)])
        other = split_rows(ops.not_equal(own[:, :, None], of_keys[:, None, :]), directions=directions)
    return View(masked, other)
