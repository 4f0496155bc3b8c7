"""Summaries and classifiers against the reference's recorded runs."""

import dataclasses
import functools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from xlnet.errors import UserError
from xlnet.model.checkpoints import load_config, load_weights, reference_variables
from xlnet.model.config import ModelConfig
from xlnet.model.heads import SequenceClassifier, SequenceSummary
from xlnet.model.multiple_choice import MultipleChoice
from xlnet.model.span_answerer import SpanAnswerer
from xlnet.model.token_classifier import TokenClassifier

HEADS: dict[str, dict[str, Any]] = {
    "cls_last": {"classes": 3},
    "cls_attn": {"classes": 2, "summary": "attn"},
    "cls_mean_noproj": {"classes": 5, "summary": "mean", "projection": False},
    "reg_first": {"classes": None, "summary": "first"},
    "race": {},
}
RANDOM = keras.random.SeedGenerator(0)
ROUNDING = 1e-6  # the bias of a choice adds the same to all options: its gradient is zero but for rounding


@pytest.mark.parametrize("model", ["tiny_a", "tiny_b"])
@pytest.mark.parametrize("kind", ["left", "right", "bsz1"])
@pytest.mark.parametrize("summary", ["last", "first", "mean", "attn"])
@pytest.mark.parametrize("projection", [True, False])
def test_summaries_are_as_recorded(
    case: Any, compiled: Any, model: str, kind: str, summary: str, projection: bool
) -> None:
    recorded = case(f"model_{model}_finetune_{kind}.npz")
    layer = SequenceSummary(recorded.config, summary=summary, projection=projection, random=RANDOM)
    for name, variable in layer.reference_variables().items():
        variable.assign(recorded.arrays[f"var/{name}"])
    hidden, padding = recorded.time_major("out/output"), recorded.batch_major("in/input_mask")
    found = compiled(lambda: layer(hidden, padding))
    wanted = recorded.arrays[f"out/summary_{summary}_{'proj' if projection else 'noproj'}"]
    np.testing.assert_allclose(ops.convert_to_numpy(found), wanted, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", HEADS)
def test_heads_are_as_recorded(golden: Callable[[str], Path], compiled: Any, gradients: Any, name: str) -> None:
    recorded = np.load(golden(f"heads/{name}.npz"))
    config = dataclasses.replace(
        load_config(str(golden("heads/xlnet_config.json"))), dropout=0.0, attention_dropout=0.0
    )
    model = MultipleChoice(config) if name == "race" else SequenceClassifier(config, **HEADS[name])
    report = load_weights(model, str(golden(f"heads/{name}")))
    assert report.missing == ("model/transformer/mask_emb/mask_emb",)
    assert report.unexpected == ()
    inputs = {
        "pieces": recorded["in/input_ids"],
        "segments": recorded["in/segment_ids"],
        "padding": recorded["in/input_mask"],
    }
    labels = recorded["in/label_ids"]
    if name == "race":  # the options of a question are in a row there
        inputs = {key: values.reshape(len(labels), 4, -1) for key, values in inputs.items()}

    def losses() -> Any:
        logits = model(inputs)
        if name == "reg_first":
            return ops.square(logits - labels)
        return -ops.sum(ops.log_softmax(logits) * np.eye(logits.shape[-1], dtype="float32")[labels], axis=-1)

    logits, by_example = (ops.convert_to_numpy(x) for x in compiled(lambda: (model(inputs), losses())))
    np.testing.assert_allclose(logits, recorded["out/logits"], atol=2e-5, rtol=0)
    np.testing.assert_allclose(by_example, recorded["out/per_example_loss"], rtol=1e-4)
    variables = reference_variables(model)
    total, found = gradients(lambda: ops.mean(losses()), list(variables.values()))
    assert total == pytest.approx(float(recorded["out/total_loss"]), rel=1e-4)
    norm = np.sqrt(sum(float(np.sum(np.square(gradient))) for gradient in found))
    assert norm == pytest.approx(float(recorded["out/global_norm_dense"]), rel=1e-4)
    compared = _compare(dict(zip(variables, found, strict=True)), recorded)
    assert compared == sum(key.startswith("grad/") for key in recorded.files)


def _compare(found: dict[str, np.ndarray], recorded: Any) -> int:
    compared = 0
    for key in recorded.files:
        if key.startswith("grad/"):
            name = key.removeprefix("grad/")
            if "/logit/" in name:
                name = f"{name.split('_')[0]}/logit/{name.rsplit('/', 1)[1]}"
            wanted = recorded[key]
            size = np.linalg.norm(wanted)
            allowed = 1e-4 * size + 1e-7 if size > ROUNDING else ROUNDING
            assert np.linalg.norm(found[name] - wanted) <= allowed, name
            compared += 1
    return compared


def test_unknown_summaries_and_too_few_classes_are_refused() -> None:
    config = ModelConfig(vocab_size=50, layers=1, model_dim=16, heads=2, head_dim=8, feedforward_dim=32)
    with pytest.raises(UserError, match="'max'; choose one of last, first, mean, attn"):
        SequenceSummary(config, summary="max", random=RANDOM)
    with pytest.raises(UserError, match="1 classes were given"):
        SequenceClassifier(config, classes=1)


SMALL = ModelConfig(vocab_size=50, layers=1, model_dim=16, heads=2, head_dim=8, feedforward_dim=32)


def test_options_see_nothing_of_each_other_and_those_that_are_none_are_never_chosen(compiled: Any) -> None:
    model = MultipleChoice(SMALL, seed=1)
    draw = np.random.default_rng(0)
    inputs = {
        "pieces": draw.integers(9, 50, (2, 3, 6)),
        "segments": np.zeros((2, 3, 6), np.int32),
        "padding": np.zeros((2, 3, 6), np.int32),
    }
    inputs["padding"][:, :, 0] = 1
    whole = ops.convert_to_numpy(compiled(lambda: model(inputs)))
    inputs["padding"][1, 2] = 1
    inputs["pieces"][0, 0] = inputs["pieces"][1, 2] = 11
    found = ops.convert_to_numpy(compiled(lambda: model(inputs)))
    np.testing.assert_allclose(found[0, 1:], whole[0, 1:], atol=1e-6)
    np.testing.assert_allclose(found[1, :2], whole[1, :2], atol=1e-6)
    assert found[0, 0] != whole[0, 0]
    assert ops.convert_to_numpy(ops.softmax(found))[1, 2] == 0


def test_every_piece_gets_the_same_label_wherever_the_padding_ends(compiled: Any) -> None:
    model = TokenClassifier(SMALL, classes=3, seed=1)
    pieces = np.arange(10, 18)[None]
    wide = np.pad(pieces, ((0, 0), (4, 0)))
    padding = (np.arange(12) < 4)[None].astype("int32")
    narrow = ops.convert_to_numpy(compiled(lambda: model({"pieces": pieces})))
    found = ops.convert_to_numpy(compiled(lambda: model({"pieces": wide, "padding": padding})))
    assert narrow.shape == (1, 8, 3)
    np.testing.assert_allclose(found[:, 4:], narrow, atol=1e-5)
    with pytest.raises(UserError, match="1 labels were given"):
        TokenClassifier(SMALL, classes=1)


MODELS: dict[str, Callable[..., Any]] = {
    "sentences": functools.partial(SequenceClassifier, classes=3, summary="attn"),
    "options": MultipleChoice,
    "pieces": functools.partial(TokenClassifier, classes=3),
    "spans": SpanAnswerer,
}


@pytest.mark.parametrize("kind", MODELS)
def test_weights_follow_from_the_seed_alone_and_are_all_drawn_apart(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def made(seed: int) -> dict[str, np.ndarray]:
        named = reference_variables(MODELS[kind](SMALL, seed=seed))
        return {name: ops.convert_to_numpy(variable) for name, variable in named.items()}

    monkeypatch.setattr(random, "randint", lambda *_: pytest.fail("drawn from the process's generator, not the seed"))
    weights, again, others = made(1), made(1), made(2)
    for name, values in weights.items():
        np.testing.assert_array_equal(again[name], values, err_msg=name)
    drawn = {name: values for name, values in weights.items() if values.std()}
    assert all((others[name] != values).any() for name, values in drawn.items())
    first = [values.flat[0] for values in drawn.values()]
    assert len(drawn) > 10
    assert len(set(first)) == len(first)
