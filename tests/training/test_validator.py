"""The held-out loss by position is the held-out loss, taken apart."""

import numpy as np
import pytest
from keras import ops

from xlnet.corpus.settings import CorpusSettings
from xlnet.model.backbone import Backbone
from xlnet.model.config import ModelConfig
from xlnet.model.heads import LanguageModelHead
from xlnet.special_pieces import CLS
from xlnet.training import objectives
from xlnet.training.validator import BANDS, Validator

CORPUS = CorpusSettings(sequence_length=32, reuse_length=16, permutation_size=16, predictions=6)
SIZES = {"vocab_size": 60, "layers": 1, "model_dim": 8, "heads": 1, "head_dim": 8, "feedforward_dim": 8}


def batch_of() -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    pieces = random.integers(10, 60, (4, 32)).astype(np.int32)
    pieces[:, -1] = CLS
    is_target = np.zeros((4, 32), bool)
    is_target[:, [0, 1, 5, 13]] = is_target[2:, [29, 30]] = True
    return {
        "pieces": pieces,
        "segments": np.zeros((4, 32), np.int32),
        "order": np.stack([random.permutation(32) for _ in range(4)]).astype(np.int32),
        "is_target": is_target,
        "reset": np.ones(4, bool),
    }


@pytest.mark.parametrize("objective", objectives.OBJECTIVES)
def test_the_loss_in_each_part_of_the_window_is_the_mean_of_its_targets(objective):
    config = objectives.fit(ModelConfig(**SIZES), objective=objective, memory_length=4)
    backbone = Backbone(config, bidirectional=True, seed=1)
    given = {"corpus": CORPUS, "objective": objective, "rows": 4, "memory_length": 4}
    model = Validator(backbone, LanguageModelHead(backbone), **given)
    batch = batch_of()
    found = model(batch)
    model.measure(model.sums(batch, found["losses"], found["counts"]))
    losses, counts = (ops.convert_to_numpy(found[name]) for name in ("losses", "counts"))
    if objective == "permutation":
        places = np.array([[0, 1, 5, 13, 29, 30]] * 4) * BANDS // 32
    else:
        places = np.minimum(np.arange(1, 17), 15)[None].repeat(4, 0) * BANDS // 16
    for band, measured in enumerate(model.band_losses):
        inside = (places == band) & (counts > 0)
        expected = losses[inside].mean() if inside.any() else 0.0
        assert float(measured.result()) == pytest.approx(expected, rel=1e-5)
    assert float(model.target_loss.result()) == pytest.approx(losses[counts > 0].mean(), rel=1e-5)
