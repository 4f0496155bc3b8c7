"""Hugging Face's own models answer as ours do, whichever of the two a conversion began with."""

import dataclasses
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from xlnet import conversion
from xlnet.model.backbone import Backbone
from xlnet.model.checkpoints import load_config, load_weights, reference_variables, save_model
from xlnet.model.config import ModelConfig
from xlnet.model.heads import LanguageModelHead, SequenceClassifier
from xlnet.model.token_classifier import TokenClassifier
from xlnet.tasks.predictor import Predictor

HERE = Path(__file__).resolve().parent
PYTHON = HERE.parent / ".venv-bench" / "bin" / "python"
CONFIG = ModelConfig(vocab_size=500, layers=2, model_dim=16, heads=2, head_dim=8, feedforward_dim=32)
TIED = dataclasses.replace(CONFIG, untie_biases=False, activation="relu")
CLASSES = ["no", "yes", "perhaps"]
THEIRS = {
    "vocab_size": 500, "n_layer": 2, "d_model": 16, "n_head": 2, "d_inner": 32, "ff_activation": "gelu_new",
}  # fmt: skip
OURS = {  # name -> the class of theirs, configuration and head of ours
    "language": ("XLNetLMHeadModel", CONFIG, None),
    "tied": ("XLNetLMHeadModel", TIED, None),
    "causal": ("XLNetLMHeadModel", dataclasses.replace(TIED, attention="uni"), None),
    "last": ("XLNetForSequenceClassification", CONFIG, {"classes": CLASSES, "summary": "last", "projection": True}),
    "mean": ("XLNetForSequenceClassification", TIED, {"classes": CLASSES, "summary": "mean", "projection": False}),
    "rating": ("XLNetForSequenceClassification", CONFIG, {"classes": None, "summary": "first", "projection": True}),
    "labels": ("XLNetForTokenClassification", CONFIG, {"classes": CLASSES}),
}
MADE = {  # name -> the class of theirs, and its settings
    "theirs": ("XLNetLMHeadModel", {}),
    "their-gelu": ("XLNetLMHeadModel", {"ff_activation": "gelu"}),
    "their-relu": ("XLNetLMHeadModel", {"ff_activation": "relu", "clamp_len": 5}),
    "their-classes": ("XLNetForSequenceClassification", {"num_labels": 3, "summary_type": "first"}),
    "their-rating": ("XLNetForSequenceClassification", {"num_labels": 1}),
    "their-labels": ("XLNetForTokenClassification", {"num_labels": 5}),
    "their-options": ("XLNetForMultipleChoice", {}),
    "their-spans": ("XLNetForQuestionAnswering", {}),
}
RECORDED = {  # runs of the reference's heads -> the class of theirs, its summary
    "cls_last": ("XLNetForSequenceClassification", "last"),
    "cls_mean_noproj": ("XLNetForSequenceClassification", "mean"),
    "reg_first": ("XLNetForSequenceClassification", "first"),
    "race": ("XLNetForMultipleChoice", "last"),
    "squad": ("XLNetForQuestionAnswering", "last"),
}

pytestmark = pytest.mark.slow


def shuffled(model: keras.layers.Layer, *, seed: int) -> None:
    """Give every weight random values: an error in one that is zero or one would not show."""
    random = np.random.default_rng(seed)
    for name, weight in reference_variables(model).items():
        weight.assign(("gamma" in name) + 0.3 * random.standard_normal(weight.shape))


def batch(seed: int = 3, rows: int = 3, length: int = 12) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    padding = np.zeros((rows, length), np.float32)
    padding[0, :4] = padding[1, :1] = 1
    hidden = np.triu(np.ones((length, length), np.float32))[random.permutation(length)]
    return {
        "input_ids": random.integers(9, 500, (rows, length)).astype("int32"),
        "token_type_ids": np.sort(random.integers(0, 3, (rows, length)), axis=1).astype("int32"),
        "input_mask": padding,
        "perm_mask": np.broadcast_to(hidden, (rows, length, length)).copy(),
    }


def inputs_of(name: str) -> dict[str, np.ndarray]:
    given = batch()
    if name == "their-options":  # two of each
        given = {key: array.reshape(3, 2, 12) for key, array in batch(rows=6).items() if key != "perm_mask"}
    if name == "their-spans":
        excluded = np.maximum(given["input_mask"], np.arange(12) == 11).astype(np.float32)
        given |= {"p_mask": excluded, "cls_index": np.full(3, 11, np.int32)}
    if name == "causal":  # their model takes no mask beside its own
        del given["input_mask"]
    if name not in ("language", "tied", "theirs", "their-gelu", "their-relu"):
        given.pop("perm_mask", None)
    if name == "language":  # the query stream at two positions
        mapping = np.zeros((3, 2, 12), np.float32)
        mapping[:, 0, 3] = mapping[:, 1, 10] = 1
        given["target_mapping"] = mapping
    return given


def our_language_model(directory: str) -> Callable[[dict[str, np.ndarray]], np.ndarray]:
    backbone = Backbone(load_config(directory))
    head = LanguageModelHead(backbone)
    model = keras.Sequential([backbone, head])
    assert load_weights(model, directory).missing == ()

    def run(given: dict[str, np.ndarray]) -> np.ndarray:
        visible = given["perm_mask"] == 0 if "perm_mask" in given else None
        about: dict[str, Any] = {"padding": given.get("input_mask"), "visible": visible}
        pieces, segments = given["input_ids"], given["token_type_ids"]
        if "target_mapping" in given:
            positions = np.argmax(given["target_mapping"], axis=-1)
            seen = np.take_along_axis(visible, positions[..., None], axis=1) & (given["input_mask"] == 0)[:, None, :]
            hidden, _ = backbone.two_stream(
                pieces,
                segments,
                visible=visible & ((given["input_mask"] == 0)[:, None, :] | np.eye(12, dtype=bool)),
                query_visible=seen,
                target_positions=positions,
                target_mask=np.ones(positions.shape, np.float32),
            )
        else:
            hidden, _ = backbone(pieces, segments, **about)
        return ops.convert_to_numpy(head.logits(hidden))

    return run


def our_answers(directory: str, given: dict[str, np.ndarray]) -> np.ndarray:
    if json.loads(Path(directory, "config.json").read_text())["head"] is None:
        return our_language_model(directory)(given)
    predictor = Predictor.load(directory)
    inputs = {"pieces": given["input_ids"], "segments": given["token_type_ids"], "padding": given["input_mask"]}
    if "p_mask" in given:
        return joined(predictor.model(inputs | {"excluded": given["p_mask"], "cls": given["cls_index"]}))
    return ops.convert_to_numpy(predictor.model(inputs)).reshape(len(given["input_ids"]), -1)


def joined(found: dict[str, Any]) -> np.ndarray:
    """All that is found of rows, a row each."""
    arrays = [ops.convert_to_numpy(found[name]) for name in sorted(found)]
    return np.concatenate([array.reshape(len(array), -1) for array in arrays], axis=1)


def spans(theirs: Any) -> dict[str, np.ndarray]:
    """Their answers as ours: logarithms, which theirs are not, whatever their name; ends by start, then by end."""

    def by_start(ends: np.ndarray) -> np.ndarray:
        return ends.reshape(len(ends), 5, 5).swapaxes(1, 2).reshape(len(ends), 25)

    return {
        "impossible": theirs["cls_logits"],
        "start_log_probs": np.log(theirs["start_top_log_probs"]),
        "starts": theirs["start_top_index"],
        "end_log_probs": by_start(np.log(theirs["end_top_log_probs"])),
        "ends": by_start(theirs["end_top_index"]),
    }


def save_ours(place: Path, config: ModelConfig, head: dict[str, Any] | None, vocabulary: str) -> None:
    if head is None:
        backbone = Backbone(config)
        model: keras.layers.Layer = keras.Sequential([backbone, LanguageModelHead(backbone)])
    elif "summary" not in head:
        model = TokenClassifier(config, classes=len(head["classes"]))
        columns = {"word": "0", "label": "3"}
        head = head | {"task": "token-classification", "sequence_length": 12, "columns": columns}
    else:
        classes = head["classes"]
        model = SequenceClassifier(
            config,
            classes=None if classes is None else len(classes),
            summary=head["summary"],
            projection=head["projection"],
        )
        columns = {"text": "body", "pair": None, "label": "label", "header": True}
        task = "regression" if classes is None else "classification"
        head = head | {"task": task, "sequence_length": 12, "columns": columns}
    shuffled(model, seed=len(place.parent.name))
    text = {"lower": False, "keep_accents": True}
    save_model(str(place), model, config=config, vocabulary=vocabulary, text=text, head=head, provenance={})


def prepare(place: Path, kind: str, given: dict[str, np.ndarray], settings: dict[str, Any] | None) -> None:
    place.mkdir(exist_ok=True, parents=True)
    (place / "job.json").write_text(json.dumps({"class": kind, "make": settings}))
    np.savez(place / "inputs.npz", **given)


def run_peer(jobs: Path) -> None:
    quiet = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [PYTHON, HERE / "hugging_face_peer.py", jobs], env=quiet, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def prepare_recorded(heads: Path, jobs: Path) -> None:
    """What the reference was given and wrote, converted for the peer."""
    for name, (kind, summary) in RECORDED.items():
        shutil.copytree(heads / name, jobs / name / "reference")
        shutil.copy(heads / "xlnet_config.json", jobs / name / "reference")
        given = conversion.Assumptions(summary=summary)
        conversion.convert(str(jobs / name / "reference"), str(jobs / name / "model"), to="hugging-face", assumed=given)
        arrays = np.load(heads / f"{name}.npz")
        inputs = {"input_ids": "input_ids", "token_type_ids": "segment_ids", "input_mask": "input_mask"}
        inputs |= {"p_mask": "p_mask", "cls_index": "cls_index"} if name == "squad" else {}
        batch = {theirs: arrays[f"in/{ours}"] for theirs, ours in inputs.items()}
        if name == "race":  # four options each, one behind the other
            batch = {key: array.reshape(2, 4, 12) for key, array in batch.items()}
        prepare(jobs / name, kind, batch, None)


@pytest.fixture(scope="module")
def peer(tmp_path_factory, vocabulary, golden) -> Path:
    """The folder of all jobs, answered by the peer."""
    if not PYTHON.exists():
        pytest.skip("the peer's environment is not here: make .venv-bench/.peer")
    ours, jobs = tmp_path_factory.mktemp("ours"), tmp_path_factory.mktemp("jobs")
    for name, (kind, config, head) in OURS.items():
        save_ours(ours / name / "model", config, head, vocabulary)
        conversion.convert(str(ours / name / "model"), str(jobs / name / "model"), to="hugging-face")
        prepare(jobs / name, kind, inputs_of(name), None)
        (jobs / name / "ours").symlink_to(ours / name / "model")
    for name, (kind, settings) in MADE.items():
        prepare(jobs / name, kind, inputs_of(name), THEIRS | settings)
    prepare_recorded(golden("heads"), jobs)
    run_peer(jobs)
    return jobs


def difference(place: Path, directory: str) -> float:
    answers = np.load(place / "outputs.npz")
    theirs = joined(spans(answers)) if "cls_logits" in answers else answers["logits"]
    theirs = theirs if theirs.shape[-1] == 500 else theirs.reshape(len(theirs), -1)  # of labels: of every piece
    ours = our_answers(directory, dict(np.load(place / "inputs.npz")))
    assert ours.shape == theirs.shape
    assert theirs.std() > 0.1
    return float(np.abs(ours - theirs).max())


@pytest.mark.parametrize("name", OURS)
def test_their_model_answers_as_ours(peer, name):
    assert difference(peer / name, str(peer / name / "ours")) < 1e-4


@pytest.mark.parametrize("name", MADE)
def test_our_model_answers_as_theirs(peer, tmp_path, vocabulary, name):
    given = conversion.Assumptions(vocabulary=vocabulary, sequence_length=12)
    conversion.convert(str(peer / name / "model"), str(tmp_path / "model"), to="xlnet", assumed=given)
    assert difference(peer / name, str(tmp_path / "model")) < 1e-4


def test_what_they_save_comes_back(peer, tmp_path, vocabulary):
    """Ours, loaded and saved by nobody but converted twice, and theirs through ours, hold the same bits."""
    from safetensors.numpy import load_file

    given = conversion.Assumptions(vocabulary=vocabulary, sequence_length=12)
    for name in MADE:
        conversion.convert(str(peer / name / "model"), str(tmp_path / name), to="xlnet", assumed=given)
        conversion.convert(str(tmp_path / name), str(tmp_path / f"{name}-back"), to="hugging-face")
        before, after = (
            load_file(peer / name / "model/model.safetensors"),
            load_file(tmp_path / f"{name}-back/model.safetensors"),
        )
        assert set(before) == set(after)
        for key, array in before.items():
            np.testing.assert_array_equal(array, after[key], err_msg=key)


@pytest.mark.parametrize("name", RECORDED)
def test_their_model_answers_as_the_reference_did(peer, golden, name):
    """TensorFlow checkpoints of every head, through ours, against numbers that the reference wrote."""
    recorded, theirs = np.load(golden(f"heads/{name}.npz")), np.load(peer / name / "outputs.npz")
    if name != "squad":
        wanted = recorded["out/logits"]
        np.testing.assert_allclose(theirs["logits"].reshape(wanted.shape), wanted, atol=1e-4)
        return
    found = spans(theirs)
    np.testing.assert_allclose(found["start_log_probs"], recorded["infer/start_top_log_probs"], atol=1e-4)
    np.testing.assert_allclose(found["impossible"], recorded["infer/cls_logits"], atol=1e-4)
    np.testing.assert_allclose(found["end_log_probs"], recorded["infer/end_top_log_probs"], atol=1e-4)
