"""A batch in parts, lower precision, steps that are not finite; on TensorFlow here, on JAX in a process of its own."""

import dataclasses
import functools
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from xlnet.corpus.settings import CorpusSettings
from xlnet.model.backbone import Backbone
from xlnet.model.config import ModelConfig
from xlnet.model.heads import LanguageModelHead
from xlnet.special_pieces import CLS
from xlnet.training import optimizer
from xlnet.training.guard import FIRST_SCALE
from xlnet.training.objectives import OBJECTIVES, fit
from xlnet.training.pretrainer import Pretrainer
from xlnet.training.settings import OptimizerSettings

CORPUS = CorpusSettings(sequence_length=32, reuse_length=16, permutation_size=16, predictions=6)
CONFIG = ModelConfig(
    vocab_size=60,
    layers=2,
    model_dim=16,
    heads=2,
    head_dim=8,
    feedforward_dim=32,
    initializer_stddev=0.3,
    dropout=0.0,
    attention_dropout=0.0,
)
SETTINGS = OptimizerSettings(learning_rate=1e-2, warmup_steps=0, epsilon=1e-3)  # Adam's first steps hang on rounding
ROWS = 8


def batch_of(seed: int, *, reset: bool = False) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    is_target = np.zeros((ROWS, 32), bool)
    for row in is_target:  # rows of unlike numbers of targets
        row[random.choice(32, size=random.integers(1, 7), replace=False)] = True
    pieces = random.integers(10, 60, (ROWS, 32)).astype(np.int32)
    pieces[:, -1] = CLS
    return {
        "pieces": pieces,
        "segments": np.repeat(np.arange(2, dtype=np.int32), 16)[None].repeat(ROWS, 0),
        "order": np.stack([random.permutation(32) for _ in range(ROWS)]).astype(np.int32),
        "is_target": is_target,
        "reset": np.full(ROWS, reset),
    }


def trainer(
    *,
    parts: int = 1,
    dtype: str = "float32",
    most_skipped: int | None = 3,
    jit: bool = False,
    rate: float = 0.0,
    remat: bool = False,
    objective: str = "permutation",
) -> Pretrainer:
    config = dataclasses.replace(CONFIG, dropout=rate, attention_dropout=rate)
    config = fit(config, objective=objective, memory_length=12)
    backbone = Backbone(config, bidirectional=True, seed=1, dtype=dtype, remat=remat)
    head = LanguageModelHead(backbone)
    about = {"corpus": CORPUS, "objective": objective, "rows": ROWS, "memory_length": 12}
    model = Pretrainer(backbone, head, **about, parts=parts)
    updates = optimizer.build(
        SETTINGS,
        steps=50,
        variables=model.trainable_variables,
        most_skipped=most_skipped,
        scales_loss=dtype == "mixed_float16",
    )
    model.compile(optimizer=updates, jit_compile=jit or keras.backend.backend() == "jax")
    return model


def train(model: Pretrainer, seeds, *, reset: bool = False) -> list[float]:
    """Losses, step by step."""
    found = []
    for seed in seeds:
        batch = batch_of(seed, reset=reset)
        history = model.fit(batch, batch_size=ROWS, verbose=0, shuffle=False)
        found.append(history.history["target_loss"][0])
    return found


def state(model: Pretrainer) -> list[np.ndarray]:
    every = [*model.variables, *model.optimizer.variables]
    kept = [v for v in every if "random" not in v.path]  # parts draw more often
    return [np.asarray(ops.convert_to_numpy(variable), np.float64) for variable in kept]


def poison(model: Pretrainer) -> None:
    model.backbone.content_bias.assign(ops.full(model.backbone.content_bias.shape, np.nan))


@functools.cache
def at_once(objective: str) -> tuple[list[float], list[np.ndarray]]:
    """Losses and state after four plain steps."""
    model = trainer(objective=objective)
    return train(model, range(4)), state(model)


def check_parts(objective: str) -> None:
    in_parts = trainer(parts=4, objective=objective)
    (one, wanted), other = at_once(objective), train(in_parts, range(4))
    np.testing.assert_allclose(one, other, rtol=1e-4)
    for expected, found in zip(wanted, state(in_parts), strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-4)
    assert len({*np.round(one, 3)}) == 4


def check_remat() -> None:
    """With dropout: what is computed again must draw the same again."""
    kept, again = (trainer(rate=0.2, remat=remat) for remat in (False, True))
    for seed in range(2):
        for model in (kept, again):
            train(model, [seed])
        one, other = (float(ops.convert_to_numpy(model.optimizer.gradient_norm)) for model in (kept, again))
        np.testing.assert_allclose(one, other, rtol=1e-5)
        for expected, found in zip(state(kept), state(again), strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-5)


def check_precision(dtype: str, objective: str) -> None:
    exact, low = at_once(objective)[0], train(trainer(dtype=dtype, objective=objective), range(4))
    np.testing.assert_allclose(exact, low, rtol=0.05)
    assert exact != low


def check_skipping(*, parts: int) -> None:
    """A step that is not finite leaves everything but the counts as it was."""
    model = trainer(parts=parts)
    train(model, [0])
    every = [*model.variables, *model.optimizer.variables]
    sound = [np.copy(ops.convert_to_numpy(variable)) for variable in every]
    wanted = train(model, [3])
    for variable, value in zip(every, sound, strict=True):
        variable.assign(value)
    healthy = ops.convert_to_numpy(model.backbone.content_bias)
    before = [ops.convert_to_numpy(memory) for memory in model.memories]
    rest = ops.convert_to_numpy(model.backbone.word_embedding), ops.convert_to_numpy(model.optimizer.variables[-3])
    poison(model)
    train(model, [1, 2])
    for memory, kept in zip(model.memories, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(memory), kept)
    np.testing.assert_array_equal(ops.convert_to_numpy(model.backbone.word_embedding), rest[0])
    counts = [int(ops.convert_to_numpy(count)) for count in (model.optimizer.skipped, model.optimizer.skipped_in_row)]
    assert (counts, model.optimizer.position, int(model.optimizer.iterations)) == ([2, 2], 3, 1)
    assert ops.convert_to_numpy(model.optimizer.skipped_steps)[:3].tolist() == [1, 2, 0]
    model.backbone.content_bias.assign(healthy)
    assert train(model, [3]) == wanted, "it goes on as if the steps had not been"
    assert int(ops.convert_to_numpy(model.optimizer.skipped_in_row)) == 0
    assert model.optimizer.position == 4


def check_all() -> None:
    for objective in OBJECTIVES:
        check_parts(objective)
    check_remat()
    for dtype in ("mixed_bfloat16", "mixed_float16"):
        check_precision(dtype, "permutation")
    check_skipping(parts=1)
    check_skipping(parts=2)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_batch_in_parts_is_the_batch_at_once_within_rounding(objective):
    check_parts(objective)


def test_layers_that_are_computed_again_give_equal_gradients():
    check_remat()


@pytest.mark.slow
def test_a_batch_in_parts_is_one_compiled_program():
    model = trainer(parts=2, jit=True)
    np.testing.assert_allclose(train(model, range(2)), train(trainer(), range(2)), rtol=1e-4)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_lower_precision_follows_float32(dtype):
    check_precision(dtype, "permutation")


@pytest.mark.parametrize("parts", [1, 2])
def test_a_step_that_is_not_finite_changes_nothing_but_the_counts(parts):
    check_skipping(parts=parts)


def test_a_row_that_resets_in_a_skipped_step_has_an_empty_memory():
    model = trainer()
    train(model, [0])
    poison(model)
    train(model, [1], reset=True)
    assert all(float(ops.max(ops.abs(memory))) == 0.0 for memory in model.memories)


def test_after_too_many_in_a_row_nothing_changes_any_more():
    model = trainer(most_skipped=2)
    healthy = ops.convert_to_numpy(model.backbone.content_bias)
    poison(model)
    train(model, range(4))
    model.backbone.content_bias.assign(healthy)
    weights = state(model)
    train(model, [5])
    for before, after in zip(weights, state(model), strict=True):
        if before.shape != ():  # but for scalars, the counts
            np.testing.assert_array_equal(before, after)
    assert int(ops.convert_to_numpy(model.optimizer.skipped)) == 2


def test_an_overflow_of_float16_halves_the_scale_and_does_not_count_as_skipped():
    model = trainer(dtype="mixed_float16")
    model.optimizer.scale.assign(2.0**24 * 2.0**100)
    train(model, [0, 1])
    assert int(ops.convert_to_numpy(model.optimizer.overflows)) == 2
    assert int(ops.convert_to_numpy(model.optimizer.skipped)) == 0
    assert float(ops.convert_to_numpy(model.optimizer.scale)) == 2.0**122
    assert model.optimizer.position == 2
    assert float(trainer(dtype="mixed_float16").optimizer.scale) == FIRST_SCALE


@pytest.mark.slow
def test_the_same_on_jax():
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, __file__], env=environment, capture_output=True, text=True, timeout=900)
    assert run.returncode == 0, run.stderr[-2000:]


if __name__ == "__main__":
    check_all()
