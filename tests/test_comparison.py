import json

import numpy as np
import pytest

from xlnet import comparison
from xlnet.errors import UserError


def evaluation(folder, lines, digest="d"):
    folder.mkdir()
    (folder / "evaluation.json").write_text(json.dumps({"data_sha256": digest}))
    (folder / "predictions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(folder)


def answers(right, total):
    return [{"truth": "a", "predicted": "a" if number < right else "b"} for number in range(total)]


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
        [{"truth": float(t), "predicted": float(t + scale * n)} for t, n in zip(truth, noise, strict=True)]
        for scale in (0.2, 3)
    ]
    found = comparison.of_evaluations(evaluation(tmp_path / "one", lines[0]), evaluation(tmp_path / "other", lines[1]))
    assert found.metric == "pearson"
    assert found.first == pytest.approx(np.corrcoef(truth, truth + 0.2 * noise)[0, 1])
    assert found.p_better < 0.001


def test_scores_of_examples_are_taken_where_an_evaluation_tells_them(tmp_path):
    one = evaluation(tmp_path / "one", [{"truth": "x", "predicted": "y", "f1": 0.5}] * 4)
    found = comparison.of_evaluations(one, one)
    assert (found.metric, found.first) == ("f1", 0.5)


@pytest.mark.parametrize(
    ("lines", "digest", "message"),
    [
        (answers(1, 2), "other", "measure different examples"),
        (answers(1, 3), "d", "2 examples cannot be compared with 3"),
        ([{"text": "x"}] * 2, "d", "damaged"),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path, lines, digest, message):
    one = evaluation(tmp_path / "one", answers(1, 2))
    with pytest.raises(UserError, match=message):
        comparison.of_evaluations(one, evaluation(tmp_path / "other", lines, digest))
