"""Queries in blocks: the same scores as of all queries at once, from fewer products."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from keras import ops

from xlnet.model import query_blocks
from xlnet.model.backbone import Backbone
from xlnet.model.config import ModelConfig
from xlnet.model.permutation import target_positions, visible, visible_from
from xlnet.model.query_blocks import Block

BOTH_WAYS = ModelConfig(
    vocab_size=50,
    layers=2,
    model_dim=16,
    heads=2,
    head_dim=8,
    feedforward_dim=32,
    dropout=0,
    attention_dropout=0,
    initializer_stddev=0.5,
)
CAUSAL = dataclasses.replace(BOTH_WAYS, attention="uni")
LENGTH, HALF, MEMORY = 11, 6, 4


def test_blocks_end_where_a_half_does_and_see_what_it_sees():
    assert query_blocks.of(512, memory=384, is_causal=False, boundary=256) == (
        Block(0, 256, keys=640),
        Block(256, 512, keys=896),
    )
    assert query_blocks.of(300, memory=0, is_causal=False, boundary=100) == (
        Block(0, 100, keys=100),
        Block(100, 256, keys=300),
        Block(256, 300, keys=300),
    )
    assert query_blocks.of(300, memory=8, is_causal=True) == (Block(0, 256, keys=264), Block(256, 300, keys=308))
    assert query_blocks.of(40, memory=8, is_causal=False) == (Block(0, 40, keys=48),)


@pytest.mark.parametrize("longest", [1, 3, 4])
@pytest.mark.parametrize("kind", ["permutation", "same length", "causal", "padded", "segments only"])
def test_a_stream_in_blocks_is_that_of_all_queries_at_once(
    monkeypatch: pytest.MonkeyPatch, compiled: Any, gradients: Any, kind: str, longest: int
) -> None:
    at_once = _run(kind, compiled, gradients)
    monkeypatch.setattr(query_blocks, "LONGEST", longest)
    in_blocks = _run(kind, compiled, gradients)
    assert len(at_once) == len(in_blocks) > 10
    for wanted, found in zip(at_once, in_blocks, strict=True):
        assert np.isfinite(wanted).all()
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def _run(kind: str, compiled: Any, gradients: Any) -> list[np.ndarray]:
    """Output and gradients; no boundary where there are no blocks, so that a half cannot hide what it should see."""
    is_whole = query_blocks.LONGEST > LENGTH
    config = {"causal": CAUSAL, "same length": dataclasses.replace(CAUSAL, same_length=True)}.get(kind, BOTH_WAYS)
    backbone = Backbone(config, bidirectional=kind != "causal", seed=3)
    random = np.random.default_rng(5)
    pieces = random.integers(9, 50, (2, LENGTH)).astype("int32")
    segments = np.sort(random.integers(0, 2, (2, LENGTH))).astype("int32")
    memories = [random.standard_normal((2, MEMORY, 16)).astype("float32") for _ in range(2)]
    hidden = np.arange(LENGTH) < np.array([[0], [5]])
    given: dict[str, Any] = {
        "padded": {"padding": hidden},
        "causal": {"memories": memories},
        "same length": {"memories": memories, "padding": hidden},
        "segments only": {},
    }.get(kind, {})

    def run() -> Any:
        if kind == "permutation":
            return _two_streams(backbone, pieces, segments, memories=memories, boundary=0 if is_whole else HALF)
        return backbone(pieces, segments, **given)[0]

    loss, grads = gradients(lambda: ops.mean(ops.square(run()[..., :7])), backbone.trainable_weights)
    return [ops.convert_to_numpy(compiled(run)), np.asarray(loss), *grads]


def _two_streams(backbone: Backbone, pieces: Any, segments: Any, *, memories: Any, boundary: int) -> Any:
    random = np.random.default_rng(7)
    order = np.stack([np.r_[random.permutation(HALF), random.permutation(LENGTH - HALF)] for _ in range(2)])
    is_target = random.random((2, LENGTH)) < 0.4
    positions, mask = target_positions(is_target, 5)
    about = (order.astype("int32"), is_target, np.zeros_like(is_target))
    return backbone.two_stream(
        pieces,
        segments,
        visible=visible(*about, reuse_length=HALF),
        query_visible=visible_from(positions, *about, reuse_length=HALF),
        target_positions=positions,
        target_mask=mask,
        memories=memories,
        boundary=boundary,
    )[0]
