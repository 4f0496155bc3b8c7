"""Weights in and out of files: nothing lost, nothing silently wrong."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from keras import ops
from safetensors.numpy import load_file

from xlnet.errors import UserError
from xlnet.model.backbone import Backbone
from xlnet.model.checkpoints import load_config, load_weights, reference_variables, save_model
from xlnet.model.config import ModelConfig
from xlnet.model.heads import LanguageModelHead, SequenceClassifier
from xlnet.model.tensorflow_checkpoints import write_checkpoint

Golden = Callable[[str], Path]
TINY = ModelConfig(vocab_size=50, layers=2, model_dim=16, heads=2, head_dim=8, feedforward_dim=32)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A model directory with a classifier in it."""
    vocabulary = tmp_path / "pieces.model"
    vocabulary.write_bytes(b"pieces")
    save_model(
        str(tmp_path / "model"),
        SequenceClassifier(TINY, classes=3, seed=1),
        config=TINY,
        vocabulary=str(vocabulary),
        text={"lower": False, "keep_accents": False},
        head={"task": "classification", "classes": ["a", "b", "c"]},
        provenance={"steps": 7},
    )
    return tmp_path / "model"


def values(model: object) -> dict[str, np.ndarray]:
    return {name: ops.convert_to_numpy(weight) for name, weight in reference_variables(model).items()}


@pytest.mark.parametrize("name", ["tiny_a", "tiny_b"])
@pytest.mark.parametrize("suffix", ["", "/xlnet_model.ckpt", "/xlnet_model.ckpt.index"])
def test_a_released_checkpoint_maps_one_to_one(golden: Golden, name: str, suffix: str) -> None:
    folder = golden(name)
    backbone = Backbone(load_config(str(folder)))
    head = LanguageModelHead(backbone)
    listed = {item["name"]: item["shape"] for item in json.loads((folder / "variables.json").read_text())}
    ours = backbone.reference_variables() | head.reference_variables()
    assert {key: list(variable.shape) for key, variable in ours.items()} == listed
    report = load_weights(backbone, f"{folder}{suffix}")
    assert set(report.loaded) == set(backbone.reference_variables())
    assert report.missing == ()
    assert report.unexpected == ("model/lm_loss/bias",)


def test_optimizer_slots_and_the_step_are_skipped(golden: Golden) -> None:
    folder = golden("train_ckpt_adamwd_cos_layerdecay")
    backbone = Backbone(load_config(str(golden("tiny_a"))))
    report = load_weights(backbone, str(folder))
    assert report.missing == ()
    assert report.unexpected == ("model/lm_loss/bias",)


@pytest.mark.parametrize("slots", [("adam_m", "adam_v"), ("Adam", "Adam_1")])
def test_slots_of_both_optimizers_of_the_original_are_skipped(tmp_path: Path, slots: tuple[str, str]) -> None:
    weights, prefix = values(Backbone(TINY, seed=1)), tmp_path / "model.ckpt-6"
    state = {f"{name}/{slot}": np.ones_like(weight) for name, weight in weights.items() for slot in slots}
    powers = {"beta1_power": np.float32(0.5), "beta2_power": np.float32(0.5), "global_step": np.int64(6)}
    write_checkpoint(str(prefix), weights | state | powers)
    backbone = Backbone(TINY, seed=2)
    report = load_weights(backbone, str(prefix))
    assert (report.missing, report.unexpected) == ((), ())
    for name, value in values(backbone).items():
        np.testing.assert_array_equal(value, weights[name], err_msg=name)


@pytest.mark.parametrize("name", ["race", "squad"])
def test_the_trunk_of_another_task_loads(golden: Golden, name: str) -> None:
    model = SequenceClassifier(load_config(str(golden("heads/xlnet_config.json"))), classes=2)
    report = load_weights(model, str(golden(f"heads/{name}")))
    assert {key for key in report.loaded if "/transformer/" in key} == set(model.backbone.reference_variables()) - {
        "model/transformer/mask_emb/mask_emb"
    }
    assert "model/classification/logit/kernel" in report.missing
    assert report.unexpected


def test_a_model_directory_gives_back_every_weight(saved: Path) -> None:
    fresh = SequenceClassifier(load_config(str(saved)), classes=3, seed=2)
    original = values(SequenceClassifier(TINY, classes=3, seed=1))
    report = load_weights(fresh, str(saved))
    assert set(report.loaded) == set(original) == set(load_file(saved / "model.safetensors"))
    for name, value in values(fresh).items():
        np.testing.assert_array_equal(value, original[name], err_msg=name)


def test_a_model_directory_says_what_it_is(saved: Path) -> None:
    content = json.loads((saved / "config.json").read_text())
    assert content["format"] == "xlnet-model/1"
    assert ModelConfig.from_dict(content["model"]) == TINY == load_config(str(saved))
    assert content["head"]["classes"] == ["a", "b", "c"]
    assert content["provenance"] == {"steps": 7}
    assert ModelConfig.from_reference(json.loads((saved / "xlnet_config.json").read_text())) == TINY
    assert (saved / "spiece.model").read_bytes() == b"pieces"
    assert sorted(path.name for path in saved.parent.iterdir()) == ["model", "pieces.model"]


def test_a_directory_in_use_is_left_alone(saved: Path) -> None:
    with pytest.raises(UserError, match="already holds something"):
        save_model(
            str(saved),
            SequenceClassifier(TINY, classes=3),
            config=TINY,
            vocabulary=str(saved / "spiece.model"),
            text={},
            head=None,
            provenance={},
        )


def test_another_vocabulary_size_is_refused_with_both(saved: Path) -> None:
    with pytest.raises(UserError, match=r"has 50 pieces, the model was asked for 60"):
        load_weights(Backbone(dataclasses.replace(TINY, vocab_size=60)), str(saved))


def test_another_shape_is_refused_with_both(saved: Path) -> None:
    with pytest.raises(UserError, match=r"layer_1/kernel has shape \[16, 32\].*wants \[16, 64\]"):
        load_weights(Backbone(dataclasses.replace(TINY, feedforward_dim=64)), str(saved))


def test_fewer_layers_than_asked_are_refused(saved: Path) -> None:
    tied = dataclasses.replace(TINY, layers=3)
    with pytest.raises(UserError, match="has shape"):
        load_weights(Backbone(tied), str(saved))


def test_a_missing_weight_of_a_layer_is_refused(golden: Golden, saved: Path) -> None:
    config = dataclasses.replace(TINY, untie_biases=False)
    arrays = {
        name: value
        for name, value in values(Backbone(config)).items()
        if name != "model/transformer/layer_1/ff/layer_2/bias"
    }
    from safetensors.numpy import save_file

    save_file(arrays, saved / "model.safetensors")
    with pytest.raises(UserError, match=r"lacks model/transformer/layer_1/ff/layer_2/bias"):
        load_weights(Backbone(config), str(saved))


def test_nothing_there_is_said_with_the_places_looked_at(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no weights at .*model.safetensors"):
        load_weights(Backbone(TINY), str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"no configuration .*config.json and .*xlnet_config.json"):
        load_config(str(tmp_path / "nowhere"))


def test_a_broken_file_is_refused(golden: Golden, saved: Path, tmp_path: Path) -> None:
    weights = saved / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="not a whole safetensors file"):
        load_weights(Backbone(TINY), str(saved))
    half = tmp_path / "half"
    shutil.copytree(golden("tiny_a"), half)
    data = half / "xlnet_model.ckpt.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:1000])
    with pytest.raises(UserError, match="not a whole checkpoint"):
        load_weights(Backbone(load_config(str(half))), str(half))
    (half / "xlnet_model.ckpt.index").write_bytes(b"broken")
    with pytest.raises(UserError, match="not a whole checkpoint"):
        load_weights(Backbone(load_config(str(half))), str(half))


def test_an_unknown_key_on_disk_is_named_with_its_file(saved: Path) -> None:
    content = json.loads((saved / "config.json").read_text())
    content["model"]["layer"] = 3
    (saved / "config.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"config.json: unknown key 'layer'.*'layers'"):
        load_config(str(saved))
