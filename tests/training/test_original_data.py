"""A model is trained on the very files that the original wrote."""

import shutil

import numpy as np
import pytest

from xlnet.errors import UserError
from xlnet.model.config import ModelConfig
from xlnet.training.pretraining import pretrain
from xlnet.training.settings import PretrainingSettings

MODEL = ModelConfig(layers=1, model_dim=8, heads=2, head_dim=4, feedforward_dim=16)
SETTINGS = PretrainingSettings(batch_size=8, steps=4, memory_length=16, warmup_steps=1, log_interval=2)


@pytest.fixture
def folder(golden, tmp_path):
    folder = tmp_path / "original"
    shutil.copytree(golden("tfrecords/cased/corpus_info.json").parent, folder)
    shutil.copy(golden("spiece.model"), folder)
    return folder


@pytest.mark.slow
def test_files_of_the_original_train(folder, tmp_path):
    output = tmp_path / "run"
    summary = pretrain(data=str(folder), validation=str(folder), output=str(output), settings=SETTINGS, model=MODEL)
    assert abs(summary["validation_loss"] - np.log(2000)) < 0.1
    assert 0 < summary["unigram_loss_own"] < np.log(2000)
    assert "unigram_loss" not in summary, "nobody has counted the pieces of the training text"
    assert (output / "model/spiece.model").read_bytes() == (folder / "spiece.model").read_bytes()


def test_a_batch_that_the_files_do_not_fill_is_refused_before_anything_is_made(folder, tmp_path):
    settings = PretrainingSettings(**{**SETTINGS.__dict__, "batch_size": 4})
    with pytest.raises(UserError, match="batch_size is 4; these data need a multiple of 8"):
        pretrain(data=str(folder), output=str(tmp_path / "run"), settings=settings, model=MODEL)
    assert not (tmp_path / "run").exists()
