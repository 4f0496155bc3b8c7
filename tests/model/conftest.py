"""The reference's recorded cases: their weights, their row order, gradients on either backend."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from xlnet.model.backbone import Backbone
from xlnet.model.checkpoints import load_config, load_weights


class Case:
    """One recorded run of the reference, its arrays batch-major with rows alternating forward, backward."""

    def __init__(self, golden: Callable[[str], Any], name: str) -> None:
        self.settings = json.loads(golden("model_cases.json").read_text())[name]
        self.arrays = np.load(golden(name))
        self.folder = str(golden(self.settings["checkpoint"]))
        rows = np.arange(self.settings["bsz"])
        self.rows = np.where(rows % 2, len(rows) // 2 + rows // 2, rows // 2) if self.bidirectional else rows
        self.config = dataclasses.replace(
            load_config(self.folder),
            dropout=0.0,
            attention_dropout=0.0,
            clamp_length=self.settings.get("clamp_len", -1),
            attention=self.settings["attn_type"],
            same_length=self.settings.get("same_length", False),
        )

    @property
    def bidirectional(self) -> bool:
        return self.settings.get("bi_data", False)

    def batch_major(self, name: str) -> np.ndarray | None:
        return self.arrays[name][self.rows] if name in self.arrays else None

    def time_major(self, name: str) -> np.ndarray | None:
        """[time, batch, ...] -> [batch, time, ...]"""
        return np.swapaxes(self.arrays[name], 0, 1)[self.rows] if name in self.arrays else None

    def memories(self, prefix: str) -> list[np.ndarray] | None:
        found = [self.time_major(f"{prefix}_{layer}") for layer in range(self.config.layers)]
        return None if found[0] is None else found

    def backbone(self) -> Backbone:
        backbone = Backbone(self.config, bidirectional=self.bidirectional)
        load_weights(backbone, self.folder)
        return backbone


@pytest.fixture
def case(golden: Callable[[str], Any]) -> Callable[[str], Case]:
    return lambda name: Case(golden, name)


@pytest.fixture
def compiled() -> Callable[[Callable[[], Any]], Any]:
    """`compiled(run)` -> what `run()` gives: as one program on JAX (op by op takes minutes), else eagerly."""

    def compute(run: Callable[[], Any]) -> Any:
        if keras.backend.backend() != "jax":
            return run()
        import jax

        return jax.jit(run)()

    return compute


@pytest.fixture
def gradients() -> Callable[..., tuple[float, list[np.ndarray]]]:
    """`gradients(run, layers)` -> the scalar that `run()` gives, and its gradients by the layers' weights."""

    def tensorflow(run: Callable[[], Any], weights: list[keras.Variable]) -> tuple[Any, Any]:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = run()
        return loss, tape.gradient(loss, [weight.value for weight in weights], unconnected_gradients="zero")

    def jax(run: Callable[[], Any], weights: list[keras.Variable]) -> tuple[Any, Any]:
        import jax

        def loss(values: list[Any]) -> Any:
            with keras.StatelessScope(state_mapping=list(zip(weights, values, strict=True))):
                return run()

        return jax.jit(jax.value_and_grad(loss))([weight.value for weight in weights])

    def compute(run: Callable[[], Any], weights: list[keras.Variable]) -> tuple[float, list[np.ndarray]]:
        take = {"tensorflow": tensorflow, "jax": jax}[keras.backend.backend()]
        loss, found = take(run, weights)
        return float(loss), [ops.convert_to_numpy(gradient) for gradient in found]

    return compute
