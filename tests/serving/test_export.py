import json
import shutil
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from xlnet import storage
from xlnet.errors import UserError
from xlnet.serving import export as exporting
from xlnet.serving import onnx_model, saved_model, text_model
from xlnet.serving.export import export
from xlnet.tasks.features import features
from xlnet.tasks.predictor import Predictor, load_tokenizer
from xlnet.text import Tokenizer
from xlnet.training.finetuning import finetune
from xlnet.training.finetuning_settings import FinetuningSettings

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


def test_the_card_of_a_model_in_a_bucket_tells_the_metrics_of_its_run(
    at_once, pretrained, labelled, storage_service, tmp_path
):
    settings = FinetuningSettings(sequence_length=24, batch_size=4, steps=1, jit_compile=False)
    output = "gs://b/run"
    run = finetune(train=labelled, dev=labelled, init=pretrained, output=output, settings=settings, progress=False)
    card = export(model=f"{output}/model", output=str(tmp_path / "out"))
    assert card["metrics"] == {name: value for name, value in run.items() if name.startswith("dev_")}
    assert {"dev_accuracy", "dev_loss"} <= set(card["metrics"])


def test_every_weight_is_written_once(exported):
    _, output, card = exported
    written = storage.match([f"{output}/1/variables/variables.data-*"])[0].bytes
    assert card["parameters"] * 4 <= written < card["parameters"] * 4 + 20_000


def test_a_regression_of_pairs_is_exported(saved, tmp_path):
    card = export(model=saved(REGRESSION), output=str(tmp_path / "out"))
    assert card["signature"]["outputs"] == ["logits"]


def test_a_model_without_a_head_gives_its_hidden_states(pretrained, tiny, tmp_path):
    import tensorflow as tf

    card = export(model=pretrained, output=str(tmp_path / "out"))
    assert (card["task"], card["signature"]["outputs"]) == (None, ["hidden"])
    loaded = tf.saved_model.load(str(tmp_path / "out" / "1")).signatures["serving_default"]
    inputs = {name: tf.zeros((3, 7), tf.int32) for name in ("pieces", "segments", "padding")}
    assert loaded(**inputs)["hidden"].shape == (3, 7, tiny.model_dim)


def test_an_export_that_differs_is_not_published(saved, tmp_path, monkeypatch):
    def spoiled(served, folder):
        wrong = replace(served, call=lambda inputs: {k: v + 2e-5 for k, v in served.call(inputs).items()})
        saved_model.write(wrong, folder)

    monkeypatch.setitem(exporting.FORMATS, "ids", replace(exporting.FORMATS["ids"], write=spoiled))
    with pytest.raises(UserError, match=r"the exported logits differ by 2\.\de-05"):
        export(model=saved(HEAD), output=str(tmp_path / "runs" / "out"))
    assert list((tmp_path / "runs" / "out").iterdir()) == []


def test_what_the_user_can_mend(saved, pretrained, tmp_path):
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
    with pytest.raises(UserError, match="format is 'tflite'; choose one of ids, text, onnx, int8"):
        export(model=model, output=str(tmp_path / "out"), format="tflite")
    with pytest.raises(UserError, match="takes text classifies or rates texts or pairs, the model has no head"):
        export(model=pretrained, output=str(tmp_path / "out"), format="text")
    with pytest.raises(UserError, match="there is nothing to measure"):
        export(model=pretrained, output=str(tmp_path / "out"), data="dev.tsv")


WILD = [
    *TEXTS,
    "``Quoted'' \u00a0 and   spaced\tout",
    "Ünïcödé caf\u0065\u0301 \ufb01ne \u00bd \u2167 ＡＢＣ",
    "It cost 1,000, or 12,500, or 3,",
    "МОСКВА и Ελλάς",
    "中文 字符，和标点。",
    "\u200bzero\u00adwidth",
    "😀 emoji",
]


@pytest.mark.parametrize("lower", [True, False])
def test_texts_are_read_in_the_graph_as_by_the_tokenizer(golden, lower):
    tokenizer = Tokenizer(str(golden("spiece.model")), lower=lower)
    pairs = ["", *WILD[:-1]]
    for length in (24, 9):
        read = text_model.reader(tokenizer, sequence_length=length, is_whole=True)
        for texts in ([WILD], [WILD, pairs]):
            expected = features(tokenizer, texts[0], pairs=(texts[1:] or [None])[0], sequence_length=length)
            found = read(*texts)
            for name, values in expected.items():
                np.testing.assert_array_equal(found[name].numpy(), values, err_msg=name)
    short = text_model.reader(tokenizer, sequence_length=512, is_whole=False)(["Short."])
    assert short["padding"].numpy().sum() == 0


def test_a_server_that_takes_texts_answers_as_the_model_does(exported, tmp_path):
    model = exported[0]
    card = export(model=model, output=str(tmp_path / "out"), format="text")
    assert card["signature"]["inputs"] == ["text"]
    call = text_model.load(tmp_path / "out" / "1")
    np.testing.assert_allclose(call({"text": TEXTS})["probabilities"], Predictor.load(model).predict(TEXTS), atol=1e-5)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "dev.tsv"
    path.write_text("text\tlabel\n" + "".join(f"{text}\t{'abc'[i % 3]}\n" for i, text in enumerate(WILD[:3] * 4)))
    return str(path)


def test_onnx_answers_as_the_model_does_whatever_the_shape(exported, labelled, tmp_path):
    model = exported[0]
    card = export(model=model, output=str(tmp_path / "out"), format="onnx", data=labelled)
    assert 0 <= card["max_abs_difference"] <= 1e-5
    assert card["measured"]["model"] == card["measured"]["export"]
    predictor = Predictor.load(model)
    inputs = predictor.features(predictor.task.texts(TEXTS)).inputs
    alone = features(load_tokenizer(str(tmp_path / "out" / "1")), TEXTS, sequence_length=24)  # as the page tells
    for name, values in alone.items():
        np.testing.assert_array_equal(values, inputs[name])
    found = onnx_model.load(tmp_path / "out" / "1")(alone)
    np.testing.assert_allclose(found["logits"], predictor.outputs(inputs), atol=1e-5)


def test_eight_bits_are_small_and_close_and_measured(saved, tiny, labelled, tmp_path, monkeypatch):
    model = saved(HEAD, replace(tiny, model_dim=32, head_dim=16, initializer_stddev=0.05))
    output = str(tmp_path / "out")
    card = export(model=model, output=output, format="int8", data=labelled)
    assert 0 < card["relative_error"] <= card["tolerance"]
    matrices = card["parameters"]
    assert storage.size(f"{output}/1/model.onnx") < 1.3 * matrices + 180_000  # a byte a weight, and the graph
    assert card["measured"]["metric"] == "accuracy"
    assert set(card["measured"]["export"]) == set(card["measured"]["model"])
    monkeypatch.setattr(exporting, "INT8_ERROR", 1e-9)
    with pytest.raises(UserError, match="the model does not bear 8 bits; nothing was published"):
        export(model=model, output=output, format="int8")
    assert storage.list_folder(output) == ["1"]


def test_the_next_export_is_the_next_version_and_the_card_can_be_read(exported, tmp_path):
    model, output, _ = exported
    card = export(model=model, output=output, licence="CC0 <b>|")
    assert card["version"] == 2
    assert sorted(storage.list_folder(output)) == ["1", "2"]
    page = storage.read_bytes(f"{output}/2/README.md").decode()
    assert "# XLNet for classification" in page
    assert "CC0 \\<b\\>\\|" in page
    for digest in card["files"].values():
        assert digest in page


CHOICE = {
    "task": "multiple-choice",
    "summary": "last",
    "projection": True,
    "sequence_length": 64,
    "option_length": 16,
}
SPAN = {
    "task": "question-answering",
    "data_set": "squad2",
    "sequence_length": 64,
    "stride": 24,
    "question_length": 16,
    "answer_length": 10,
    "best_answers": 3,
    "start_top": 3,
    "end_top": 2,
    "null_threshold": 0.0,
}


@pytest.mark.parametrize(("head", "outputs"), [(CHOICE, {"logits"}), (SPAN, {"starts", "ends", "impossible"})])
def test_other_tasks_are_exported_with_what_they_take_and_give(saved, tmp_path, head, outputs):
    card = export(model=saved(head), output=str(tmp_path / "out"), format="onnx")
    assert card["max_abs_difference"] <= card["tolerance"] <= 1e-4
    assert outputs <= set(card["signature"]["outputs"])
    assert {"pieces", "segments", "padding"} <= set(card["signature"]["inputs"])
