"""Attention on a GPU in one pass: the weights of a tile are made, dropped out and summed where they are, never stored.

Three Pallas kernels: the sums, their gradient towards queries and bias, and that towards keys and values.
Source: Dao 2023, "FlashAttention-2"; the online softmax of Milakov and Gimelshein 2018.
"""

import math
import os
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from xlnet.model.dropout import mixed

LOG2_E = math.log2(math.e)  # queries and bias are scaled by it, as a GPU knows powers of two
SWITCH = "XLNET_FUSED_ATTENTION"  # 0 in the environment: never
SHORTEST = 16  # side of a product that the kernels do
DEEPEST = 64  # head whose tiles all GPUs since compute capability 8.0 have shared memory for
interprets = False  # the kernels in JAX's interpreter, for tests where there is no GPU


class Tiles(NamedTuple):
    """How a kernel divides its work: queries and keys of a tile, and how many tiles are under way at once."""

    queries: int
    keys: int
    stages: int


Refs = dict[str, Any]  # places in memory by name
FORWARD, BACKWARD = ("query", "key", "value", "bias", "row_bits", "column_bits"), ("upstream", "top", "change")
TILES = {  # the fastest of 33 each on an H100, for 256 queries of 896 keys, when a bit of a mask took two products
    "_sums": Tiles(64, 64, stages=2),
    "_towards_queries": Tiles(128, 64, stages=3),
    "_towards_keys": Tiles(64, 64, stages=3),
}
WARPS = 4  # of 32 threads; 8 were slower for all of them


def fits(queries: Any) -> bool:
    """Whether the kernels can take queries [H, X, C, Q, d]: bfloat16, heads of a power of two, on a GPU for them."""
    length, depth = queries.shape[-2:]
    is_shaped = length >= SHORTEST and SHORTEST <= depth <= DEEPEST and depth & (depth - 1) == 0
    is_taken = is_shaped and queries.dtype == jnp.bfloat16
    return is_taken and os.environ.get(SWITCH) != "0" and (interprets or _has_bfloat16(jax.devices()[0]))


def _has_bfloat16(device: Any) -> bool:
    """Whether it is a GPU of NVIDIA's that multiplies bfloat16: of compute capability 8 or more."""
    major = str(getattr(device, "compute_capability", "")).partition(".")[0]
    return major.isdigit() and int(major) >= 8


def attend(queries: Any, keys: Any, values: Any, bias: Any, *, rate: float, key: Any) -> Any:
    """softmax(queries keys^T + bias) values, with dropout of the weights.

    queries [..., Q, d], keys and values [..., K, d], bias [..., Q, K]: added to the scores; -> [..., Q, d].
    rate, key (uint32 []; None: no dropout): see `dropout.Dropout`; the masks are others than those of `dropout`.
    """
    if key is None:
        rate, key = 0.0, jnp.zeros((), jnp.uint32)
    length, width = bias.shape[-2:]
    more = -length % max(tiles.queries for tiles in TILES.values())
    wider = -width % max(tiles.keys for tiles in TILES.values())
    bias = _padded(_padded(bias, wider, axis=-1, value=-jnp.inf), more)
    padded = (_padded(queries, more), _padded(keys, wider), _padded(values, wider), bias)
    count = math.prod(queries.shape[:-2])
    flat = [array.reshape(count, *array.shape[-2:]) for array in padded]
    rows, columns = (jnp.arange(size, dtype=jnp.uint32) for size in (count * (length + more), width + wider))
    bits = mixed(rows ^ key).reshape(count, -1), mixed(columns ^ key ^ np.uint32(1 << 31))[None]
    found = _attend(rate, *flat, *bits)
    return found.reshape(*queries.shape[:-2], *found.shape[-2:])[..., :length, :]


def _padded(values: Any, more: int, *, axis: int = -2, value: float = 0.0) -> Any:
    sizes = [(0, 0)] * values.ndim
    sizes[axis] = (0, more)
    return jnp.pad(values, sizes, constant_values=value) if more else values


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _attend(rate: float, *arrays: Any) -> Any:
    return _forward(rate, *arrays)[0]


def _forward(rate: float, queries: Any, keys: Any, values: Any, bias: Any, row_bits: Any, column_bits: Any) -> Any:
    queries, bias = (queries * LOG2_E).astype(queries.dtype), (bias * LOG2_E).astype(bias.dtype)
    given = dict(zip(FORWARD, (queries, keys, values, bias, row_bits, column_bits), strict=True))
    found, top, total = _run(_sums, given, by="queries", gives=["query", "top", "total"], rate=rate)
    return found, (*given.values(), found, top, total)


def _backward(rate: float, kept: Any, upstream: Any) -> Any:
    *given, found, top, total = kept
    wide = upstream.astype(jnp.float32) / total[..., None]  # as all weights are, so that the kernels do not divide
    change = jnp.sum(wide * found.astype(jnp.float32), axis=-1)
    upstream = (wide / (1.0 - rate)).astype(upstream.dtype)  # as are the weights that are kept
    given = dict(zip(FORWARD + BACKWARD, (*given, upstream, top, change), strict=True))
    queries, bias = _run(_towards_queries, given, by="queries", gives=["query", "bias"], rate=rate)
    keys, values = _run(_towards_keys, given, by="keys", gives=["key", "value"], rate=rate)
    return queries, keys, values, bias, None, None


_attend.defvjp(_forward, _backward)


def _run(kernel: Any, given: dict[str, Any], *, by: str, gives: list[str], rate: float) -> Any:
    """A kernel over all of N, a tile of queries or of keys at a time; `gives`: results, shaped as what is so named."""
    tiles = TILES[kernel.__name__]
    (count, length, depth), (_, width, _) = given["query"].shape, given["key"].shape
    if by == "queries":
        rows, columns, parts = tiles.queries, width, length // tiles.queries
        at_row, at_column = (lambda tile: tile), (lambda tile: 0)
    else:
        rows, columns, parts = length, tiles.keys, width // tiles.keys
        at_row, at_column = (lambda tile: 0), (lambda tile: tile)
    of_query = pl.BlockSpec((None, rows, depth), lambda tile, n: (n, at_row(tile), 0))
    of_key = pl.BlockSpec((None, columns, depth), lambda tile, n: (n, at_column(tile), 0))
    number = pl.BlockSpec((None, rows), lambda tile, n: (n, at_row(tile)))
    specs = {
        **dict.fromkeys(("query", "upstream"), of_query),
        **dict.fromkeys(("key", "value"), of_key),
        **dict.fromkeys(("row_bits", "top", "total", "change"), number),
        "bias": pl.BlockSpec((None, rows, columns), lambda tile, n: (n, at_row(tile), at_column(tile))),
        "column_bits": pl.BlockSpec((None, columns), lambda tile, n: (0, at_column(tile))),
    }
    numbers = jax.ShapeDtypeStruct((count, length), jnp.float32)
    like = [given[name] if specs[name] is not number else numbers for name in gives]

    def named(*refs: Any) -> None:
        found = dict(zip(gives, refs[len(given) :], strict=True))
        kernel(dict(zip(given, refs[: len(given)], strict=True)), found, rate=rate, tiles=tiles)

    run = pl.pallas_call(
        named,
        grid=(parts, count),
        in_specs=[specs[name] for name in given],
        out_specs=[specs[name] for name in gives],
        out_shape=[jax.ShapeDtypeStruct(array.shape, array.dtype) for array in like],
        compiler_params=triton.CompilerParams(num_warps=WARPS, num_stages=tiles.stages),
        interpret=interprets,
        name=kernel.__name__.strip("_"),
    )
    return run(*given.values())


def _sums(given: Refs, found: Refs, *, rate: float, tiles: Tiles) -> None:
    """A tile of queries over all keys: the weighted values, the highest score, the sum of the weights beside it."""
    (rows, depth), width = given["query"].shape, given["key"].shape[0]
    queries, row_bits = given["query"][...], given["row_bits"][...]

    def tile(index: Any, carry: Any) -> Any:
        summed, top, total = carry
        at = pl.ds(index * tiles.keys, tiles.keys)
        scores = _scores(queries, triton.load(given["key"].at[at, :]), triton.load(given["bias"].at[:, at]))
        higher = jnp.maximum(top, jnp.max(scores, axis=1))
        fewer = jnp.exp2(top - higher)
        weights = jnp.exp2(scores - higher[:, None])
        total = total * fewer + jnp.sum(weights, axis=1)
        values = triton.load(given["value"].at[at, :])
        if rate:
            kept = _kept(row_bits, triton.load(given["column_bits"].at[at]), rate=rate)
            weights = jnp.where(kept, weights, _nothing(higher))
        return summed * fewer[:, None] + triton.dot(weights.astype(values.dtype), values), higher, total

    lowest = jnp.full((rows,), -math.inf, jnp.float32)
    start = jnp.zeros((rows, depth), jnp.float32), lowest, jnp.zeros((rows,), jnp.float32)
    summed, top, total = jax.lax.fori_loop(0, width // tiles.keys, tile, start)
    found["query"][...] = (summed * (1.0 / (1.0 - rate) / total)[:, None]).astype(found["query"].dtype)
    found["top"][...], found["total"][...] = top, total


def _towards_queries(given: Refs, found: Refs, *, rate: float, tiles: Tiles) -> None:
    """A tile of queries over all keys: the gradients towards queries and bias."""
    (rows, depth), width = given["query"].shape, given["key"].shape[0]
    queries, row_bits = given["query"][...], given["row_bits"][...]
    upstream, top, change = given["upstream"][...], given["top"][...], given["change"][...]

    def tile(index: Any, towards: Any) -> Any:
        at = pl.ds(index * tiles.keys, tiles.keys)
        keys = triton.load(given["key"].at[at, :])
        scores = _scores(queries, keys, triton.load(given["bias"].at[:, at]))
        weights = jnp.exp2(scores - top[:, None])
        slopes = triton.dot(upstream, triton.load(given["value"].at[at, :]).T)
        if rate:
            slopes = jnp.where(_kept(row_bits, triton.load(given["column_bits"].at[at]), rate=rate), slopes, 0.0)
        steep = (weights * (slopes - change[:, None])).astype(keys.dtype)
        triton.store(found["bias"].at[:, at], steep)
        return towards + triton.dot(steep, keys)

    towards = jax.lax.fori_loop(0, width // tiles.keys, tile, jnp.zeros((rows, depth), jnp.float32))
    found["query"][...] = towards.astype(found["query"].dtype)


def _towards_keys(given: Refs, found: Refs, *, rate: float, tiles: Tiles) -> None:
    """A tile of keys over all queries: the gradients towards keys and values."""
    length, (columns, depth) = given["query"].shape[0], given["key"].shape
    keys, values, column_bits = given["key"][...], given["value"][...], given["column_bits"][...]

    def tile(index: Any, carry: Any) -> Any:
        towards_keys, towards_values = carry
        at = pl.ds(index * tiles.queries, tiles.queries)
        queries, upstream = triton.load(given["query"].at[at, :]), triton.load(given["upstream"].at[at, :])
        scores = _scores(queries, keys, triton.load(given["bias"].at[at, :]))
        top = triton.load(given["top"].at[at])
        weights = jnp.exp2(scores - top[:, None])
        slopes, dropped = triton.dot(upstream, values.T), weights
        if rate:
            kept = _kept(triton.load(given["row_bits"].at[at]), column_bits, rate=rate)
            slopes, dropped = (jnp.where(kept, array, _nothing(top)) for array in (slopes, weights))
        steep = weights * (slopes - triton.load(given["change"].at[at])[:, None])
        return (
            towards_keys + triton.dot(steep.astype(queries.dtype).T, queries),
            towards_values + triton.dot(dropped.astype(upstream.dtype).T, upstream),
        )

    zeros = jnp.zeros((columns, depth), jnp.float32)
    towards_keys, towards_values = jax.lax.fori_loop(0, length // tiles.queries, tile, (zeros, zeros))
    found["key"][...] = (towards_keys / LOG2_E).astype(found["key"].dtype)
    found["value"][...] = towards_values.astype(found["value"].dtype)


def _scores(queries: Any, keys: Any, bias: Any) -> Any:
    return triton.dot(queries, keys.T) + bias.astype(jnp.float32)


def _kept(rows: Any, columns: Any, *, rate: float) -> Any:
    """Which weights of a tile are not dropped out: by the upper bits of the product of row's and column's bits."""
    return (rows[:, None] | np.uint32(1)) * columns[None, :] >= np.uint32(round(rate * 2**32))


def _nothing(of_rows: Any) -> Any:
    """Zeros [rows, 1] that no compiler knows: a known one it would select in bfloat16, a number at a time."""
    return of_rows[:, None] * 0.0
