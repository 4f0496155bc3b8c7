"""The same facts on the second backend, in a process of its own: a process has one backend."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
SAME_FACTS = (
    "model/test_backbone.py",
    "model/test_heads.py",
    "model/test_permutation.py",
    "model/test_span_answerer.py",
    "training/test_optimizer.py",
    "training/test_pretrainer.py",
)
UNREAD = {  # recorded arrays that are compared with nothing here, and why
    "model_*_pretrain_*:in/input_q": "where targets are mapped, the mapping tells which they are",
    "heads/*:*/global_norm": "counts a row of the embeddings as often as it is read; global_norm_dense is the norm",
    "heads/squad.npz:in/unique_ids": "numbers of the examples, not read by the model",
    "perm.npz:*": "those that are no masks are compared by corpus/test_orders.py, without any backend",
    "input_batches.npz:*": "as of perm.npz, and by training/test_data.py",
}

WITHOUT_TENSORFLOW = """
import sys
import numpy as np
import xlnet.model.backbone, xlnet.model.heads, xlnet.model.checkpoints, xlnet.model.permutation
from xlnet.model.config import ModelConfig
config = ModelConfig(vocab_size=50, layers=2, model_dim=16, heads=2, head_dim=8, feedforward_dim=32)
model = xlnet.model.heads.SequenceClassifier(config, classes=3)
pieces = np.ones((2, 7), "int32")
print(model({"pieces": pieces, "segments": pieces, "padding": pieces * 0}, training=True).shape)
print("tensorflow" in sys.modules, sys.modules["keras"].backend.backend())
"""


@pytest.mark.slow
def test_the_kernels_of_a_gpu_compute_what_they_should(passed_on_jax: Callable[..., set[str]]) -> None:
    assert passed_on_jax(str(HERE / "test_fused_attention.py")) == {"test_fused_attention.py"}


@pytest.mark.slow
def test_the_model_and_its_training_are_as_recorded_on_jax(
    passed_on_jax: Callable[..., set[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("UNREAD", str(tmp_path / "unread.json"))
    files = [str(HERE.parent / name) for name in SAME_FACTS]
    found = passed_on_jax("-k", "recorded", "-p", "tests.model.unread", *files)
    assert found == {Path(name).name for name in SAME_FACTS}
    unread = json.loads((tmp_path / "unread.json").read_text())
    assert [name for name in unread if not any(fnmatch(name, excepted) for excepted in UNREAD)] == []


@pytest.mark.slow
def test_the_model_runs_on_jax_without_tensorflow() -> None:
    pytest.importorskip("jax")
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", WITHOUT_TENSORFLOW]
    done = subprocess.run(command, cwd=HERE.parent.parent, env=environment, capture_output=True, text=True)
    assert done.stdout.split("\n")[:2] == ["(2, 3)", "False jax"], done.stderr[-2000:]
