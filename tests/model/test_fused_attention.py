"""The kernels for GPUs, in JAX's interpreter, against the same sums written out. Run on JAX by test_jax.py."""

import keras
import numpy as np
import pytest

if keras.backend.backend() != "jax":
    pytest.skip("of the JAX backend: test_jax.py runs them in a process of its own", allow_module_level=True)

import jax
import jax.numpy as jnp

from xlnet.model import fused_attention
from xlnet.model.backbone import Backbone
from xlnet.model.config import ModelConfig
from xlnet.model.dropout import mixed

ROWS, LENGTH, WIDTH, DEPTH = (2, 1, 2), 70, 130, 16  # no multiple of a tile
TOLERANCE = 0.02  # of bfloat16, 8 bits


@pytest.fixture(autouse=True)
def _interpreted(monkeypatch):
    monkeypatch.setattr(fused_attention, "interprets", True)


def given(seed=0):
    random = np.random.default_rng(seed)
    shapes = [(*ROWS, LENGTH, DEPTH), (*ROWS, WIDTH, DEPTH), (*ROWS, WIDTH, DEPTH), (*ROWS, LENGTH, WIDTH)]
    queries, keys, values, bias = (jnp.asarray(random.standard_normal(shape), jnp.bfloat16) for shape in shapes)
    bias = jnp.where(random.random(bias.shape) < 0.4, -1e30, bias).astype(jnp.bfloat16)
    return queries, keys, values, bias.at[..., 3, :].set(-1e30)  # a query to which all is hidden


def written_out(queries, keys, values, bias, *, rate=0.0, key=None):
    queries, keys, values, bias = (jnp.asarray(array, jnp.float32) for array in (queries, keys, values, bias))
    with jax.default_matmul_precision("highest"):
        weights = jax.nn.softmax(queries @ jnp.swapaxes(keys, -1, -2) + bias, axis=-1)
        if rate:
            weights = jnp.where(kept(rate, key), weights / (1 - rate), 0)
        return weights @ values


def kept(rate, key):
    """Which weights the kernels keep; they count rows with those that fill up a tile."""
    tile = max(tiles.queries for tiles in fused_attention.TILES.values())
    count, padded = int(np.prod(ROWS)), -(-LENGTH // tile) * tile
    rows = mixed(jnp.arange(count * padded, dtype=jnp.uint32) ^ key).reshape(count, padded)[:, :LENGTH]
    columns = mixed(jnp.arange(WIDTH, dtype=jnp.uint32) ^ key ^ np.uint32(1 << 31))
    each = [fused_attention._kept(row, columns, rate=rate) for row in rows]
    return jnp.stack(each).reshape(*ROWS, LENGTH, WIDTH)


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_sums_and_gradients_are_those_written_out(rate):
    arrays, key = given(), jnp.asarray(77, jnp.uint32) if rate else None
    upstream = jnp.asarray(np.random.default_rng(1).standard_normal((*ROWS, LENGTH, DEPTH)), jnp.bfloat16)
    found, towards = jax.vjp(lambda *given: fused_attention.attend(*given, rate=rate, key=key), *arrays)
    wanted, back = jax.vjp(lambda *given: written_out(*given, rate=rate, key=key), *arrays)
    pairs = zip([found, *towards(upstream)], [wanted, *back(upstream.astype(jnp.float32))], strict=True)
    for mine, exact in pairs:
        mine, exact = (np.asarray(array, np.float32) for array in (mine, exact))
        assert np.linalg.norm(mine - exact) < TOLERANCE * np.linalg.norm(exact)


def test_to_whom_all_is_hidden_sees_all_alike():
    queries, keys, values, bias = given()
    found = fused_attention.attend(queries, keys, values, bias, rate=0.0, key=None)
    np.testing.assert_allclose(found[..., 3, :], values.astype(jnp.float32).mean(axis=-2), atol=TOLERANCE)


def test_masks_are_as_random_as_a_rate_asks():
    rate, side = 0.1, 1024
    numbers = jnp.arange(side, dtype=jnp.uint32)
    masks = np.asarray(fused_attention._kept(mixed(numbers ^ 5), mixed(numbers ^ 5 ^ np.uint32(1 << 31)), rate=rate))
    dropped = (~masks).astype(np.float64) - rate
    deviation = (rate * (1 - rate)) ** 0.5
    assert abs(dropped.mean()) < 4 * deviation / side
    for axis in (0, 1):  # rows, or columns, drop no more and no less than chance has it, and not together
        assert abs(dropped.mean(axis=axis).std() * side**0.5 / deviation - 1) < 0.1
        moved = np.roll(dropped, 1, axis=axis)
        assert abs((dropped * moved).mean()) < 4 * deviation**2 / side
    corners = dropped * np.roll(dropped, 7, 0) * np.roll(dropped, 11, 1) * np.roll(dropped, (7, 11), (0, 1))
    assert abs(corners.mean()) < 4 * deviation**4 / side  # the numbers of four corners are not independent


def test_a_model_computes_the_same_with_and_without_them(monkeypatch):
    config = ModelConfig(vocab_size=50, layers=2, model_dim=32, heads=2, head_dim=16, feedforward_dim=64)
    backbone = Backbone(config, bidirectional=True, seed=0, dtype="mixed_bfloat16")
    random = np.random.default_rng(0)
    pieces = random.integers(9, 50, (2, 40)).astype("int32")
    asked = {
        "visible": random.random((2, 40, 40)) < 0.5,
        "query_visible": random.random((2, 20, 40)) < 0.5,
        "target_positions": np.sort(random.permuted(np.tile(np.arange(40), (2, 1)), axis=1)[:, :20]).astype("int32"),
        "target_mask": np.ones((2, 20), "float32"),
        "memories": [random.standard_normal((2, 24, 32)).astype("float32") for _ in range(2)],
        "memory_length": 24,
        "boundary": 0,
    }

    def run():
        return np.asarray(jax.jit(lambda: backbone.two_stream(pieces, pieces % 3, **asked)[0])(), "float32")

    fused = run()
    monkeypatch.setattr(fused_attention, "fits", lambda queries: False)
    plain = run()
    assert not np.array_equal(fused, plain)  # two ways, so not to the last bit
    np.testing.assert_allclose(fused, plain, atol=0.1)
