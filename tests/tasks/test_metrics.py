import numpy as np
import pytest

from xlnet.tasks import metrics


def test_classification_scores_by_hand():
    truth, predicted = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 2, 2])
    found = metrics.classification(truth, predicted, classes=["a", "b", "c"])
    assert found["confusion"] == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert found["metrics"]["accuracy"] == pytest.approx(4 / 6)
    # F1: a 2*1*(2/3)/(5/3) = 0.8, b 0.5, c 2/3
    assert found["metrics"]["macro_f1"] == pytest.approx((0.8 + 0.5 + 2 / 3) / 3)
    assert found["majority"] == {"class": "a", "accuracy": 0.5, "macro_f1": pytest.approx(2 / 9)}
    assert found["per_class"][0] == {
        "class": "a",
        "precision": 1.0,
        "recall": pytest.approx(2 / 3),
        "f1": pytest.approx(0.8),
        "support": 3,
    }


def test_f1_is_that_of_the_positive_class_where_there_is_one():
    truth, predicted = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0])
    for positive, f1 in {"different": 1 / 2, "same": 2 / 3}.items():
        found = metrics.classification(truth, predicted, classes=["different", "same"], positive=positive)
        assert found["metrics"]["f1"] == pytest.approx(f1)
    assert "f1" not in metrics.classification(truth, predicted, classes=["different", "same"])["metrics"]


def test_a_class_without_examples_has_scores_of_zero_and_no_say_in_macro_f1():
    found = metrics.classification(np.array([0, 1]), np.array([0, 1]), classes=["a", "b", "c"])
    assert found["metrics"]["macro_f1"] == 1.0
    assert found["per_class"][2] == {"class": "c", "precision": 0, "recall": 0, "f1": 0, "support": 0}
    assert found["confusion"][2] == [0, 0, 0]


def test_matthews_is_zero_for_a_constant_answer_and_one_for_a_perfect_one():
    truth = np.array([0, 1, 1])
    assert metrics.classification(truth, truth, classes=["a", "b"])["metrics"]["matthews"] == 1
    constant = metrics.classification(truth, np.ones(3, int), classes=["a", "b"])
    assert constant["metrics"]["matthews"] == 0
    assert constant["metrics"]["accuracy"] == constant["majority"]["accuracy"]


def test_regression_scores_by_hand():
    found = metrics.regression(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 30.0]))
    assert found["metrics"]["spearman"] == pytest.approx(1)
    assert found["metrics"]["pearson"] == pytest.approx(np.corrcoef([1, 2, 3], [2, 4, 30])[0, 1])
    assert found["metrics"]["mean_squared_error"] == pytest.approx((1 + 4 + 27**2) / 3)
    assert found["mean"] == {"value": 2, "mean_squared_error": pytest.approx(2 / 3)}


def test_values_that_are_not_finite_have_an_error_that_is_not():
    found = metrics.regression(np.array([1.0, 2.0]), np.array([np.nan, 2.0]))["metrics"]
    assert found == {"pearson": None, "spearman": None, "mean_squared_error": pytest.approx(np.nan, nan_ok=True)}


@pytest.mark.parametrize("predicted", [[1.0, 1.0], [2.0, 3.0]])
def test_a_correlation_that_is_not_defined_is_null(predicted):
    found = metrics.regression(np.array([1.0, 1.0]), np.array(predicted))
    assert found["metrics"]["pearson"] is None
    assert found["metrics"]["spearman"] is None
