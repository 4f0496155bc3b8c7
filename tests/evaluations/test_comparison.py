import json

import numpy as np
import pytest

from xlnet.errors import UserError
from xlnet.evaluations import comparison


def evaluation(folder, lines, digest="d", task="classification"):
    folder.mkdir()
    described = {"task": task, "data_sha256": digest, "examples": len(lines), "metrics": {}}
    (folder / "evaluation.json").write_text(json.dumps(described))
    (folder / "predictions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(folder)


def answers(right, total):
    both = [{"predicted": "a", "probabilities": [0.8, 0.2]}, {"predicted": "b", "probabilities": [0.4, 0.6]}]
    return [{"text": "x", "truth": "a"} | both[number >= right] for number in range(total)]


def test_the_interval_is_that_of_theory_for_a_mean():
    """The difference of paired means has the standard error of the mean of the differences."""
    draw = np.random.default_rng(1)
    first, second = draw.normal(0.3, 1, 400), draw.normal(0, 1, 400)
    found = comparison.paired_bootstrap(first, second, resamples=8_000)
    error = (first - second).std() / 20
    assert found.difference == pytest.approx(first.mean() - second.mean())
    assert (found.high - found.low) / (2 * 1.96 * error) == pytest.approx(1, abs=0.04)


def test_a_model_is_never_better_than_itself():
    values = np.random.default_rng(0).normal(size=50)
    found = comparison.paired_bootstrap(values, values)
    assert (found.difference, found.low, found.high) == (0, 0, 0)
    assert (found.p_better, found.p_worse) == (1, 1)


def test_the_chance_of_a_difference_that_is_none_is_uniform():
    """Of comparisons of equally good models, 5 % come out better at 5 %."""
    draw = np.random.default_rng(3)
    chances = [
        comparison.paired_bootstrap(*draw.normal(size=(2, 60)), resamples=200, seed=seed).p_better
        for seed in range(400)
    ]
    assert 0.01 < np.mean(np.array(chances) <= 0.05) < 0.1


def test_a_small_real_difference_needs_many_examples():
    def chance(size):
        first = np.arange(size) % 10 < 8
        second = np.arange(size) % 10 < 7
        return comparison.paired_bootstrap(first.astype(float), second.astype(float)).p_better

    assert chance(10) > 0.05
    assert chance(1000) < 0.001


def test_the_same_evaluations_give_the_same_figures(tmp_path):
    one = evaluation(tmp_path / "one", answers(80, 100))
    other = evaluation(tmp_path / "other", answers(60, 100))
    found = comparison.of_evaluations(one, other)
    assert found == comparison.of_evaluations(one, other)
    assert (found.metric, found.examples, found.first, found.second) == ("accuracy", 100, 0.8, 0.6)
    assert found.p_better < 0.001
    assert comparison.of_evaluations(other, one).p_worse < 0.001


def test_regressions_are_compared_by_their_correlation(tmp_path):
    truth = np.linspace(0, 5, 60)
    noise = np.random.default_rng(0).normal(size=60)
    lines = [
        [{"text": "x", "truth": float(t), "predicted": float(t + scale * n)} for t, n in zip(truth, noise, strict=True)]
        for scale in (0.2, 3)
    ]
    folders = [evaluation(tmp_path / str(n), each, task="regression") for n, each in enumerate(lines)]
    found = comparison.of_evaluations(*folders)
    assert found.metric == "pearson"
    assert found.first == pytest.approx(np.corrcoef(truth, truth + 0.2 * noise)[0, 1])
    assert found.p_better < 0.001


def test_spans_are_compared_by_their_f1(tmp_path):
    line = {"question": "q", "context": "x y", "truth": ["x"], "predicted": "x y", "answers": [], "exact": 0, "f1": 0.5}
    one = evaluation(tmp_path / "one", [line] * 4, task="question-answering")
    found = comparison.of_evaluations(one, one)
    assert (found.metric, found.first) == ("f1", 0.5)


def test_entities_are_compared_by_their_f1_over_all_sentences(tmp_path):
    """Two found of three, one answered wrongly: 4 / 6; the mean over sentences would be another number."""
    truth = [["B-X", "I-X"], ["B-X", "B-Y"], ["O"]]
    predicted = [["B-X", "I-X"], ["B-X", "O"], ["B-Y"]]
    lines = [
        {"words": ["w"] * len(t), "truth": t, "predicted": p, "confidences": [0.5] * len(t)}
        for t, p in zip(truth, predicted, strict=True)
    ]
    one = evaluation(tmp_path / "one", lines, task="token-classification")
    described = json.loads((tmp_path / "one/evaluation.json").read_text())
    (tmp_path / "one/evaluation.json").write_text(json.dumps(described | {"entities": {}}))
    found = comparison.of_evaluations(one, one)
    assert found.metric == "f1"
    assert found.first == pytest.approx(2 / 3)


def test_the_interval_of_a_share_is_that_of_theory():
    low, high = comparison.interval(np.arange(400) < 100, resamples=4000)
    error = (0.25 * 0.75 / 400) ** 0.5
    assert (low, high) == pytest.approx((0.25 - 1.96 * error, 0.25 + 1.96 * error), abs=0.004)


@pytest.mark.parametrize(
    ("lines", "digest", "message"),
    [
        (answers(1, 2), "other", "measure different examples"),
        (answers(1, 3), "d", "has 2 examples, .* has 3"),
        ([{"text": "x"}] * 2, "d", "predictions.jsonl:1 has no 'truth'"),
        ([line | {"truth": "b"} for line in answers(1, 2)], "d", "has the truth 'a', .*:1 has 'b'"),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path, lines, digest, message):
    one = evaluation(tmp_path / "one", answers(1, 2))
    with pytest.raises(UserError, match=message):
        comparison.of_evaluations(one, evaluation(tmp_path / "other", lines, digest))
