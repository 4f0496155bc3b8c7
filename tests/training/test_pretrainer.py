"""The recorded training runs of the reference, followed step by step by `fit` itself."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from xlnet.corpus.settings import CorpusSettings
from xlnet.model.backbone import Backbone
from xlnet.model.checkpoints import load_config, load_weights, reference_variables
from xlnet.model.heads import LanguageModelHead
from xlnet.training import optimizer
from xlnet.training.objectives import Permutation
from xlnet.training.pretrainer import Pretrainer, unigram_losses
from xlnet.training.settings import OptimizerSettings

ALTERNATING = [0, 4, 1, 5, 2, 6, 3, 7]  # the reference has the forward rows first
CORPUS = CorpusSettings(sequence_length=64, reuse_length=32, permutation_size=32, predictions=10)


def recorded_batch(recorded, index: int, *, reset: bool) -> dict[str, np.ndarray]:
    batch = {name: recorded[f"cased/batch{index}/{name}"][ALTERNATING] for name in ("input_k", "seg_id", "input_q")}
    order = np.tile(recorded["cased/row_permutation"], 2)
    return {
        "pieces": batch["input_k"],
        "segments": batch["seg_id"],
        "order": np.tile(order.astype(np.int32), (8, 1)),
        "is_target": batch["input_q"].astype(bool),
        "reset": np.full(8, reset),
    }


def tiny_pretrainer(golden, *, memory_length: int = 24) -> Pretrainer:
    config = load_config(str(golden("tiny_a/xlnet_config.json")))
    config = type(config)(**{**config.to_dict(), "dropout": 0.0, "attention_dropout": 0.0})
    backbone = Backbone(config, bidirectional=True)
    model = Pretrainer(backbone, LanguageModelHead(backbone), corpus=CORPUS, rows=8, memory_length=memory_length)
    report = load_weights(model, str(golden("tiny_a/xlnet_model.ckpt.index")).removesuffix(".index"))
    assert report.missing == ()
    return model


@pytest.fixture
def optimized():
    """On JAX too the step is compiled as a user's is; other tests leave most optimizations out (conftest.py)."""
    if keras.backend.backend() != "jax":
        yield
        return
    import jax

    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.mark.parametrize("name", ["adam_poly", "adamwd_cos_layerdecay"])
def test_the_recorded_run_is_followed(golden, optimized, name):
    case = json.loads(golden("train_trajectory_cases.json").read_text())[name]
    recorded, batches = np.load(golden("train_trajectory.npz")), np.load(golden("input_batches.npz"))
    model = tiny_pretrainer(golden)
    settings = OptimizerSettings(
        learning_rate=case["learning_rate"],
        warmup_steps=case["warmup_steps"],
        decay={"poly": "polynomial", "cos": "cosine"}[case["decay_method"]],
        end_rate=case["min_lr_ratio"],
        weight_decay=case["weight_decay"],
        epsilon=case["adam_epsilon"],
        clip_norm=case["clip"],
        layer_decay=case["lr_layer_decay_rate"],
        optimizer="reference",
    )
    updates = optimizer.build(settings, steps=case["train_steps"], variables=model.trainable_variables)
    model.compile(optimizer=updates, jit_compile=True)
    run = [recorded_batch(batches, index % 3, reset=index == 0) for index in range(6)]
    for step, batch in enumerate(run):
        data = tf.data.Dataset.from_tensors(batch)
        # With weight decay the original warms up with the rate that it shows a step later: its weights move at step 0.
        shown = step + (case["weight_decay"] > 0 and step < case["warmup_steps"])
        np.testing.assert_allclose(updates.learning_rate, recorded[f"{name}/learning_rate"][shown], rtol=1e-5)
        history = model.fit(data, verbose=0, shuffle=False).history
        np.testing.assert_allclose(history["target_loss"][0], recorded[f"{name}/loss"][step], rtol=1e-4)
        norm = ops.convert_to_numpy(updates.gradient_norm)
        np.testing.assert_allclose(norm, recorded[f"{name}/global_norm"][step], rtol=1e-4)
        compare_weights(model, recorded, prefix=f"{name}/after_step_{step}/")
    for layer, memory in enumerate(model.memories):
        expected = recorded[f"{name}/mems_after_last_step_{layer}"].transpose(1, 0, 2)[ALTERNATING]
        np.testing.assert_allclose(ops.convert_to_numpy(memory), expected, atol=1e-4)


def compare_weights(model: Pretrainer, recorded, *, prefix: str) -> None:
    compared = 0
    for variable_name, variable in reference_variables(model).items():
        if prefix + variable_name in recorded.files:
            expected = recorded[prefix + variable_name]
            found = ops.convert_to_numpy(variable)[: len(expected)]
            np.testing.assert_allclose(found, expected, atol=1e-4, err_msg=variable_name)
            compared += 1
    stored = sum(1 for key in recorded.files if key.startswith(prefix))
    assert compared == stored


def test_a_row_that_resets_forgets_its_memory_and_no_other_does(golden):
    batches = np.load(golden("input_batches.npz"))
    model = tiny_pretrainer(golden)
    first, second = (recorded_batch(batches, index, reset=False) for index in (0, 1))
    model(first)
    fresh = [ops.convert_to_numpy(memory) for memory in model.memories]
    carried = model(second)["losses"]
    for memory, value in zip(model.memories, fresh, strict=True):
        memory.assign(value)
    second["reset"][3] = True
    reset = model(second)["losses"]
    changed = np.abs(ops.convert_to_numpy(carried - reset)).max(axis=1) > 1e-6
    assert changed.tolist() == [row == 3 for row in range(8)]


def test_two_that_share_weights_have_memories_of_their_own(golden):
    batches = np.load(golden("input_batches.npz"))
    trainer = tiny_pretrainer(golden)
    other = Pretrainer(trainer.backbone, trainer.head, corpus=CORPUS, rows=8, memory_length=24, name="other")
    other(recorded_batch(batches, 0, reset=False))
    assert float(ops.max(ops.abs(trainer.memories[0]))) == 0.0
    assert float(ops.max(ops.abs(other.memories[0]))) > 0.0
    assert other.backbone is trainer.backbone


def test_unigram_losses_are_the_entropies_of_the_counts():
    pieces = np.array([[10, 11, 10, 4]])
    batch = {"pieces": pieces, "is_target": np.array([[True, True, False, True]])}  # <sep> is never a target
    counts = np.zeros(12, np.int64)
    counts[10], counts[11] = 6, 2
    found = unigram_losses([batch], counts, objective=Permutation(CORPUS))
    assert found["unigram_loss"] == pytest.approx(-(np.log(7 / 20) + np.log(3 / 20)) / 2)
    assert found["unigram_loss_own"] == pytest.approx(np.log(2))


def test_the_step_is_one_compiled_program(golden):
    model = tiny_pretrainer(golden)
    batch = recorded_batch(np.load(golden("input_batches.npz")), 0, reset=True)
    compiled = tf.function(lambda data: model(data)["losses"], jit_compile=True)
    np.testing.assert_allclose(compiled(batch), model(batch)["losses"], atol=1e-4)
    assert keras.backend.backend() == "tensorflow"
