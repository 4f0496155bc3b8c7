import json
import shutil
import subprocess
import sys
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

from xlnet import storage
from xlnet.errors import UserError
from xlnet.model.backbone import Backbone
from xlnet.model.checkpoints import save_model
from xlnet.model.config import ModelConfig
from xlnet.serving import export as exporting
from xlnet.serving.export import export
from xlnet.serving.predictor import Predictor
from xlnet.tasks import registry

TINY = ModelConfig(
    vocab_size=2000, layers=2, model_dim=16, heads=2, head_dim=8, feedforward_dim=32, initializer_stddev=0.3
)
TEXTS = ["A first text, with 1,000 numbers.", "Short.", "word " * 60]
HEAD: dict[str, Any] = {
    "task": "classification",
    "classes": ["a", "b", "c"],
    "summary": "last",
    "projection": True,
    "sequence_length": 24,
    "columns": {"text": "text", "pair": None, "label": "label", "header": None},
}
REGRESSION = HEAD | {
    "task": "regression",
    "classes": None,
    "summary": "attn",
    "columns": HEAD["columns"] | {"pair": "other"},
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory, golden):
    """A model directory with random weights, by its head."""

    def save(head):
        keras.utils.set_random_seed(0)
        model = Backbone(TINY) if head is None else registry.from_head(head, where="head").model(TINY)
        directory = str(tmp_path_factory.mktemp("model") / "model")
        save_model(
            directory,
            model,
            config=TINY,
            vocabulary=str(golden("spiece.model")),
            text={"lower": True, "keep_accents": False},
            head=head,
            provenance={},
        )
        return directory

    return save


@pytest.fixture(scope="module")
def exported(tmp_path_factory, saved):
    output = str(tmp_path_factory.mktemp("export") / "out")
    model = saved(HEAD)
    return model, output, export(model=model, output=output)


SERVE = """
import json, sys
import numpy as np, tensorflow as tf
inputs = {name: np.array(rows, np.int32) for name, rows in json.load(sys.stdin).items()}
loaded = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
found = loaded(**{name: tf.constant(rows) for name, rows in inputs.items()})
assert "xlnet" not in sys.modules
print(json.dumps({name: values.numpy().tolist() for name, values in found.items()}))
"""


def test_the_export_answers_alone_as_the_model_does(exported):
    model, output, _ = exported
    predictor = Predictor.load(model)
    inputs = predictor.features(predictor.task.texts(TEXTS)).inputs
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SERVE, f"{output}/1"],
        input=json.dumps({name: rows.tolist() for name, rows in inputs.items()}),
        capture_output=True,
        text=True,
        check=True,
    )
    answers = json.loads(found.stdout.splitlines()[-1])
    assert sorted(answers) == ["logits", "probabilities"]
    np.testing.assert_allclose(answers["logits"], predictor.outputs(inputs), atol=1e-5)
    np.testing.assert_allclose(answers["probabilities"], predictor.predict(TEXTS), atol=1e-5)
    assert np.ptp(answers["logits"], axis=0).max() > 0.1  # different texts, different answers


def test_the_card_tells_files_checksums_and_the_difference_found(exported):
    model, output, card = exported
    assert storage.read_json(f"{output}/1/model-card.json") == card
    assert 0 <= card["max_abs_difference"] <= card["tolerance"] == 1e-5
    assert card["head"]["classes"] == ["a", "b", "c"]
    for name, digest in card["files"].items():
        assert storage.sha256(f"{output}/1/{name}") == digest
    assert {"saved_model.pb", "config.json", "spiece.model", "variables/variables.index"} <= set(card["files"])
    assert card["files"]["spiece.model"] == storage.sha256(f"{model}/spiece.model") == card["vocabulary_sha256"]


def test_every_weight_is_written_once(exported):
    _, output, card = exported
    written = storage.match([f"{output}/1/variables/variables.data-*"])[0].bytes
    assert card["parameters"] * 4 <= written < card["parameters"] * 4 + 20_000


def test_a_regression_of_pairs_is_exported(saved, tmp_path):
    card = export(model=saved(REGRESSION), output=str(tmp_path / "out"))
    assert card["signature"]["outputs"] == ["logits"]


def test_a_model_without_a_head_gives_its_hidden_states(saved, tmp_path):
    import tensorflow as tf

    card = export(model=saved(None), output=str(tmp_path / "out"))
    assert (card["task"], card["signature"]["outputs"]) == (None, ["hidden"])
    loaded = tf.saved_model.load(str(tmp_path / "out" / "1")).signatures["serving_default"]
    inputs = {name: tf.zeros((3, 7), tf.int32) for name in ("pieces", "segments", "padding")}
    assert loaded(**inputs)["hidden"].shape == (3, 7, TINY.model_dim)


def test_an_export_that_differs_is_not_published(saved, tmp_path, monkeypatch):
    write = exporting.write

    def spoiled(served, folder):
        wrong = replace(served, call=lambda inputs: {k: v + 2e-5 for k, v in served.call(inputs).items()})
        write(wrong, folder)

    monkeypatch.setattr(exporting, "write", spoiled)
    with pytest.raises(UserError, match=r"the exported logits differ by 2\.\de-05"):
        export(model=saved(HEAD), output=str(tmp_path / "runs" / "out"))
    assert list((tmp_path / "runs").iterdir()) == []


def test_what_the_user_can_mend(saved, tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        export(model=str(tmp_path / "none"), output=str(tmp_path / "out"))
    model = saved(HEAD)
    with pytest.raises(UserError, match="already holds something"):
        export(model=model, output=model)
    shutil.copytree(model, tmp_path / "other")
    with open(tmp_path / "other" / "spiece.model", "ab") as stream:
        stream.write(b"\x1a\x00")
    with pytest.raises(UserError, match="the model was trained with"):
        export(model=str(tmp_path / "other"), output=str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
