"""A model from one format into another and back: the same bits, or one line that says why not."""

import importlib.util
import json
import re
import shutil
import struct
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file, save_file

from xlnet import cli, conversion, vocab
from xlnet.conversion import Assumptions, convert
from xlnet.errors import UserError
from xlnet.model.backbone import Backbone
from xlnet.model.checkpoints import load_config, load_weights, read_description, reference_variables, save_model
from xlnet.model.config import REFERENCE_KEYS, ModelConfig
from xlnet.model.heads import SequenceClassifier
from xlnet.model.reference_names import head_shapes, trunk_shapes
from xlnet.tasks.predictor import Predictor

Golden = Callable[[str], Path]
CONFIG = ModelConfig(
    vocab_size=500, layers=2, model_dim=16, heads=2, head_dim=8, feedforward_dim=32, attention_dropout=0.0
)
COLUMNS = {"text": "body", "pair": None, "label": "stars", "header": None}
HEAD = {
    "task": "classification",
    "classes": ["no", "yes", "perhaps"],
    "summary": "mean",
    "projection": True,
    "sequence_length": 48,
    "columns": COLUMNS,
}


def variables(prefix: Path | str) -> dict[str, np.ndarray]:
    reader = tf.train.load_checkpoint(str(prefix))
    return {name: np.asarray(reader.get_tensor(name)) for name in reader.get_variable_to_shape_map()}


def same(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    assert set(found) == set(wanted)
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype, name
        assert found[name].tobytes() == array.tobytes(), name


@pytest.fixture
def saved(tmp_path, vocabulary) -> Path:
    """A classifier's model directory."""
    save_model(
        str(tmp_path / "saved"),
        SequenceClassifier(CONFIG, classes=3, summary="mean", seed=1),
        config=CONFIG,
        vocabulary=vocabulary,
        text={"lower": True, "keep_accents": False},
        head=HEAD,
        provenance={"stage": "finetuning"},
    )
    return tmp_path / "saved"


@pytest.fixture
def reference(tmp_path, golden) -> Path:
    """A training checkpoint of the reference as its run leaves it, with its vocabulary."""
    folder = tmp_path / "reference"
    shutil.copytree(golden("train_ckpt_adamwd_cos_layerdecay"), folder)
    shutil.copy(golden("tiny_a/xlnet_config.json"), folder)
    shutil.copy(golden("spiece.model"), folder)
    folder.chmod(0o755)
    return folder


def test_the_names_and_shapes_are_those_of_the_models():
    for tied in (False, True):
        config = ModelConfig(**{**CONFIG.to_dict(), "untie_biases": not tied})
        model = Backbone(config).reference_variables()
        assert {name: tuple(weight.shape) for name, weight in model.items()} == trunk_shapes(config)
    known = {**trunk_shapes(CONFIG), **head_shapes(CONFIG)}
    for classes in (None, 3):
        model = reference_variables(SequenceClassifier(CONFIG, classes=classes, summary="attn"))
        for name, weight in model.items():
            assert all(size in (None, at) for at, size in zip(weight.shape, known[name], strict=True)), name


@pytest.mark.parametrize("to", ["xlnet", "tensorflow", "hugging-face"])
def test_all_files_have_the_rights_of_new_ones(saved, tmp_path, to):
    convert(str(saved), str(tmp_path / "out"), to=to)
    (tmp_path / "new").touch()
    rights = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()}
    assert set(rights.values()) == {(tmp_path / "new").stat().st_mode & 0o777}, rights


def test_an_absurd_number_of_layers_is_refused_at_once(saved, tmp_path):
    convert(str(saved), str(tmp_path / "theirs"), to="tensorflow")
    edit(tmp_path / "theirs", "xlnet_config.json", n_layer=100_000_000)
    with pytest.raises(UserError, match="layers is 100000000; give 10,000 at most"):
        convert(str(tmp_path / "theirs"), str(tmp_path / "out"), to="xlnet")
    edit(tmp_path / "theirs", "xlnet_config.json", n_layer=10_000)
    with pytest.raises(UserError, match=r"lacks .* more; copy it whole, or give the configuration it was made with"):
        convert(str(tmp_path / "theirs"), str(tmp_path / "out"), to="xlnet")


@pytest.mark.parametrize("name", ["tiny_a", "tiny_b"])
def test_a_released_checkpoint_comes_back_bit_for_bit(golden: Golden, tmp_path, name):
    given = Assumptions(vocabulary=str(golden("spiece.model")))
    summary = convert(f"{golden(name)}/xlnet_model.ckpt", str(tmp_path / "ours"), to="xlnet", assumed=given)
    assert summary["from"] == "tensorflow"
    assert summary["head"] == "language-model"
    convert(str(tmp_path / "ours"), str(tmp_path / "back"), to="tensorflow")
    same(variables(tmp_path / "back/xlnet_model.ckpt"), variables(golden(name) / "xlnet_model.ckpt"))
    ours, theirs = ((place / "xlnet_config.json").read_text() for place in (tmp_path / "back", golden(name)))
    assert json.loads(ours) == json.loads(theirs)
    assert (tmp_path / "back/spiece.model").read_bytes() == golden("spiece.model").read_bytes()
    files = sorted(path.name for path in (tmp_path / "back").iterdir())
    assert files == [
        "spiece.model", "xlnet_config.json", "xlnet_model.ckpt.data-00000-of-00001", "xlnet_model.ckpt.index",
    ]  # fmt: skip


@pytest.mark.parametrize("way", [["tensorflow"], ["xlnet", "tensorflow"]])
def test_optimizer_slots_and_the_step_are_kept(reference, tmp_path, way):
    original = variables(reference / "model.ckpt-6")
    assert any(name.endswith("/adam_m") for name in original)
    place = reference
    for number, kind in enumerate(way):
        summary = convert(str(place), str(tmp_path / str(number)), to=kind)
        assert summary["weights"] + summary["training_state"] == len(original)
        assert summary["training_state"] == 1 + 2 * summary["weights"]  # the step, and two slots a weight
        place = tmp_path / str(number)
    same(variables(tf.train.latest_checkpoint(str(place))), original)


def test_where_the_slots_go_is_said(reference, tmp_path):
    summary = convert(str(reference), str(tmp_path / "ours"), to="xlnet")
    state = load_file(tmp_path / "ours/training-state.safetensors")
    assert summary["training_state"] == len(state) > 0
    assert state["global_step"] == 6
    assert any("training-state.safetensors" in note for note in summary["notes"])
    assert not set(state) & set(load_file(tmp_path / "ours/model.safetensors"))
    summary = convert(str(tmp_path / "ours"), str(tmp_path / "theirs"), to="hugging-face")
    assert any("are left out" in note for note in summary["notes"])


def test_graph_code_restores_what_was_written(saved, tmp_path):
    convert(str(saved), str(tmp_path / "out"), to="tensorflow", task="imdb")
    wanted = load_file(saved / "model.safetensors")
    kernel = wanted["model/classification/logit/kernel"]
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        with tf.compat.v1.variable_scope("model/classification_imdb/logit"):
            made = tf.compat.v1.get_variable("kernel", kernel.shape, tf.float32)
        tf.compat.v1.train.Saver().restore(session, str(tmp_path / "out/xlnet_model.ckpt"))
        np.testing.assert_array_equal(session.run(made), kernel)


@pytest.mark.parametrize("name", ["cls_last", "cls_mean_noproj", "cls_attn", "reg_first", "race", "squad"])
def test_every_head_of_the_reference_comes_back(golden: Golden, vocabulary, tmp_path, monkeypatch, name):
    """Its vocabulary was not recorded, so a size is not compared here."""
    monkeypatch.setattr(conversion, "_check_vocabulary", lambda *_, **__: None)
    source = tmp_path / "reference"
    shutil.copytree(golden(f"heads/{name}"), source)
    shutil.copy(golden("heads/xlnet_config.json"), source)
    original = variables(source / "model.ckpt")
    ways = ["xlnet", "tensorflow"] if name == "cls_attn" else ["xlnet", "hugging-face", "xlnet", "tensorflow"]
    place, task = source, "sts-b" if name == "reg_first" else name
    for number, kind in enumerate(ways):
        given = Assumptions(vocabulary=vocabulary)
        convert(str(place), str(tmp_path / str(number)), to=kind, assumed=given, task=task)
        place = tmp_path / str(number)
    found = variables(place / "xlnet_model.ckpt")
    mask = found.pop("model/transformer/mask_emb/mask_emb")  # fine-tuned models of the reference have none
    assert not mask.any()
    unnamed = {re.sub("^model/classification_[^/]+/", f"model/classification_{task}/", key): array
               for key, array in original.items()}  # fmt: skip
    same(found, unnamed if len(ways) > 2 else original)


def test_a_head_of_the_reference_answers(golden: Golden, vocabulary, tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, "_check_vocabulary", lambda *_, **__: None)
    monkeypatch.setattr("xlnet.tasks.predictor.load_tokenizer", lambda directory: None)
    source = tmp_path / "reference"
    shutil.copytree(golden("heads/cls_mean_noproj"), source)
    shutil.copy(golden("heads/xlnet_config.json"), source)
    given = Assumptions(vocabulary=vocabulary, classes=tuple("abcde"), summary="mean", sequence_length=16)
    convert(str(source), str(tmp_path / "ours"), to="xlnet", assumed=given)
    predictor = Predictor.load(str(tmp_path / "ours"))
    assert predictor.task.head["classes"] == list("abcde")
    recorded = np.load(golden("heads/cls_mean_noproj.npz"))
    inputs = {"pieces": "input_ids", "segments": "segment_ids", "padding": "input_mask"}
    found = predictor.model({ours: recorded[f"in/{theirs}"] for ours, theirs in inputs.items()})
    np.testing.assert_allclose(np.asarray(found), recorded["out/logits"], atol=2e-5)


def test_the_race_model_of_the_reference_answers(golden: Golden, vocabulary, tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, "_check_vocabulary", lambda *_, **__: None)
    monkeypatch.setattr("xlnet.tasks.predictor.load_tokenizer", lambda directory: None)
    source = tmp_path / "reference"
    shutil.copytree(golden("heads/race"), source)
    shutil.copy(golden("heads/xlnet_config.json"), source)
    convert(str(source), str(tmp_path / "ours"), to="xlnet", assumed=Assumptions(vocabulary=vocabulary))
    predictor = Predictor.load(str(tmp_path / "ours"))
    assert (predictor.task.kind, predictor.task.head["option_length"]) == ("multiple-choice", 128)
    recorded = np.load(golden("heads/race.npz"))
    inputs = {"pieces": "input_ids", "segments": "segment_ids", "padding": "input_mask"}
    given = {ours: recorded[f"in/{theirs}"].reshape(2, 4, -1) for ours, theirs in inputs.items()}
    np.testing.assert_allclose(predictor.outputs(given), recorded["out/logits"], atol=2e-5)


def test_the_squad_model_of_the_reference_answers_and_goes_by_way_of_hugging_face(
    golden: Golden, vocabulary, tmp_path, monkeypatch
):
    monkeypatch.setattr(conversion, "_check_vocabulary", lambda *_, **__: None)
    monkeypatch.setattr("xlnet.tasks.predictor.load_tokenizer", lambda directory: None)
    source = tmp_path / "reference"
    shutil.copytree(golden("heads/squad"), source)
    shutil.copy(golden("heads/xlnet_config.json"), source)
    assumed = Assumptions(vocabulary=vocabulary, sequence_length=96)
    convert(str(source), str(tmp_path / "ours"), to="xlnet", assumed=assumed)
    convert(str(tmp_path / "ours"), str(tmp_path / "theirs"), to="hugging-face")
    convert(str(tmp_path / "theirs"), str(tmp_path / "back"), to="xlnet")
    recorded = np.load(golden("heads/squad.npz"))
    inputs = {"pieces": "input_ids", "segments": "segment_ids", "padding": "input_mask", "excluded": "p_mask"}
    given = {ours: recorded[f"in/{theirs}"] for ours, theirs in inputs.items()} | {"cls": recorded["in/cls_index"]}
    for place in ("ours", "back"):
        predictor = Predictor.load(str(tmp_path / place))
        assert (predictor.task.kind, predictor.task.head["start_top"]) == ("question-answering", 5)
        found = predictor.outputs(given)
        np.testing.assert_allclose(found["impossible"], recorded["infer/cls_logits"], atol=2e-5)
        np.testing.assert_array_equal(found["starts"], recorded["infer/start_top_index"])
    before, after = (json.loads((tmp_path / place / "config.json").read_text()) for place in ("ours", "back"))
    assert before["head"] == after["head"]


def test_there_and_back_by_way_of_hugging_face(saved, tmp_path):
    convert(str(saved), str(tmp_path / "theirs"), to="hugging-face")
    summary = convert(str(tmp_path / "theirs"), str(tmp_path / "back"), to="xlnet")
    assert summary["notes"] == []
    same(load_file(tmp_path / "back/model.safetensors"), load_file(saved / "model.safetensors"))
    before, after = (json.loads((place / "config.json").read_text()) for place in (saved, tmp_path / "back"))
    for part in ("model", "head", "text", "vocabulary_sha256"):
        assert before[part] == after[part], part
    assert after["provenance"]["from"] == "hugging-face"


def test_tied_biases_come_back_tied_only_if_they_are(tmp_path, vocabulary):
    config = ModelConfig(**{**CONFIG.to_dict(), "untie_biases": False})
    save_model(str(tmp_path / "ours"), Backbone(config), config=config, vocabulary=vocabulary,
               text={"lower": False, "keep_accents": False}, head=None, provenance={})  # fmt: skip
    convert(str(tmp_path / "ours"), str(tmp_path / "theirs"), to="hugging-face")
    convert(str(tmp_path / "theirs"), str(tmp_path / "back"), to="xlnet")
    same(load_file(tmp_path / "back/model.safetensors"), load_file(tmp_path / "ours/model.safetensors"))
    arrays = load_file(tmp_path / "theirs/model.safetensors")
    arrays["transformer.layer.1.rel_attn.r_w_bias"][0, 0] += 1  # as after fine-tuning there
    save_file(arrays, tmp_path / "theirs/model.safetensors")
    convert(str(tmp_path / "theirs"), str(tmp_path / "untied"), to="xlnet")
    content = json.loads((tmp_path / "untied/config.json").read_text())
    assert content["model"]["untie_biases"]
    found = load_file(tmp_path / "untied/model.safetensors")["model/transformer/r_w_bias"]
    assert found.shape == (2, 2, 8)
    assert (found[1] - found[0])[0, 0] == pytest.approx(1)


def test_half_precision_is_widened(saved, tmp_path):
    convert(str(saved), str(tmp_path / "theirs"), to="hugging-face")
    path = tmp_path / "theirs/model.safetensors"
    arrays = {name: array.astype(np.float16) for name, array in load_file(path).items()}
    save_file(arrays, path)
    convert(str(tmp_path / "theirs"), str(tmp_path / "back"), to="xlnet")
    found = load_file(tmp_path / "back/model.safetensors")["model/transformer/seg_embed"]
    assert found.dtype == np.float32
    wanted = load_file(saved / "model.safetensors")["model/transformer/seg_embed"].astype(np.float16)
    np.testing.assert_array_equal(found, wanted)


def test_the_exact_gelu_is_told_of(saved, tmp_path):
    convert(str(saved), str(tmp_path / "theirs"), to="hugging-face")
    edit(tmp_path / "theirs", ff_activation="gelu")
    summary = convert(str(tmp_path / "theirs"), str(tmp_path / "back"), to="xlnet")
    assert any("gelu" in note for note in summary["notes"])


def test_what_a_folder_says_and_a_directory_cannot_is_told_of(saved, tmp_path):
    convert(str(saved), str(tmp_path / "theirs"), to="hugging-face")
    edit(tmp_path / "theirs", mem_len=384)
    edit(tmp_path / "theirs", "tokenizer_config.json", remove_space=False, padding_side="right")
    notes = convert(str(tmp_path / "theirs"), str(tmp_path / "back"), to="xlnet")["notes"]
    assert [word in note for word, note in zip(["384", "remove_space", "right"], notes, strict=True)] == [True] * 3


def edit(folder: Path, file: str = "config.json", **changes: object) -> None:
    content = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(content | changes))


def change(**arrays: np.ndarray | None) -> Callable[[Path], None]:
    """Replaces tensors of a folder's weights by name, with two underscores for a dot; None removes one."""

    def apply(folder: Path) -> None:
        kept = load_file(folder / "model.safetensors")
        for key, array in arrays.items():
            name = key.replace("__", ".")
            kept.pop(name, None)
            if array is not None:
                kept[name] = array
        save_file(kept, folder / "model.safetensors")

    return apply


def half(path: str) -> Callable[[Path], None]:
    return lambda folder: (folder / path).write_bytes((folder / path).read_bytes()[:1000])


def with_header_of_nothing(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 2) + b"[]")


ONES = np.ones((500, 16), np.float32)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), "has no model.safetensors"),
        (lambda folder: (folder / "spiece.model").unlink(), "beside .*, or --vocabulary"),
        (lambda folder: (folder / "spiece.model").write_text("x"), "is not a SentencePiece model"),
        (lambda folder: (folder / "config.json").unlink(), "is no model: neither a model directory"),
        (lambda folder: (folder / "config.json").write_text("{"), "is not JSON"),
        (half("model.safetensors"), "is not a whole safetensors file"),
        (with_header_of_nothing, "is not a whole safetensors file"),
        (lambda folder: edit(folder, model_type="bert"), "model_type is 'bert'"),
        (lambda folder: edit(folder, n_layer=3), r"lacks transformer.layer.2.rel_attn"),
        (lambda folder: edit(folder, n_layer=1), "does not have: transformer.layer.1"),
        (lambda folder: edit(folder, d_inner=64), r"shape \[32\] .* says \[64\]"),
        (lambda folder: edit(folder, n_layer="2"), "layers is '2'"),
        (lambda folder: edit(folder, n_head=0, d_head=None), "config.json: "),
        (lambda folder: edit(folder, id2label=5), "config.json: id2label is 5, wanted is an object"),
        (lambda folder: edit(folder, num_labels="x"), "num_labels is 'x', wanted is a whole number"),
        (lambda folder: edit(folder, num_labels=10**9), "the number of labels is 1000000000, wanted is 3, as in the w"),
        (lambda folder: edit(folder, xlnet_head=[1]), r"xlnet_head is \[1\], wanted is an object"),
        (lambda folder: edit(folder, xlnet_head={"sequence_length": "long"}), "sequence_length is 'long'"),
        (lambda folder: edit(folder, xlnet_head={"sequence_length": -8}), "sequence_length is -8"),
        (lambda folder: edit(folder, xlnet_head={"columns": {"text": 1}}), r"columns is {'text': 1}"),
        (lambda folder: edit(folder, architectures=[["XLNetModel"]]), r"wanted is a list of names"),
        (lambda folder: edit(folder, problem_type="multi_label_classification"), "problem_type is 'multi_label_class"),
        (lambda folder: edit(folder, problem_type=[1]), r"problem_type is \[1\]"),
        (lambda folder: edit(folder, bi_data=True), "bi_data is True, a model here has False"),
        (lambda folder: edit(folder, summary_use_proj="no"), "summary_use_proj is 'no', wanted is true or false"),
        (lambda folder: edit(folder, "tokenizer_config.json", do_lower_case="x"), "do_lower_case is 'x', wanted is tr"),
        (lambda folder: edit(folder, ff_activation="silu"), "ff_activation is 'silu', known are"),
        (lambda folder: edit(folder, ff_activation=[]), r"ff_activation is \[\], known are"),
        (lambda folder: edit(folder, architectures=-1), "architectures is -1, wanted is a list of names"),
        (lambda folder: (folder / "tokenizer_config.json").write_text("[]"), "tokenizer_config.json holds a list, w"),
        (lambda folder: edit(folder, attn_type="both"), "attention is 'both'"),
        (lambda folder: edit(folder, same_length=True), "same_length is True"),
        (lambda folder: edit(folder, layer_norm_eps=1e-5), "layer_norm_eps is 1e-05"),
        (lambda folder: edit(folder, architectures=["XLNetForQuestionAnsweringSimple"]), "has no counterpart here"),
        (lambda folder: edit(folder, summary_activation="relu"), "summary_activation is 'relu'"),
        (lambda folder: edit(folder, summary_type="attn"), "summary_type is 'attn'"),
        (change(logits_proj__weight=None, logits_proj__bias=None), "lacks the head of classification that .* names"),
        (change(qa_outputs__bias=ONES), "does not have: qa_outputs.bias"),
        (change(lm_loss__weight=ONES), "lm_loss.weight that is not transformer.word_embedding.weight"),
        (change(logits_proj__bias=None), "lacks model/classification/logit/bias"),
        (change(transformer__word_embedding__weight=ONES[:400]), r"shape \[400, 16\] .* says \[500, 16\]"),
        (change(transformer__word_embedding__weight=ONES.astype("float64")), "is float64 .* wanted is float32"),
        (change(transformer__word_embedding__weight=ONES.astype("int64")), "is int64 .* wanted is float32"),
        (change(transformer__layer__0__rel_attn__r_w_bias=np.ones((3, 8), np.float32)), "r_w_bias in different shapes"),
    ],
)
def test_a_bad_folder_is_one_line(saved, tmp_path, damage, said):
    convert(str(saved), str(tmp_path / "theirs"), to="hugging-face")
    damage(tmp_path / "theirs")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=said) as caught:
        convert(str(tmp_path / "theirs"), str(tmp_path / "out"), to="xlnet")
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "xlnet_config.json").unlink(), "no configuration of a model"),
        (lambda folder: (folder / "model.ckpt-6.index").unlink(), "is no model"),
        (half("model.ckpt-6.data-00000-of-00001"), "is not a whole checkpoint"),
        (half("model.ckpt-6.index"), "is not a whole checkpoint"),
        (lambda folder: (folder / "spiece.model").unlink(), "or --vocabulary"),
    ],
)
def test_a_bad_checkpoint_is_one_line(reference, tmp_path, damage, said):
    for path in reference.iterdir():
        path.chmod(0o644)
    damage(reference)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=said) as caught:
        convert(str(reference), str(tmp_path / "out"), to="xlnet")
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_what_hugging_face_cannot_hold_is_refused(golden: Golden, tmp_path):
    with pytest.raises(UserError, match=r"model_dim = heads \* head_dim, this model has 24 = "):
        convert(str(golden("tiny_b")), str(tmp_path / "out"), to="hugging-face")
    shutil.copytree(golden("heads/cls_attn"), tmp_path / "attn")
    shutil.copy(golden("heads/xlnet_config.json"), tmp_path / "attn")
    with pytest.raises(UserError, match="by attention"):
        convert(str(tmp_path / "attn"), str(tmp_path / "out"), to="hugging-face")


def test_a_vocabulary_of_another_size_is_refused(saved, golden: Golden, tmp_path):
    given = Assumptions(vocabulary=str(golden("spiece.model")))
    with pytest.raises(UserError, match="is 2000, wanted is 500"):
        convert(str(saved), str(tmp_path / "out"), to="hugging-face", assumed=given)


@pytest.mark.parametrize("to", ["xlnet", "tensorflow", "hugging-face"])
@pytest.mark.parametrize("is_passed", [True, False])
def test_another_vocabulary_of_the_same_size_is_refused(saved, text, tmp_path, to, is_passed):
    other = str(tmp_path / "other.model")
    vocab.train([str(text[0])], other, settings=vocab.VocabularySettings(size=500))
    given = Assumptions(vocabulary=other) if is_passed else None
    if not is_passed:
        shutil.copy(other, saved / "spiece.model")
    with pytest.raises(UserError, match=r"the SHA-256 of .* is '[0-9a-f]{64}', wanted is [0-9a-f]{64}, of the voc"):
        convert(str(saved), str(tmp_path / "out"), to=to, assumed=given)


def test_a_transformer_xl_comes_back_by_way_of_tensorflow(tmp_path, vocabulary):
    config = replace(CONFIG, attention="uni", clamp_length=9, same_length=True)
    save_model(str(tmp_path / "ours"), Backbone(config), config=config, vocabulary=vocabulary,
               text={"lower": False, "keep_accents": False}, head=None, provenance={})  # fmt: skip
    summary = convert(str(tmp_path / "ours"), str(tmp_path / "theirs"), to="tensorflow")
    assert any("passes over what xlnet_config.json tells" in note for note in summary["notes"])
    convert(str(tmp_path / "theirs"), str(tmp_path / "back"), to="xlnet")
    assert load_config(str(tmp_path / "back")) == config
    plain = {key: value for key, value in config.to_reference().items() if key in REFERENCE_KEYS}
    (tmp_path / "theirs/xlnet_config.json").write_text(json.dumps(plain))  # as the reference writes it
    for number, attention in enumerate([None, "uni"]):
        given = Assumptions(attention=attention)
        convert(str(tmp_path / "theirs"), str(tmp_path / str(number)), to="xlnet", assumed=given)
        assert load_config(str(tmp_path / str(number))).attention == (attention or "bi")


@pytest.mark.parametrize(
    ("flag", "given"),
    [
        ("--classes", Assumptions(classes=("a", "b", "c"))),
        ("--attention", Assumptions(attention="uni")),
        ("--lower", Assumptions(lower=True)),
        ("--keep-accents", Assumptions(keep_accents=True)),
    ],
)
def test_what_a_model_says_itself_is_not_assumed(saved, reference, tmp_path, flag, given):
    with pytest.raises(UserError, match=f"^{flag} is for a TensorFlow c.*, which .* is not; leave it out"):
        convert(str(saved), str(tmp_path / "out"), to="xlnet", assumed=given)
    if given.classes:
        with pytest.raises(UserError, match="--classes is for a TensorFlow classifier"):
            convert(str(reference), str(tmp_path / "out"), to="xlnet", assumed=given)


def test_a_hugging_face_folder_is_no_start(saved, tmp_path):
    convert(str(saved), str(tmp_path / "theirs"), to="hugging-face")
    with pytest.raises(UserError, match="xlnet convert"):
        load_config(str(tmp_path / "theirs"))


def test_what_is_no_model_directory_names_the_way_to_one(saved, tmp_path):
    for kind in ("hugging-face", "tensorflow"):
        convert(str(saved), str(tmp_path / kind), to=kind)
    shutil.copytree(saved, tmp_path / "run/model")
    with pytest.raises(UserError, match=r"hugging-face/config.json: it is Hugging Face's; `xlnet convert`"):
        read_description(str(tmp_path / "hugging-face"))
    with pytest.raises(UserError, match=r"config.json does not exist; `xlnet convert` makes .* TensorFlow checkpoint$"):
        read_description(str(tmp_path / "tensorflow"))
    with pytest.raises(UserError, match=r"run is a run, give the model in it, .*run/model$"):
        read_description(str(tmp_path / "run"))
    with pytest.raises(UserError, match=r"config.json does not exist; give a model directory$"):
        read_description(str(tmp_path))
    with pytest.raises(UserError, match=r"holds none of .*`xlnet convert` gives to Hugging Face's$"):
        load_weights(Backbone(CONFIG), str(tmp_path / "hugging-face"))


def load(name: str):
    """A file of this folder, which is no test."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).resolve().parent / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_format_may_lie_in_a_bucket(saved, tmp_path, monkeypatch):
    pytest.importorskip("google.cloud.storage")
    server, kept = load("storage_server"), load("storage_objects")
    with server.serving(kept.Objects("b")) as service:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", service.address)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        place = str(saved)
        for number, kind in enumerate(["tensorflow", "xlnet", "hugging-face", "xlnet", "tensorflow"]):
            convert(place, f"gs://b/{number}", to=kind, task="imdb")
            place = f"gs://b/{number}"
        convert(f"{place}/xlnet_model.ckpt", str(tmp_path / "here"), to="tensorflow")
    wanted = load_file(saved / "model.safetensors")
    found = variables(tmp_path / "here/xlnet_model.ckpt")
    same({name.replace("_imdb", ""): array for name, array in found.items()}, wanted)


def test_the_verb(saved, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("xlnet.frameworks.load", lambda: None)
    assert cli.main(["convert", str(saved), str(tmp_path / "out"), "--to", "tensorflow"]) == 0
    told = capsys.readouterr().out
    assert "classification" in told
    assert "note: classes ['no', 'yes', 'perhaps'], summary " in told
    assert cli.main(["convert", str(saved), str(tmp_path / "out"), "--to", "tensorflow"]) == 2
    assert "already holds something" in capsys.readouterr().err
    assert cli.main(["convert", str(tmp_path / "none"), str(tmp_path / "new"), "--to", "xlnet"]) == 2
    assert "is no model" in capsys.readouterr().err
    saved.rename(tmp_path / "model")
    assert cli.main(["convert", str(tmp_path), str(tmp_path / "new"), "--to", "xlnet"]) == 2
    assert "is a run; give the model in it" in capsys.readouterr().err
    assert load_weights(Backbone(CONFIG), str(tmp_path / "out")).missing == ()
