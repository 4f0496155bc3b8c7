"""Small models with random weights."""

import pytest

from xlnet.model.backbone import Backbone
from xlnet.model.checkpoints import save_model
from xlnet.model.config import ModelConfig
from xlnet.tasks import registry


@pytest.fixture(scope="session")
def tiny():
    """Weights so large that what is seen matters, and so does where it stands."""
    return ModelConfig(
        vocab_size=2000, layers=2, model_dim=16, heads=2, head_dim=8, feedforward_dim=32, initializer_stddev=0.3
    )


@pytest.fixture(scope="session")
def saved(tmp_path_factory, golden, tiny):
    """Makes a model directory with random weights, by its head."""

    def save(head, config=tiny):
        model = Backbone(config) if head is None else registry.from_head(head, where="head").model(config)
        directory = str(tmp_path_factory.mktemp("model") / "model")
        save_model(
            directory,
            model,
            config=config,
            vocabulary=str(golden("spiece.model")),
            text={"lower": True, "keep_accents": False},
            head=head,
            provenance={},
        )
        return directory

    return save


@pytest.fixture(scope="session")
def pretrained(saved):
    return saved(None)
