"""Span answers against the reference's recorded run."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras import ops

from xlnet.errors import UserError
from xlnet.model.checkpoints import load_config, load_weights, reference_variables
from xlnet.model.config import ModelConfig
from xlnet.model.span_answerer import SpanAnswerer, span_losses

BEAM = {"start_log_probs": "start_top_log_probs", "starts": "start_top_index"}
ENDS = {"end_log_probs": "end_top_log_probs", "ends": "end_top_index"}


@pytest.fixture(scope="module")
def recorded(golden: Callable[[str], Path]) -> Any:
    return np.load(golden("heads/squad.npz"))


@pytest.fixture(scope="module")
def model(golden: Callable[[str], Path]) -> SpanAnswerer:
    config = load_config(str(golden("heads/xlnet_config.json")))
    answerer = SpanAnswerer(dataclasses.replace(config, dropout=0.0, attention_dropout=0.0))
    report = load_weights(answerer, str(golden("heads/squad")))
    assert report.missing == ("model/transformer/mask_emb/mask_emb",)
    assert report.unexpected == ()
    return answerer


@pytest.fixture(scope="module")
def inputs(recorded: Any) -> dict[str, np.ndarray]:
    names = {"pieces": "input_ids", "segments": "segment_ids", "padding": "input_mask", "excluded": "p_mask"}
    return {ours: recorded[f"in/{theirs}"] for ours, theirs in names.items()} | {"cls": recorded["in/cls_index"]}


def test_the_beam_is_as_recorded(recorded: Any, model: SpanAnswerer, inputs: Any, compiled: Any) -> None:
    found = {name: ops.convert_to_numpy(value) for name, value in compiled(lambda: model(inputs)).items()}
    rows = len(found["starts"])
    for ours, theirs in (BEAM | ENDS).items():
        compare = np.testing.assert_array_equal if theirs.endswith("index") else close
        compare(found[ours].reshape(rows, -1), recorded[f"infer/{theirs}"])
    close(found["impossible"], recorded["infer/cls_logits"])


def test_training_is_as_recorded(
    recorded: Any, model: SpanAnswerer, inputs: Any, compiled: Any, gradients: Any
) -> None:
    last = inputs["pieces"].shape[1] - 1
    start, end = (last - recorded[f"in/{name}_positions"] for name in ("start", "end"))
    forced = inputs | {"start": start}
    found = {name: ops.convert_to_numpy(value) for name, value in compiled(lambda: model(forced)).items()}
    close(found["start"], recorded["train/start_log_probs"])
    close(found["end"], recorded["train/end_log_probs"])
    close(found["impossible"], recorded["train/cls_logits"])
    targets = {"start": start, "end": end, "impossible": recorded["in/is_impossible"]}
    variables = reference_variables(model)
    loss, slopes = gradients(lambda: ops.mean(span_losses(model(forced), **targets)), list(variables.values()))
    assert loss == pytest.approx(float(recorded["train/total_loss"]), rel=1e-4)
    norm = np.sqrt(sum(float(np.sum(np.square(slope))) for slope in slopes))
    assert norm == pytest.approx(float(recorded["train/global_norm_dense"]), rel=1e-4)
    by_name = dict(zip(variables, slopes, strict=True))
    compared = [key for key in recorded.files if key.startswith("grad/")]
    for key in compared:
        wanted = recorded[key]
        assert np.linalg.norm(by_name[key.removeprefix("grad/")] - wanted) <= 1e-4 * np.linalg.norm(wanted) + 1e-7, key
    assert len(compared) == 16


def test_padding_on_the_other_side_changes_nothing(model: SpanAnswerer, inputs: Any, compiled: Any) -> None:
    length = inputs["pieces"].shape[1]
    shift = length - 1 - inputs["cls"]
    turned = (np.arange(length) - shift[:, None]) % length
    left = {name: np.take_along_axis(inputs[name], turned, axis=1) for name in inputs if name != "cls"}
    found, wanted = compiled(lambda: (model(left), model(inputs)))
    found, wanted = ({name: ops.convert_to_numpy(value) for name, value in one.items()} for one in (found, wanted))
    assert (found["starts"] == (wanted["starts"] + shift[:, None]) % length).all()
    close(found["start_log_probs"], wanted["start_log_probs"])
    close(found["end_log_probs"], wanted["end_log_probs"])
    close(found["impossible"], wanted["impossible"])


def close(found: np.ndarray, wanted: np.ndarray) -> None:
    is_excluded = wanted < -1e29
    assert (found[is_excluded] < -1e29).all()
    np.testing.assert_allclose(found[~is_excluded], wanted[~is_excluded], rtol=0, atol=2e-5)


def test_a_beam_without_width_is_refused() -> None:
    config = ModelConfig(vocab_size=50, layers=1, model_dim=16, heads=2, head_dim=8, feedforward_dim=32)
    with pytest.raises(UserError, match="start_top is 0 and end_top 5"):
        SpanAnswerer(config, start_top=0)
