"""The same facts on the second backend, in a process of its own: a process has one backend."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
SAME_FACTS = ("test_backbone.py", "test_heads.py", "test_permutation.py")

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


def on_jax(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    return subprocess.run(
        [sys.executable, *arguments], cwd=HERE.parent.parent, env=environment, capture_output=True, text=True
    )


@pytest.fixture(autouse=True)
def _only_from_the_first_backend() -> None:
    pytest.importorskip("jax")


@pytest.mark.slow
def test_the_kernels_of_a_gpu_compute_what_they_should() -> None:
    done = on_jax("-m", "pytest", "-v", "-x", "-p", "no:cacheprovider", str(HERE / "test_fused_attention.py"))
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.slow
def test_the_model_is_as_recorded_on_jax(golden: Callable[[str], Path]) -> None:
    golden("model_cases.json")  # without the recordings there is nothing to compare
    done = on_jax(
        "-m",
        "pytest",
        "-v",
        "-x",
        "-k",
        "recorded",
        "-p",
        "no:cacheprovider",
        *(str(HERE / name) for name in SAME_FACTS),
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


@pytest.mark.slow
def test_the_model_runs_on_jax_without_tensorflow() -> None:
    done = on_jax("-c", WITHOUT_TENSORFLOW)
    assert done.stdout.split("\n")[:2] == ["(2, 3)", "False jax"], done.stderr[-2000:]
