"""The transformer against every recorded run of the reference: outputs, memories, losses, gradients."""

import dataclasses
from functools import partial
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from xlnet.model.backbone import Backbone
from xlnet.model.block import Block
from xlnet.model.config import ModelConfig
from xlnet.model.heads import LanguageModelHead
from xlnet.model.visibility import empty

MODELS = ("tiny_a", "tiny_b")
PRETRAINING = ("mapping", "nomapping", "bsz1_odd", "memgrow_clamp", "noseg")
OUTPUT, GRADIENT = 2e-5, 1e-4
TINY = ModelConfig(
    vocab_size=50, layers=2, model_dim=16, heads=2, head_dim=8, feedforward_dim=32, dropout=0, attention_dropout=0
)


def assert_close(found: Any, recorded: np.ndarray, *, within: float = OUTPUT) -> None:
    np.testing.assert_allclose(ops.convert_to_numpy(found), recorded, rtol=0, atol=within)


def assert_memories(found: list[Any], recorded: list[np.ndarray] | None) -> None:
    assert len(found) == len(recorded or [])
    for memory, wanted in zip(found, recorded or [], strict=True):
        assert_close(memory, wanted)


def predict(case: Any, backbone: Backbone) -> tuple[Any, list[Any]]:
    visible = case.batch_major("in/perm_mask") == 0
    mapping = case.batch_major("in/target_mapping")
    if mapping is None:
        positions, mask, query_visible = None, case.batch_major("in/input_q"), visible
    else:
        positions, mask = mapping.argmax(-1).astype("int32"), mapping.sum(-1)
        query_visible = np.take_along_axis(visible, positions[:, :, None], axis=1)
    return backbone.two_stream(
        case.batch_major("in/input_k"),
        case.batch_major("in/seg_id"),
        visible=visible,
        query_visible=query_visible,
        target_positions=positions,
        target_mask=mask,
        memories=case.memories("in/mems"),
        memory_length=case.settings["mem_len"],
        reuse_length=case.settings["reuse_len"],
    )


def continue_text(
    case: Any, backbone: Backbone, head: LanguageModelHead, *, segment: int, memories: Any
) -> tuple[Any, Any, Any]:
    output, memories = backbone(
        case.time_major(f"seg{segment}/in/input_k"),
        memories=memories,
        memory_length=case.settings["mem_len"],
    )
    return output, memories, head.loss(output, case.time_major(f"seg{segment}/in/target"))


def language_model(case: Any) -> tuple[Backbone, LanguageModelHead]:
    from xlnet.model.checkpoints import load_weights

    backbone = case.backbone()
    head = LanguageModelHead(backbone)
    load_weights(head, case.folder)
    return backbone, head


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", PRETRAINING)
def test_two_streams_predict_as_recorded(case: Any, compiled: Any, model: str, kind: str) -> None:
    recorded = case(f"model_{model}_pretrain_{kind}.npz")
    backbone, head = language_model(recorded)

    def run() -> Any:
        output, memories = predict(recorded, backbone)
        losses = head.loss(output, recorded.batch_major("in/target"))
        return output, memories, losses, head.logits(output)

    output, memories, losses, logits = compiled(run)
    assert_close(output, recorded.time_major("out/output"))
    assert_memories(memories, recorded.memories("out/new_mems"))
    assert_close(losses, recorded.time_major("out/lm_loss"))
    total = np.average(ops.convert_to_numpy(losses), weights=recorded.batch_major("in/target_mask"))
    assert total == pytest.approx(float(recorded.arrays["out/total_loss"]), rel=GRADIENT)
    logits = ops.convert_to_numpy(logits)
    first, wanted = logits, recorded.time_major("out/logits")
    if wanted is None:
        first, wanted = logits[:, :2], recorded.time_major("out/logits_first2")
    assert_close(first, wanted)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", ["mapping", "nomapping", "bsz1_odd"])
def test_gradients_are_as_recorded(case: Any, gradients: Any, model: str, kind: str) -> None:
    recorded = case(f"model_{model}_pretrain_{kind}.npz")
    backbone, head = language_model(recorded)
    variables = backbone.reference_variables() | head.reference_variables()

    def loss() -> Any:
        mask = recorded.batch_major("in/target_mask")
        losses = head.loss(predict(recorded, backbone)[0], recorded.batch_major("in/target"))
        return ops.sum(losses * mask) / ops.sum(mask)

    total, found = gradients(loss, list(variables.values()))
    assert total == pytest.approx(float(recorded.arrays["out/total_loss"]), rel=GRADIENT)
    norm = np.sqrt(sum(float(np.sum(np.square(gradient, dtype="float64"))) for gradient in found))
    for kind in ("dense", "use_tpu_true", "use_tpu_false"):
        assert norm == pytest.approx(float(recorded.arrays[f"out/global_norm_{kind}"]), rel=GRADIENT)
    compared = 0
    for name, gradient in zip(variables, found, strict=True):
        if f"grad/{name}" in recorded.arrays:
            wanted = recorded.arrays[f"grad/{name}"]
            assert np.linalg.norm(gradient - wanted) <= GRADIENT * np.linalg.norm(wanted) + 1e-7, name
            compared += 1
    assert compared == sum(name.startswith("grad/") for name in recorded.arrays.files)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", ["left", "right", "bsz1"])
def test_padding_is_hidden_as_recorded(case: Any, compiled: Any, model: str, kind: str) -> None:
    recorded = case(f"model_{model}_finetune_{kind}.npz")
    padding = recorded.batch_major("in/input_mask")
    backbone = recorded.backbone()
    pieces, segments = recorded.batch_major("in/input_ids"), recorded.batch_major("in/seg_id")
    output, memories = compiled(lambda: backbone(pieces, segments, padding=padding))
    assert_close(output, recorded.time_major("out/output"))
    assert memories == []


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", ["mem", "plain"])
def test_a_causal_model_carries_its_memory_as_recorded(case: Any, compiled: Any, model: str, kind: str) -> None:
    recorded = case(f"model_{model}_uni_{kind}.npz")
    backbone, head = language_model(recorded)
    memories = None
    for segment in range(3):
        run = partial(continue_text, recorded, backbone, head, segment=segment, memories=memories)
        output, memories, losses = compiled(run)
        assert_close(output, recorded.time_major(f"seg{segment}/out/output"))
        assert_memories(memories, recorded.memories(f"seg{segment}/out/new_mems"))
        assert_close(losses, recorded.time_major(f"seg{segment}/out/lm_loss"))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", ["maskboth", "permonly", "bare"])
def test_the_content_stream_alone_is_as_recorded(case: Any, compiled: Any, model: str, kind: str) -> None:
    recorded = case(f"model_{model}_single_{kind}.npz")
    hidden = recorded.arrays.get("in/perm_mask")
    run = partial(
        recorded.backbone(),
        recorded.time_major("in/input_k"),
        recorded.time_major("in/seg_id"),
        padding=recorded.time_major("in/input_mask"),
        visible=None if hidden is None else np.moveaxis(hidden, -1, 0)[recorded.rows] == 0,
        memories=recorded.memories("in/mems"),
        memory_length=recorded.settings["mem_len"],
    )
    output, memories = compiled(run)
    assert_close(output, recorded.time_major("out/output"))
    assert_memories(memories, recorded.memories("out/new_mems"))


def test_the_query_stream_at_a_target_is_that_of_all_positions_there() -> None:
    """Two paths, the gather of position scores and the shift, must agree."""
    random = np.random.default_rng(5)
    backbone = Backbone(TINY, bidirectional=True, seed=1)
    pieces = random.integers(0, 50, (4, 10)).astype("int32")
    segments = random.integers(0, 3, (4, 10)).astype("int32")
    visible = random.random((4, 10, 10)) < 0.6
    positions = np.sort(random.permuted(np.tile(np.arange(10), (4, 1)), axis=1)[:, :4], axis=1).astype("int32")
    everywhere = {"visible": visible, "memories": [random.standard_normal((4, 6, 16)).astype("float32")] * 2}
    rows = np.take_along_axis(visible, positions[:, :, None], axis=1)
    at_targets, _ = backbone.two_stream(
        pieces,
        segments,
        query_visible=rows,
        target_positions=positions,
        target_mask=np.ones((4, 4)),
        **everywhere,
    )
    at_all, _ = backbone.two_stream(
        pieces,
        segments,
        query_visible=visible,
        target_positions=None,
        target_mask=np.ones((4, 10)),
        **everywhere,
    )
    wanted = np.take_along_axis(ops.convert_to_numpy(at_all), positions[:, :, None], axis=1)
    assert_close(at_targets, wanted, within=1e-5)


def test_a_target_never_sees_its_own_piece() -> None:
    backbone = Backbone(TINY, seed=1)
    visible = ~np.eye(6, dtype=bool)[None]
    output = [
        ops.convert_to_numpy(
            backbone.two_stream(
                np.array([[9, 8, piece, 6, 5, 4]], "int32"),
                visible=visible & (np.arange(6) != 2)[None, None],
                query_visible=visible[:, 2:3],
                target_positions=np.array([[2]], "int32"),
                target_mask=np.ones((1, 1)),
            )[0]
        )
        for piece in (7, 30)
    ]
    np.testing.assert_array_equal(*output)


def test_dropout_acts_in_training_only_and_follows_the_seed() -> None:
    config = ModelConfig(**{**TINY.to_dict(), "dropout": 0.3, "attention_dropout": 0.3})
    pieces = np.arange(8, dtype="int32")[None]

    def run(training: bool) -> np.ndarray:
        return ops.convert_to_numpy(Backbone(config, seed=3)(pieces, training=training)[0])

    np.testing.assert_array_equal(run(True), run(True))
    np.testing.assert_array_equal(run(False), run(False))
    assert np.abs(run(True) - run(False)).max() > 0.1


def test_layers_computed_twice_give_the_same_gradients_with_the_same_dropout_as_recorded(gradients: Any) -> None:
    config = ModelConfig(**{**TINY.to_dict(), "dropout": 0.2, "attention_dropout": 0.2})
    pieces = np.arange(16, dtype="int32").reshape(2, 8)

    def run(remat: bool) -> tuple[float, list[np.ndarray]]:
        backbone = Backbone(config, bidirectional=True, remat=remat, seed=4)
        about = {"visible": np.ones((2, 8, 8), bool), "query_visible": ~np.eye(8, dtype=bool)[None, 2:5].repeat(2, 0)}
        places = {"target_positions": np.array([[2, 3, 4]] * 2, "int32"), "target_mask": np.ones((2, 3), "float32")}

        def loss() -> Any:
            return ops.sum(
                ops.square(backbone.two_stream(pieces, pieces % 3, training=True, **about, **places)[0][..., :5])
            )

        return gradients(loss, backbone.trainable_weights)

    (loss, kept), (again, computed) = run(False), run(True)
    assert again == pytest.approx(loss, rel=1e-6)
    for one, other in zip(kept, computed, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-5)
    assert sum(np.abs(gradient).max() > 0 for gradient in kept) > 20


@pytest.mark.parametrize("is_short", [False, True])
def test_equal_layers_are_traced_once_and_learn_as_each_by_itself(
    gradients: Any, monkeypatch: pytest.MonkeyPatch, is_short: bool
) -> None:
    config = dataclasses.replace(TINY, layers=4, dropout=0.2, attention_dropout=0.2)
    pieces = np.random.default_rng(5).integers(0, 50, (4, 8)).astype("int32")
    memories = [np.random.default_rng(layer).standard_normal((4, 3, 16)).astype("float32") for layer in range(6)]
    plain, calls = Block.attend, []
    monkeypatch.setattr(Block, "attend", lambda self, *given, **about: calls.append(1) or plain(self, *given, **about))

    def run(config: ModelConfig) -> tuple[float, list[np.ndarray], int]:
        backbone = Backbone(config, bidirectional=True, seed=4)
        about = {"memories": memories[: config.layers], "memory_length": 5, "last_only": is_short}

        def loss() -> Any:
            output, remembered = backbone(pieces, pieces % 3, training=True, **about)
            return ops.sum(ops.square(output[:, -1, :5])) + sum(ops.sum(kept[:, -1, :2]) for kept in remembered)

        calls.clear()
        return *gradients(loss, backbone.trainable_weights), len(calls)

    (value, found, traced), (_, _, of_deeper) = run(config), run(dataclasses.replace(config, layers=6))
    assert traced == of_deeper
    monkeypatch.setattr(Backbone, "_by_kinds", lambda self, *told: self._one_by_one(range(4), *told))
    wanted, same, each = run(config)
    assert each == 4
    assert value == pytest.approx(wanted, rel=1e-6)
    for gradient, same_gradient in zip(found, same, strict=True):
        np.testing.assert_allclose(gradient, same_gradient, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("attention", ["bi", "uni"])
@pytest.mark.parametrize("remat", [False, True])
def test_the_last_position_alone_is_as_among_all(gradients: Any, attention: str, remat: bool) -> None:
    config = dataclasses.replace(TINY, attention=attention)
    backbone = Backbone(config, bidirectional=True, remat=remat, seed=4)
    pieces = np.random.default_rng(5).integers(0, 50, (4, 8)).astype("int32")
    about = {"padding": np.arange(8) < np.array([[3], [0], [5], [7]])}
    memories = [np.random.default_rng(6).standard_normal((4, 3, 16)).astype("float32") for _ in range(2)]

    def output(**asked: Any) -> tuple[Any, list[Any]]:
        return backbone(pieces, pieces % 3, **about, memories=memories, memory_length=5, training=remat, **asked)

    def loss(last_only: bool) -> Any:
        return ops.sum(ops.square(output(last_only=last_only)[0][:, -1, :5]))

    (alone, memory), (whole, same) = output(last_only=True), output()
    assert alone.shape == (4, 1, 16)
    assert_close(alone, ops.convert_to_numpy(whole[:, -1:]), within=1e-5)
    assert_memories(memory, [ops.convert_to_numpy(kept) for kept in same])
    (of_alone, found), (of_whole, wanted) = (
        gradients(lambda last_only=last_only: loss(last_only), backbone.trainable_weights)
        for last_only in (True, False)
    )
    assert of_alone == pytest.approx(of_whole, rel=1e-5)
    for gradient, same_gradient in zip(found, wanted, strict=True):
        assert_close(gradient, same_gradient, within=1e-4)


def test_bfloat16_stays_near_float32() -> None:
    pieces = np.arange(20, dtype="int32")[None]
    padding = (np.arange(20) < 5)[None]
    wide = Backbone(TINY, seed=1)
    narrow = Backbone(TINY, seed=1, dtype=keras.DTypePolicy("mixed_bfloat16"))
    output = narrow(pieces, padding=padding)[0]
    assert keras.backend.standardize_dtype(output.dtype) == "bfloat16"
    assert_close(ops.cast(output, "float32"), ops.convert_to_numpy(wide(pieces, padding=padding)[0]), within=0.1)


def test_padding_in_the_memory_is_as_no_memory() -> None:
    random = np.random.default_rng(2)
    backbone = Backbone(dataclasses.replace(TINY, attention="uni"), seed=1)
    pieces = random.integers(0, 50, (2, 6)).astype("int32")
    held = [random.standard_normal((2, 3, 16)).astype("float32") for _ in range(2)]
    longer = [np.concatenate([np.zeros((2, 5, 16), np.float32), memory], axis=1) for memory in held]
    hidden = empty([ops.convert_to_tensor(memory) for memory in longer])
    assert ops.convert_to_numpy(hidden).tolist() == [[True] * 5 + [False] * 3] * 2
    found, _ = backbone(pieces, memories=longer, memory_padding=hidden)
    assert_close(found, ops.convert_to_numpy(backbone(pieces, memories=held)[0]), within=1e-5)
    seen, _ = backbone(pieces, memories=longer)
    assert np.abs(ops.convert_to_numpy(seen - found)).max() > 1e-3, "zeros draw attention where they are not hidden"


def test_a_causal_model_never_sees_the_future() -> None:
    backbone = Backbone(dataclasses.replace(TINY, attention="uni"), bidirectional=True, seed=1)
    pieces = np.random.default_rng(3).integers(0, 50, (2, 8)).astype("int32")
    memories = [np.ones((2, 4, 16), np.float32)] * 2
    whole = ops.convert_to_numpy(backbone(pieces, memories=memories)[0])
    for place in range(1, 8):
        other = pieces.copy()
        other[:, place:] = (other[:, place:] + 7) % 50
        changed = ops.convert_to_numpy(backbone(other, memories=memories)[0])
        np.testing.assert_array_equal(changed[:, :place], whole[:, :place])
        assert np.abs(changed[:, place] - whole[:, place]).max() > 1e-3
