import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xlnet import storage
from xlnet.errors import UserError
from xlnet.evaluations.measures import measures
from xlnet.evaluations.stored import Evaluation
from xlnet.model.backbone import Backbone
from xlnet.model.checkpoints import save_model
from xlnet.model.config import ModelConfig
from xlnet.tasks import registry
from xlnet.tasks.classification import Classification
from xlnet.tasks.predictor import Predictor, answers
from xlnet.training.evaluation import evaluate

TINY = ModelConfig(
    vocab_size=2000, layers=1, model_dim=16, heads=2, head_dim=8, feedforward_dim=32, initializer_stddev=0.5
)
HEAD: dict[str, Any] = {
    "task": "classification",
    "classes": ["no", "yes"],
    "summary": "last",
    "projection": True,
    "sequence_length": 16,
    "columns": {"text": "text", "pair": None, "label": "label", "header": None},
}
REGRESSION = HEAD | {"task": "regression", "classes": None}
WORDS = ["the", "of", "and", "water", "pond", "house", "day", "man", "night", "light", "earth", "summer"]


def write_model(directory, vocabulary, head):
    save_model(
        directory,
        registry.from_head(head, where="head").model(TINY) if head else Backbone(TINY),
        config=TINY,
        vocabulary=str(vocabulary),
        text={"lower": False, "keep_accents": False},
        head=head,
        provenance={},
    )
    return directory


@pytest.fixture(scope="module")
def model(tmp_path_factory, golden):
    return write_model(str(tmp_path_factory.mktemp("m") / "model"), golden("spiece.model"), HEAD)


@pytest.fixture
def data(tmp_path):
    draw = np.random.default_rng(0)
    rows = [(" ".join(draw.choice(WORDS, size=draw.integers(1, 20))), ["no", "yes"][row % 3 > 0]) for row in range(21)]
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
    return str(path)


def predictions(output):
    return [json.loads(line) for line in Path(output, "predictions.jsonl").read_text().splitlines()]


def test_metrics_are_those_of_the_predictions_beside_them(model, data, tmp_path):
    output = str(tmp_path / "out")
    result = evaluate(model=model, data=data, output=output, progress=False)
    assert storage.read_json(f"{output}/evaluation.json") == result
    lines = predictions(output)
    assert [line["truth"] for line in lines] == ["no", "yes", "yes"] * 7
    assert {line["predicted"] for line in lines} == {"no", "yes"}
    right = [line["truth"] == line["predicted"] for line in lines]
    assert result["metrics"]["accuracy"] == pytest.approx(np.mean(right))
    assert result["majority"]["class"] == "yes"
    assert result["majority"]["accuracy"] == pytest.approx(2 / 3)
    truth, predicted = ([line[name] for line in lines] for name in ("truth", "predicted"))
    expected = [
        [sum(t == row and p == column for t, p in zip(truth, predicted, strict=True)) for column in HEAD["classes"]]
        for row in HEAD["classes"]
    ]
    assert result["confusion"] == expected
    loss = -np.mean([np.log(line["probabilities"][HEAD["classes"].index(line["truth"])]) for line in lines])
    assert result["loss"] == pytest.approx(loss)
    for measure in measures(Evaluation.read(output)):
        assert measure.of() == pytest.approx(result["metrics"][measure.name])
    for line in lines:
        assert sum(line["probabilities"]) == pytest.approx(1)
        assert line["predicted"] == HEAD["classes"][int(np.argmax(line["probabilities"]))]


def test_results_do_not_depend_on_the_batch_size(model, data, tmp_path):
    found = {}
    for size in (1, 8, 64):
        evaluate(model=model, data=data, output=str(tmp_path / str(size)), batch_size=size, progress=False)
        found[size] = np.array([line["probabilities"] for line in predictions(tmp_path / str(size))])
    np.testing.assert_allclose(found[1], found[64], atol=1e-5)
    np.testing.assert_allclose(found[8], found[64], atol=1e-5)
    assert np.ptp(found[64][:, 0]) > 0.05  # texts are told apart, so rows cannot have been mixed up


def test_regression_is_measured_in_its_own_way(data, tmp_path, golden):
    model = write_model(str(tmp_path / "model"), golden("spiece.model"), REGRESSION)
    path = tmp_path / "data.tsv"
    path.write_text("text\tlabel\nthe pond\t1.5\nday and night\t2\nsummer\t4\n")
    result = evaluate(model=model, data=str(path), output=str(tmp_path / "out"), batch_size=2, progress=False)
    lines = predictions(tmp_path / "out")
    values = np.array([line["predicted"] for line in lines])
    truth = np.array([1.5, 2, 4])
    assert [line["truth"] for line in lines] == truth.tolist()
    assert result["metrics"]["mean_squared_error"] == pytest.approx(np.mean((values - truth) ** 2), rel=1e-5)
    assert result["metrics"]["pearson"] == pytest.approx(np.corrcoef(values, truth)[0, 1], abs=1e-5)
    for measure in measures(Evaluation.read(str(tmp_path / "out"))):
        assert measure.of() == pytest.approx(result["metrics"][measure.name])
    assert result["mean"]["mean_squared_error"] == pytest.approx(np.var(truth))
    assert "confusion" not in result


def test_what_the_user_can_mend_leaves_nothing_behind(model, data, tmp_path, golden):
    output = str(tmp_path / "runs" / "out")
    unknown = tmp_path / "unknown.tsv"
    unknown.write_text("text\tlabel\na\tno\nb\tperhaps\n")
    with pytest.raises(UserError, match=r"unknown\.tsv:3: the label 'perhaps' is unknown .* it knows 'no', 'yes'"):
        evaluate(model=model, data=str(unknown), output=output)
    with pytest.raises(UserError, match="does not exist"):
        evaluate(model=model, data=str(tmp_path / "none.tsv"), output=output)
    with pytest.raises(UserError, match=r"none/config\.json does not exist"):
        evaluate(model=str(tmp_path / "none"), data=data, output=output)
    headless = write_model(str(tmp_path / "headless"), golden("spiece.model"), None)
    with pytest.raises(UserError, match="holds a pretrained model without a head"):
        evaluate(model=headless, data=data, output=output)
    with pytest.raises(UserError, match="batch_size is 0"):
        evaluate(model=model, data=data, output=output, batch_size=0)
    with pytest.raises(UserError, match="already holds something"):
        evaluate(model=model, data=data, output=model)
    assert not (tmp_path / "runs").exists()


def test_progress_is_told_in_plain_lines(model, data, tmp_path, capsys):
    evaluate(model=model, data=data, output=str(tmp_path / "out"), batch_size=10)
    assert "evaluating 21/21 examples" in capsys.readouterr().err


def test_answers_are_asked_in_batches_of_one_shape():
    shapes = []

    def double(inputs):
        shapes.append(inputs["pieces"].shape)
        return inputs["pieces"] * 2

    told: list[int] = []
    found = answers(double, {"pieces": np.arange(14, dtype=np.int32).reshape(7, 2)}, batch_size=3, report=told.append)
    assert found.tolist() == (np.arange(14).reshape(7, 2) * 2).tolist()
    assert shapes == [(3, 2)] * 3
    assert told == [3, 6, 7]


def test_softmax_bears_large_logits():
    found = Classification(HEAD).readable(np.array([[1e4, 1e4], [0, np.log(3)]], np.float32))
    np.testing.assert_allclose(found, [[0.5, 0.5], [0.25, 0.75]])


def test_pairs_and_singles_are_not_confused(model):
    with pytest.raises(UserError, match="the model takes single texts"):
        Predictor.load(model).predict(["a"], ["b"])
