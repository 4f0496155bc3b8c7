"""The same run on TensorFlow and on JAX: equal weights at the start, equal losses after."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from xlnet.model.backbone import Backbone
from xlnet.model.checkpoints import save_model
from xlnet.model.config import ModelConfig

RUN = """
import sys
from xlnet.model.config import ModelConfig
from xlnet.training.pretraining import pretrain
from xlnet.training.settings import PretrainingSettings
data, output, init = sys.argv[1:]
settings = PretrainingSettings(
    batch_size=4, steps=8, memory_length=16, learning_rate=3e-3, warmup_steps=2, log_interval=4, validation_interval=8
)
model = ModelConfig(
    layers=2, model_dim=32, heads=2, head_dim=16, feedforward_dim=64, dropout=0.0, attention_dropout=0.0
)
pretrain(data=data, validation=data, output=output, init=init, settings=settings, model=model)
"""


def losses(backend: str, *words: str) -> list[float]:
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([sys.executable, "-c", RUN, *words], env=environment, check=True, capture_output=True, timeout=300)
    lines = [json.loads(line) for line in Path(words[1], "metrics.jsonl").read_text().splitlines()]
    return [line.get("loss", line.get("validation_loss")) for line in lines]


@pytest.mark.slow
def test_both_backends_train_alike(small_data, vocabulary, tmp_path):
    config = ModelConfig(
        vocab_size=500, layers=2, model_dim=32, heads=2, head_dim=16, feedforward_dim=64, initializer_stddev=0.1
    )
    start = str(tmp_path / "start")
    backbone = Backbone(config, seed=1)
    save_model(start, backbone, config=config, vocabulary=vocabulary, text={}, head=None, provenance={})
    found = [losses(backend, small_data, str(tmp_path / backend), start) for backend in ("tensorflow", "jax")]
    assert len(found[0]) == 3
    np.testing.assert_allclose(found[0], found[1], rtol=1e-3)
