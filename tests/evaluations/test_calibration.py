"""Calibration: the bins' numbers by hand, and what confidence is for each kind of task."""

import numpy as np
import pytest

from xlnet.evaluations.calibration import calibration, confidence
from xlnet.evaluations.stored import Evaluation


def test_the_expected_error_is_that_of_the_bins_by_hand():
    """0.15 and 0.15, one right; 0.85, right; 1.0 belongs to the last bin."""
    found = calibration(np.array([0.1, 0.2, 0.85, 1.0]), np.array([True, False, True, True]), bins=5)
    assert [(entry.low, entry.count) for entry in found.bins] == [(0.0, 2), (0.8, 2)]
    assert [entry.accuracy for entry in found.bins] == [0.5, 1.0]
    assert found.expected_error == pytest.approx((2 * abs(0.5 - 0.15) + 2 * (1 - 0.925)) / 4)
    assert found.largest_error == pytest.approx(0.35)
    assert found.brier == pytest.approx((0.9**2 + 0.2**2 + 0.15**2 + 0) / 4)


def test_who_is_as_often_right_as_sure_has_no_error():
    draw = np.random.default_rng(0)
    sure = draw.uniform(size=40_000)
    assert calibration(sure, draw.uniform(size=40_000) < sure).expected_error < 0.01
    assert calibration(sure, draw.uniform(size=40_000) < sure / 2).expected_error == pytest.approx(0.25, abs=0.01)


def test_bins_hold_their_upper_end_and_no_confidence_is_lost():
    found = calibration(np.array([0.0, 0.5, 0.51, 1.0]), np.ones(4, bool), bins=2)
    assert [entry.count for entry in found.bins] == [2, 2]


def test_a_span_is_as_sure_as_its_probability_and_that_there_is_an_answer():
    line = {"predicted": "x", "answers": [{"probability": 0.8}], "null_probability": 0.25}
    always = Evaluation("", "question-answering", {"metrics": {"f1": 1.0}}, [line])
    sometimes = Evaluation("", "question-answering", {"metrics": {"f1": 1.0, "has_answer_f1": 1.0}}, [line])
    assert confidence(always, line) == 0.8
    assert confidence(sometimes, line) == pytest.approx(0.6)
    assert confidence(sometimes, line | {"predicted": ""}) == 0.25
    assert confidence(always, line | {"predicted": "", "answers": []}) == 0.0
