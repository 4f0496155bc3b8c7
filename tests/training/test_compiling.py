"""The whole step is one program of static shapes, for TensorFlow's XLA, for a TPU, and for many devices."""

import dataclasses
import math
import os
import re
import subprocess
import sys

import keras
import numpy as np
import pytest

from xlnet.corpus.settings import CorpusSettings
from xlnet.model.backbone import Backbone
from xlnet.model.config import ModelConfig
from xlnet.model.heads import LanguageModelHead
from xlnet.training import optimizer
from xlnet.training.pretrainer import Pretrainer
from xlnet.training.settings import OptimizerSettings

CORPUS = CorpusSettings(sequence_length=32, reuse_length=16, permutation_size=16, predictions=6)
CONFIG = ModelConfig(vocab_size=60, layers=2, model_dim=16, heads=2, head_dim=8, feedforward_dim=32)
ROWS = 16
MOVES = ("all-gather", "all-to-all", "collective-permute", "reduce-scatter")


def trainer(*, parts: int = 1, layers: int = 2, remat: bool = False, lora: bool = False) -> Pretrainer:
    backbone = Backbone(dataclasses.replace(CONFIG, layers=layers), bidirectional=True, remat=remat)
    for block in backbone.blocks if lora else []:
        block.enable_lora(1, kernels=["q"])
    model = Pretrainer(backbone, LanguageModelHead(backbone), corpus=CORPUS, rows=ROWS, memory_length=24, parts=parts)
    updates = optimizer.build(OptimizerSettings(), steps=50, variables=model.trainable_variables, most_skipped=3)
    model.compile(optimizer=updates, jit_compile=True)
    return model


def batch() -> dict[str, np.ndarray]:
    numbers = dict.fromkeys(("pieces", "segments", "order"), np.zeros((ROWS, 32), np.int32))
    return {**numbers, "is_target": np.ones((ROWS, 32), bool), "reset": np.zeros(ROWS, bool)}


def state(model: Pretrainer) -> tuple[list, ...]:
    kinds = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )
    return tuple([variable.value for variable in variables] for variables in kinds)


def check_tpu() -> None:
    import jax

    model = trainer(parts=2)
    lowered = jax.jit(model.train_step).trace(state(model), batch()).lower(lowering_platforms=("tpu",))
    text = lowered.as_text()
    assert "stablehlo.while" in text
    assert "tensor<?" not in text, "every shape is static"
    assert not re.search(r"custom_call @(?!Sharding)", text), "nothing but operations that every device has"


def check_mesh() -> None:
    """On eight devices nothing is sent but sums: rows and memories stay where they are, weights are on all."""
    import jax

    from xlnet.training import devices

    many = devices.take("cpu:8")
    with many.scope():
        model = trainer(parts=1)
        layout = many.distribution.get_data_layout((ROWS,)).backend_layout
        placed = {name: jax.device_put(values, layout) for name, values in batch().items()}
        sharding = jax.tree.map(lambda value: value.sharding, state(model))
        step = jax.jit(model.train_step, donate_argnums=0, out_shardings=(None, sharding))
        compiled = step.lower(state(model), placed).compile().as_text()
    assert {len(memory.value.sharding.device_set) for memory in model.memories} == {8}
    assert {memory.value.addressable_shards[0].data.shape[0] for memory in model.memories} == {ROWS // 8}
    assert all(weight.value.sharding.is_fully_replicated for weight in model.trainable_variables)
    assert "all-reduce" in compiled
    for move in MOVES:
        assert f" {move}" not in compiled


def tensorflow_program(model: Pretrainer, *, stage: str = "hlo") -> str:
    import tensorflow as tf

    step = tf.function(lambda given: model.train_step((given,)), jit_compile=True, autograph=False)
    given = {name: tf.constant(values) for name, values in batch().items()}
    return step.experimental_get_compiler_ir(given)(stage=stage)


@pytest.fixture(scope="module")
def program() -> str:
    return tensorflow_program(trainer())


def test_the_step_of_tensorflow_is_one_program_of_static_shapes(program):
    assert "ENTRY" in program
    assert "<=" not in program, "every shape is static"
    for word in ("outfeed", "infeed", "send(", "recv(", "xla_python"):
        assert word not in program, "it talks to no host"


def test_what_follows_from_sizes_is_handed_to_the_program_and_not_written_into_it(program):
    distances = 24 + 2 * 32
    found = re.finditer(r"(\w+)\[([\d,]+)\]\S* constant\(", program)
    lengths = [math.prod(map(int, shape.split(","))) for kind, shape in map(re.Match.groups, found) if kind != "pred"]
    assert lengths
    assert max(lengths) < distances * CONFIG.model_dim // 2, "neither the table of distances nor an index of scores"


def test_of_frozen_layers_that_are_computed_again_one_is_compiled(program):
    deep = tensorflow_program(trainer(layers=6, remat=True, lora=True))
    assert "<=" not in deep, "every shape is static"
    assert deep.count(" dot(") < 2 * program.count(" dot("), "of 2 layers, each once forward and once back"


def test_xla_computes_layers_again_and_keeps_nothing_that_it_finds_twice():
    kept, again = (
        tensorflow_program(trainer(layers=4, remat=remat), stage="optimized_hlo").count("exponential(")
        for remat in (False, True)
    )
    assert again >= kept + 3, "a softmax of each layer but the last, at least"


@pytest.mark.slow
def test_the_step_of_jax_lowers_for_a_tpu_and_on_eight_devices_sends_nothing_but_sums():
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, __file__], env=environment, capture_output=True, text=True, timeout=580)
    assert run.returncode == 0, run.stderr[-2000:]


if __name__ == "__main__":
    assert keras.backend.backend() == "jax"
    check_mesh()  # first: devices are chosen before anything is computed
    check_tpu()
