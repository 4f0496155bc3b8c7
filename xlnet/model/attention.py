"""Attention with relative positions, segments and memory, as functions of arrays.

Inside attention the axes are [H, X, C, length, d]: H heads, X directions (forward, backward), C rows a direction.
Then every product is a batched matrix product over leading axes, the position keys [H, X, R, d] are shared by the
C rows without being repeated, only small arrays are ever transposed, and all of it holds for a single head, without
the first axis.
Source: Yang et al. 2019, sections 2.3 and 2.5; reference modeling.py, `rel_attn_core`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
from keras import ops

from xlnet.model import sums
from xlnet.model.dropout import Dropout
from xlnet.model.gradients import anew, custom_gradient, fenced, in_turn
from xlnet.model.positions import shift, unshift
from xlnet.model.query_blocks import Block

ALL = slice(None)
MASKED = -1e30  # added, not assigned: where nothing is visible the reference attends to everything alike


class Biases(NamedTuple):
    """What a layer adds to its queries, [H, d] each: for content, for positions, for segments.

    `segment_contrast` [H, d] is the key of "another segment" less the key of "the same segment".
    """

    content: Any
    position: Any
    segment: Any = None
    segment_contrast: Any = None


@dataclass(frozen=True)
class View:
    """How one stream looks at the keys; None: no such thing.

    masked: bool [X, C, Q, K], True where a key must not be seen.
    other_segment: bool [X, C, Q, K], True where query and key lie in different segments.
    starts: int [X, C, Q], the column of `positions.shift` for queries that are not the positions 0, 1, 2, ...
    blocks: of the queries, where they are those positions; None: one of all queries and all keys.
    """

    masked: Any = None
    other_segment: Any = None
    starts: Any = None
    blocks: tuple[Block, ...] | None = None

    def of(self, block: Block) -> "View":
        """What the queries of a block see."""
        masked, other = (
            None if pairs is None else pairs[..., block.first : block.last, : block.keys]
            for pairs in (self.masked, self.other_segment)
        )
        return View(masked, other)

    def of_last(self) -> "View":
        """What the last query sees."""
        return View(*(None if pairs is None else pairs[..., -1:, :] for pairs in (self.masked, self.other_segment)))


def split_rows(values: Any, *, directions: int) -> Any:
    """[B, ...] with rows alternating between directions -> [X, C, ...]."""
    _, *rest = ops.shape(values)
    if directions == 1:
        return values[None]
    split = ops.reshape(values, (-1, directions, *rest))
    return ops.transpose(split, (1, 0, *range(2, 2 + len(rest))))


def to_heads(hidden: Any, kernel: Any, *, directions: int) -> Any:
    """[B, L, D] through a kernel [D, H, d] -> [H, X, C, L, d]."""
    length = ops.shape(hidden)[1]
    depth, heads, head_dim = kernel.shape
    projected = ops.matmul(hidden, ops.reshape(kernel, (depth, heads * head_dim)))
    split = ops.reshape(projected, (-1, directions, length, heads, head_dim))
    return ops.transpose(split, (3, 1, 0, 2, 4))


def from_heads(values: Any, kernel: Any) -> Any:
    """[H, X, C, L, d] through a kernel [D, H, d] -> [B, L, D]."""
    length = ops.shape(values)[3]
    depth, heads, head_dim = kernel.shape
    joined = ops.reshape(ops.transpose(values, (2, 1, 3, 0, 4)), (-1, length, heads * head_dim))
    return ops.matmul(joined, ops.transpose(ops.reshape(kernel, (depth, heads * head_dim))))


def attend(
    queries: Any, keys: Any, values: Any, position_keys: Any, biases: Biases, *, view: View, drop: Dropout
) -> Any:
    """What the queries [H, X, C, Q, d] find in keys and values [H, X, C, K, d] -> [H, X, C, Q, d].

    position_keys [H, X, R, d]: of the distances from K down. `drop`: the dropout of the weights.
    """
    if view.blocks is None:
        return _found(queries, keys, values, position_keys, biases, view=view, drop=drop)
    length = ops.shape(queries)[-2]

    def found_by(own: Any, block: Block) -> Any:
        return _found(
            own,
            keys,
            values,
            position_keys,
            biases,
            view=view.of(block),
            drop=drop,
            seen=_slice(0, block.keys, of=keys),
            met=_slice(length - block.last, block.distances, of=position_keys),
        )

    parts = (queries[..., block.first : block.last, :] for block in view.blocks)
    found = in_turn(found_by, parts, view.blocks, training=drop.draws is not None)
    return ops.concatenate(found, axis=-2)


def _found(
    queries: Any,
    keys: Any,
    values: Any,
    position_keys: Any,
    biases: Biases,
    *,
    view: View,
    drop: Dropout,
    seen: slice = ALL,
    met: slice = ALL,
) -> Any:
    """`seen`: of the keys and values, `met`: of the distances, those that the queries are given."""
    count = ops.shape(keys)[-2] if seen.stop is None else seen.stop
    bias = pair_bias(queries, position_keys, biases=biases, view=view, keys=count, met=met)
    content = _biased(queries, biases.content)
    if keras.backend.backend() == "jax":
        from xlnet.model import fused_attention

        if fused_attention.fits(queries):
            if view.masked is not None:
                bias = ops.where(view.masked, MASKED, bias)
            keys, values = keys[..., seen, :], values[..., seen, :]
            return fused_attention.attend(content, keys, values, bias, rate=drop.rate, key=drop.next_key())
    if view.masked is not None:
        bias = _masked(ops.cast(bias, "float32"), view.masked)
    scores = ops.cast(_scores(content, keys, seen), bias.dtype) + bias
    return weigh(ops.cast(scores, "float32"), values, drop=drop, seen=seen)


def pair_bias(queries: Any, position_keys: Any, *, biases: Biases, view: View, keys: Any, met: slice = ALL) -> Any:
    """What distance and segments add to the score of a query and a key, [H, X, C, Q, K].

    queries [H, X, C, Q, d], position_keys [H, X, R, d], of which `view` says where each of so many keys finds its own.
    The score of "the same segment" is the same for all keys of a query, which a softmax does not see, so only the
    contrast of the two segment keys is added.
    """
    bias = _by_distance(_biased(queries, biases.position), position_keys, view.starts, met=met, keys=keys)
    if view.other_segment is None:
        return bias
    return bias + _where(view.other_segment, _contrasted(queries, biases.segment, biases.segment_contrast))


def weigh(scores: Any, values: Any, *, drop: Callable[[Any], Any], seen: slice = ALL) -> Any:
    """Softmax of scores float32 [..., Q, K], applied to values [..., K, d] -> [..., Q, d].

    The division comes after the product: it then runs over d columns, not K, and so does its gradient.
    """
    weights = ops.exp(scores - ops.stop_gradient(ops.max(scores, axis=-1, keepdims=True)))
    total = ops.sum(weights, axis=-1, keepdims=True)
    summed = _sums(drop(ops.cast(weights, values.dtype)), values, seen)
    return summed / ops.cast(total, values.dtype)


# Towards values and keys a framework multiplies W^T U, W [Q, K] and U [Q, d]: XLA's slowest product on a CPU, as it
# reads W down its columns. (U^T W)^T takes half of the time, if U alone is transposed in memory and stays so.
# What is cut out of all keys for a block of queries is cut out again for the gradient: only the whole is kept.


def _sums(weights: Any, values: Any, part: slice) -> Any:
    """[..., Q, K] of a part of values [..., all, d] -> [..., Q, d]."""

    @custom_gradient
    def sums(weights: Any, values: Any) -> tuple[Any, Callable[[Any], Any]]:
        def gradient(upstream: Any) -> tuple[Any, Any]:
            again = _part(values, part, after=upstream)
            towards_values = _whole(_from_queries(upstream, weights), part, like=values)
            return ops.matmul(upstream, _transposed(again)), towards_values

        return ops.matmul(weights, values[..., part, :]), gradient

    return sums(weights, values)


def _scores(queries: Any, keys: Any, part: slice) -> Any:
    """The products of queries [..., Q, d] and a part of keys [..., all, d] -> [..., Q, K]."""

    @custom_gradient
    def scores(queries: Any, keys: Any) -> tuple[Any, Callable[[Any], Any]]:
        def gradient(upstream: Any) -> tuple[Any, Any]:
            again = _part(keys, part, after=upstream)
            towards_keys = _from_queries(anew(queries, after=upstream), upstream)
            return ops.matmul(upstream, again), _whole(towards_keys, part, like=keys)

        return ops.matmul(queries, _transposed(keys[..., part, :])), gradient

    return scores(queries, keys)


def _by_distance(queries: Any, position_keys: Any, starts: Any, *, met: slice, keys: Any) -> Any:
    """As `_scores` of queries [H, X, C, Q, d] and keys of distances [H, X, R, d], for each of so many keys its own."""
    *outer, rows, length, head_dim = ops.shape(queries)
    merged = (*outer, rows * length, head_dim)

    def scores(queries: Any, position_keys: Any, starts: Any = None) -> tuple[Any, Callable[[Any], Any]]:
        distances = position_keys[..., met, :]
        found = ops.matmul(ops.reshape(queries, merged), _transposed(distances))
        encodings = ops.shape(found)[-1]

        def gradient(upstream: Any) -> tuple[Any, ...]:
            distant = ops.reshape(unshift(upstream, starts, encodings=encodings), (*merged[:-1], encodings))
            distances = anew(position_keys, after=upstream)[..., met, :]  # all of them too: else kept in two layouts
            towards_queries = ops.matmul(distant, distances)
            again = ops.reshape(anew(queries, after=upstream), merged)
            towards_keys = _whole(_from_queries(again, distant), met, like=position_keys)
            found = ops.reshape(towards_queries, (*outer, rows, length, head_dim)), towards_keys
            return found if starts is None else (*found, None)

        return shift(ops.reshape(found, (*outer, rows, length, encodings)), starts, keys=keys), gradient

    given = [queries, position_keys] if starts is None else [queries, position_keys, starts]
    return custom_gradient(scores)(*given)


def _from_queries(of_queries: Any, weights: Any) -> Any:
    """[..., Q, d], summed by weights [..., Q, K] -> [..., K, d]."""
    return _transposed(fenced(ops.matmul(fenced(_transposed(of_queries)), weights)))


def _slice(first: int, count: int, *, of: Any) -> slice:
    """At most so many keys of [..., K, d] from the first on."""
    length = ops.shape(of)[-2]
    last = min(first + count, length)
    return ALL if last - first == length else slice(first, last)


def _part(keys: Any, part: slice, *, after: Any) -> Any:
    """The part, for what comes after another array."""
    return keys if part == ALL else anew(keys, after=after)[..., part, :]


def _whole(keys: Any, part: slice, *, like: Any) -> Any:
    """The part, between zeros where the others are."""
    if part == ALL:
        return keys
    *outer, length, _ = ops.shape(like)
    return ops.pad(keys, [*((0, 0) for _ in outer), (part.start, length - part.stop), (0, 0)])


def _transposed(matrices: Any) -> Any:
    return ops.swapaxes(matrices, -1, -2)


@custom_gradient
def _biased(queries: Any, bias: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Queries [H, X, C, Q, d] and what is added to each, [H, d], in the scale of scores."""
    scale = queries.shape[-1] ** -0.5

    def gradient(upstream: Any) -> tuple[Any, Any]:
        return upstream * scale, sums.of_positions(upstream, like=bias) * scale

    return (queries + _beside(bias)) * scale, gradient


@custom_gradient
def _masked(bias: Any, masked: Any) -> tuple[Any, Callable[[Any], Any]]:
    """A bias [H, X, C, Q, K], with MASKED added for pairs that must not be seen, bool [X, C, Q, K].

    XLA on a CPU takes sums into the product beside them, and writes each of what is summed as large as the scores
    first. Not so a choice: the whole bias is written once.
    """
    return ops.where(masked, MASKED, bias), lambda upstream: (upstream, None)  # MASKED + bias is MASKED


@custom_gradient
def _where(chosen: Any, values: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Values [H, X, C, Q, 1] for the pairs that are chosen, bool [X, C, Q, K], and 0 -> [H, X, C, Q, K]."""
    return ops.where(chosen, values, 0), lambda upstream: (None, sums.of_rows(ops.where(chosen, upstream, 0)))


@custom_gradient
def _contrasted(queries: Any, bias: Any, contrast: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Queries [H, X, C, Q, d], with a bias [H, d], by a key [H, d], in the scale of scores -> [H, X, C, Q, 1]."""
    scale = queries.shape[-1] ** -0.5
    *heads, depth = bias.shape

    def gradient(upstream: Any) -> tuple[Any, Any, Any]:
        above = upstream * scale
        flat = ops.reshape(above, (*heads, 1, -1))
        again = ops.reshape(anew(queries, after=upstream), (*heads, -1, depth))
        total = ops.sum(flat, axis=-1)
        of_queries = ops.squeeze(ops.matmul(flat, again), axis=-2)
        return above * _beside(contrast), total * contrast, of_queries + total * bias

    products = (queries + _beside(bias)) * (_beside(contrast) * scale)  # no matrix, which an export would quantize
    return ops.sum(products, axis=-1, keepdims=True), gradient


def _beside(bias: Any) -> Any:
    """[H, d] -> [H, 1, 1, 1, d], for queries."""
    return bias[..., None, None, None, :]
