"""Precision, accumulation, frozen layers, LoRA, weights of classes, lengths: what each does to the weights of a run."""

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from keras import ops

from xlnet.errors import UserError
from xlnet.model.config import ModelConfig
from xlnet.tasks.classification import Classification, class_weights
from xlnet.tasks.predictor import Predictor
from xlnet.tasks.task import Features
from xlnet.training.finetuner_building import build_finetuner, choose_trained
from xlnet.training.finetuning_data import TrainingRows
from xlnet.training.finetuning_settings import FinetuningSettings
from xlnet.training.length_buckets import BatchPlan, bucket_lengths

pytestmark = pytest.mark.usefixtures("at_once")
TINY = ModelConfig(
    vocab_size=40,
    layers=2,
    model_dim=16,
    heads=2,
    head_dim=8,
    feedforward_dim=32,
    dropout=0.0,
    attention_dropout=0.0,
    initializer_stddev=0.2,
)
HEAD: dict[str, Any] = {
    "task": "classification",
    "classes": ["a", "b"],
    "summary": "last",
    "projection": True,
    "sequence_length": 32,
    "columns": {"text": "text", "pair": None, "label": "label", "header": None},
}
SETTINGS = FinetuningSettings(sequence_length=32, batch_size=8, learning_rate=1e-2, epochs=1, jit_compile=False)


def made(count: int = 16, seed: int = 0) -> Features:
    """Rows of 3 to 31 pieces."""
    draw = np.random.default_rng(seed)
    padding = np.int32(np.arange(32) < 32 - draw.integers(3, 32, size=(count, 1)))
    pieces = np.int32(draw.integers(9, 40, size=(count, 32)) * (1 - padding))
    inputs = {"pieces": pieces, "segments": np.zeros_like(pieces), "padding": padding}
    return Features(inputs, example=np.arange(count), targets={"label": np.int32(np.arange(count) % 2)})


def trained(steps: int = 2, **changed: Any) -> tuple[Any, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """A model after some steps, with its weights before and after by the reference's names."""
    settings = dataclasses.replace(SETTINGS, **changed)
    task = Classification(HEAD)
    policy = settings.precision if settings.precision == "float32" else f"mixed_{settings.precision}"
    model = task.model(TINY, seed=1, dtype=policy)
    model.backbone.remat = settings.remat
    choose_trained(model.backbone, settings)
    before = weights(model)
    rows = TrainingRows(task, made(), settings=settings)
    trainer = build_finetuner(Predictor(model, None, task), settings=settings, steps=4)
    trainer.fit(rows.batches(0, steps), steps_per_epoch=steps, verbose=0, shuffle=False)
    for block in model.backbone.blocks:
        block.merge_lora()
    return model, before, weights(model)


def weights(model: Any) -> dict[str, np.ndarray]:
    from xlnet.model.checkpoints import reference_variables

    return {name: ops.convert_to_numpy(variable) for name, variable in reference_variables(model).items()}


@pytest.fixture(scope="module")
def plain():
    return trained()[2]


@pytest.mark.parametrize("changed", [{"accumulation_steps": 4}, {"remat": True}, {"length_buckets": 1}])
def test_what_saves_memory_or_time_changes_rounding_alone(plain, changed):
    found = trained(**changed)[2]
    if changed == {"length_buckets": 1}:  # other batches, unless a pass is one
        plain, found = (trained(steps=1, batch_size=16, **extra)[2] for extra in ({}, changed))
    for name, expected in plain.items():
        np.testing.assert_allclose(found[name], expected, atol=2e-4, err_msg=name)  # Adam's first steps are signs


@pytest.mark.parametrize("changed", [{"frozen_layers": 1}, {"lora_rank": 2}])
def test_layers_may_learn_different_weights_where_they_are_computed_again(changed):
    kept, again = (trained(remat=remat, **changed)[2] for remat in (False, True))
    for name, expected in kept.items():
        np.testing.assert_allclose(again[name], expected, atol=2e-4, err_msg=name)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precision_keeps_float32_weights_near_the_plain_ones(plain, precision):
    _, before, found = trained(precision=precision)
    moved = [np.abs(found[name] - before[name]).max() for name in found if "word_embedding" not in name]
    assert {array.dtype for array in found.values()} == {np.dtype("float32")}
    assert sum(move > 0 for move in moved) > len(moved) // 2
    far = [np.mean(np.abs(found[name] - plain[name])) for name in found]
    assert np.mean(far) < 0.2 * np.mean([np.mean(np.abs(plain[name] - before[name])) for name in found])


def changed_names(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> set[str]:
    return {name for name in before if not np.array_equal(before[name], after[name])}


def test_frozen_layers_and_what_all_layers_share_stay():
    _, before, after = trained(frozen_layers=1)
    moved = changed_names(before, after)
    assert all("/layer_1/" in name or "transformer" not in name for name in moved)
    assert {"model/classification/logit/kernel", "model/transformer/layer_1/rel_attn/q/kernel"} <= moved
    with pytest.raises(UserError, match="frozen_layers is 3, wanted is at most the 2 layers of the model"):
        trained(frozen_layers=3)


def test_lora_moves_its_kernels_by_a_product_of_its_rank_and_merges_into_the_same_answers():
    model, before, after = trained(lora_rank=2, lora_alpha=8.0)
    moved = {name for name in changed_names(before, after) if "transformer" in name}
    assert moved == {f"model/transformer/layer_{i}/rel_attn/{role}/kernel" for i in (0, 1) for role in "qv"}
    for name in moved:
        values = np.linalg.svd((after[name] - before[name]).reshape(16, 16), compute_uv=False)
        assert values[1] > 1e-5 > values[2], name
    inputs = made().inputs
    merged = ops.convert_to_numpy(model(inputs))
    loaded = Classification(HEAD).model(TINY, seed=2)
    from xlnet.model.checkpoints import reference_variables

    for name, variable in reference_variables(loaded).items():
        variable.assign(after[name])
    np.testing.assert_allclose(ops.convert_to_numpy(loaded(inputs)), merged, atol=1e-5)


def test_the_product_is_scaled_by_alpha_over_rank():
    model = Classification(HEAD).model(TINY, seed=1)
    block = model.backbone.blocks[0]
    block.enable_lora(2, alpha=8.0, kernels=["o", "ff"])
    first, second = block.lora_weights["ff/layer_1/kernel"]
    kernel = ops.convert_to_numpy(block.reference_weights["ff/layer_1/kernel"])
    second.assign(np.ones(second.shape, np.float32))
    block.merge_lora()
    found = ops.convert_to_numpy(block.reference_weights["ff/layer_1/kernel"])
    expected = kernel + 4.0 * ops.convert_to_numpy(first) @ np.ones(second.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert sorted(block.lora_weights) == ["ff/layer_1/kernel", "ff/layer_2/kernel", "rel_attn/o/kernel"]


def test_each_layer_learns_at_its_share_of_the_rate():
    _, before, after = trained(steps=1, layer_decay=0.1, warmup_fraction=0.0)
    name = "model/transformer/layer_{}/ff/layer_1/kernel"
    low, high = (np.abs(after[name.format(i)] - before[name.format(i)]).max() for i in (0, 1))
    assert low == pytest.approx(high / 10, rel=0.05)  # Adam's first step is the rate, whatever the gradient


def test_weights_of_classes_have_a_mean_of_one():
    labels = np.array([0, 0, 0, 1])
    np.testing.assert_allclose(class_weights("balanced", labels, classes=["x", "y"]), [2 / 3, 2])
    np.testing.assert_allclose(class_weights("y=3", labels, classes=["x", "y"]), [2 / 3, 2])
    for wrong in ("z=1", "y", "y=0", "y=often"):
        with pytest.raises(UserError, match=f"class_weights is {wrong!r}, wanted is 'balanced' or"):
            class_weights(wrong, labels, classes=["x", "y"])


def test_a_row_that_counts_twice_is_as_two_rows():
    features = made(4)
    task = Classification(HEAD)
    model = task.model(TINY, seed=1)
    from xlnet.training.finetuner import Finetuner

    finetuner = Finetuner(task, model)
    batch = features.inputs | features.targets

    def loss(batch):
        losses, counts, _ = finetuner.row_losses(batch, None, training=False)
        return float(ops.sum(losses * counts) / finetuner.target_count(batch))

    twice = {name: np.concatenate([values, values[:1]]) for name, values in batch.items()}
    weighted = batch | {"weight": np.float32([2, 1, 1, 1])}
    assert loss(weighted) == pytest.approx(loss(twice), rel=1e-5)
    assert loss(weighted) != pytest.approx(loss(batch), rel=1e-3)


def test_the_buckets_are_the_cheapest_of_all():
    draw = np.random.default_rng(3)
    lengths = draw.integers(1, 65, size=50)
    sizes = sorted({-(-int(length) // 8) * 8 for length in lengths})

    def cost(buckets):
        return sum(min(size for size in buckets if size >= length) for length in lengths)

    for most in (2, 3, 4):
        found = bucket_lengths(lengths, most=most, longest=64)
        every = itertools.combinations(sizes, min(most, len(sizes)))
        assert cost(found) == min(cost(buckets) for buckets in every if buckets[-1] == sizes[-1])
        assert len(found) <= most
    assert bucket_lengths(lengths, most=1, longest=64) == [64]
    assert bucket_lengths(np.array([3, 20]), most=4, longest=21) == [8, 21]


def test_every_row_comes_once_a_pass_in_a_batch_that_holds_it():
    lengths = np.random.default_rng(5).integers(3, 33, size=101)
    plan = BatchPlan(lengths, size=8, seed=4, buckets=[8, 16, 32])
    batches = [plan[step] for step in range(101 // 8 * 3)]
    rows = np.concatenate([batch.rows for batch in batches])
    assert np.bincount(rows[:96]).max() == 1
    assert {2, 3} == set(np.bincount(rows, minlength=101).tolist())
    assert all(lengths[batch.rows].max() <= batch.length for batch in batches)
    padded = sum(batch.length * 8 for batch in batches) / (32 * 8 * len(batches))
    assert padded < 0.75
    again = BatchPlan(lengths, size=8, seed=4, buckets=[8, 16, 32])
    assert (again[20].rows == batches[20].rows).all()
    assert (BatchPlan(lengths, size=8, seed=5, buckets=[8, 16, 32])[0].rows != batches[0].rows).any()


def test_what_does_not_fit_is_refused():
    with pytest.raises(UserError, match="accumulation_steps is 3, wanted is a number that divides the 8 rows"):
        trained(accumulation_steps=3)
    mean = Classification(HEAD | {"summary": "mean"})
    with pytest.raises(UserError, match="length_buckets is 2, wanted is 1: here answers depend on the padding"):
        TrainingRows(mean, made(), settings=dataclasses.replace(SETTINGS, length_buckets=2))
    assert TrainingRows(mean, made(), settings=SETTINGS).plan.buckets == [32]
    with pytest.raises(UserError, match="lora_kernels is 'q,w', wanted is some of q,k,v,o,r,ff"):
        dataclasses.replace(SETTINGS, lora_kernels="q,w")
    with pytest.raises(UserError, match="frozen_layers is 1, wanted is 0 with lora_rank"):
        dataclasses.replace(SETTINGS, lora_rank=1, frozen_layers=1)


def test_batches_are_as_long_as_their_bucket_says():
    features = made()
    for most, shortened in ((None, 31), (None, 8), (1, 31)):
        inputs = {name: values.copy() for name, values in features.inputs.items()}
        inputs["padding"][:, : 32 - shortened] = 1
        rows = TrainingRows(
            Classification(HEAD),
            dataclasses.replace(features, inputs=inputs),
            settings=dataclasses.replace(SETTINGS, length_buckets=most),
        )
        found = list(rows.batches(0, 4))
        assert [batch["pieces"].shape[1] for batch in found] == [rows.plan[step].length for step in range(4)]
        for step, batch in enumerate(found):
            own, length = rows.plan[step]
            np.testing.assert_array_equal(batch["pieces"], inputs["pieces"][own][:, 32 - length :])
            assert inputs["padding"][own][:, : 32 - length].all()
            np.testing.assert_array_equal(batch["label"], features.targets["label"][own])
    assert rows.plan.buckets == [32]
