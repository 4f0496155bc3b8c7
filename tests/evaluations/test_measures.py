"""Metrics as functions of examples are those that were measured; groups hold every example once."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlnet.evaluations import confusion, errors, groups
from xlnet.evaluations.by_class import by_class
from xlnet.evaluations.measures import measures, scores
from xlnet.evaluations.stored import Evaluation

KINDS = ("classification", "regression", "multiple-choice", "question-answering", "token-classification")


@pytest.mark.parametrize("kind", KINDS)
def test_they_equal_what_was_measured(evaluated, kind):
    found = Evaluation.read(evaluated(kind))
    for measure in measures(found):
        assert measure.of() == pytest.approx(found.metrics[measure.name]), measure.name


def test_classes_that_nobody_names_do_not_count(evaluated):
    """As in scikit-learn, whose number it is: a class of the other model alone changes nothing."""
    first, second = (Evaluation.read(evaluated("classification", name=name)) for name in ("one", "other"))
    second.answers[0]["predicted"] = "unheard of"
    assert measures(first, second)[1].of() == pytest.approx(first.metrics["macro_f1"])


@given(st.lists(st.integers(0, 9) | st.integers(0, 1000), min_size=1, max_size=300))
def test_groups_hold_every_example_once_and_equal_numbers_together(numbers):
    numbers = np.array(numbers)
    found = groups.by_number(numbers)
    assert sorted(np.concatenate([group.rows for group in found]).tolist()) == list(range(len(numbers)))
    assert len(found) <= groups.MOST
    for before, after in itertools.pairwise(found):
        assert before.high < after.low
    for group in found:
        assert (group.low, group.high) == (numbers[group.rows].min(), numbers[group.rows].max())


def test_the_confusion_matrix_is_the_measured_one(evaluated):
    found = Evaluation.read(evaluated("classification"))
    labels = confusion.labels(found)
    rows = confusion.matrix(labels, confusion.classes(found, labels))
    assert [[cell["count"] for cell in row["cells"]] for row in rows] == found.described["confusion"]
    assert sum(cell["share"] for cell in rows[0]["cells"]) == pytest.approx(1)


def test_of_many_classes_the_rarest_are_counted_as_one():
    labels = [(f"{n}", f"{(n + 1) % 50}") for n in range(50) for _ in range(60 - n)]
    rows = confusion.matrix(labels, [f"{n}" for n in range(50)])
    assert [row["class"] for row in rows] == [*map(str, range(confusion.MOST_CLASSES - 1)), confusion.OTHERS]
    assert sum(cell["count"] for row in rows for cell in row["cells"]) == len(labels)


def test_words_are_confused_by_the_type_of_their_entity(evaluated):
    found = Evaluation.read(evaluated("token-classification"))
    assert {name for pair in confusion.labels(found) for name in pair} == {"O", "BIRD", "PLACE"}
    assert len(confusion.labels(found)) == sum(len(line["words"]) for line in found.answers)


def test_each_class_has_its_scores(evaluated):
    found = by_class(Evaluation.read(evaluated("multiple-choice")))
    assert [name for name, _, _ in found.rows] == ["A", "B", "C", "D"]
    assert sum(count for _, count, _ in found.rows) == 120
    null = by_class(Evaluation.read(evaluated("question-answering", name="spans")))
    assert [name for name, _, _ in null.rows] == [confusion.ANSWERED, confusion.NULL]
    ranges = by_class(Evaluation.read(evaluated("regression", name="numbers")))
    assert sum(count for _, count, _ in ranges.rows) == 120


@pytest.mark.parametrize("kind", KINDS)
def test_errors_are_wrong_answers_surest_first(evaluated, kind):
    found = Evaluation.read(evaluated(kind))
    shown = errors.worst(found, limit=500)
    wrong = scores(found) == 0 if kind == "question-answering" else scores(found) < (kind != "regression")
    assert len(shown) == wrong.sum() > 0
    assert all(entry["truth"] != entry["predicted"] for entry in shown)
    if kind != "regression":
        sure = [entry["sure"] for entry in shown]
        assert sure == sorted(sure, reverse=True)


def test_the_largest_residual_comes_first(evaluated):
    found = Evaluation.read(evaluated("regression"))
    largest = max(found.answers, key=lambda line: abs(line["truth"] - line["predicted"]))
    assert errors.worst(found, limit=1)[0]["parts"] == [("", largest["text"]), ("with", largest["pair"])]


def test_an_answer_is_marked_where_it_stands_in_its_context(evaluated):
    found = Evaluation.read(evaluated("question-answering"))
    marked = [entry for entry in errors.worst(found, limit=500) if entry["predicted"] != confusion.NULL]
    assert marked
    for entry in marked:
        assert entry["marked"][1] == entry["predicted"]


def test_entities_that_differ_are_told_and_no_others():
    line = {"line": 1, "words": ["Ada", "in", "Rome"], "truth": ["B-PER", "O", "B-LOC"]}
    line |= {"predicted": ["B-PER", "O", "B-ORG"], "confidences": [0.9, 0.8, 0.7]}
    found = Evaluation("", "token-classification", {"entities": {}, "metrics": {}}, [line])
    (entry,) = errors.worst(found, limit=5)
    assert (entry["truth"], entry["predicted"], entry["where"]) == ("Rome (LOC)", "Rome (ORG)", "line 1")
    assert entry["sure"] == 0.7


def test_examples_on_which_two_models_differ_are_counted(evaluated):
    first, second = (Evaluation.read(evaluated("classification", name=n, skill=s)) for n, s in (("a", 0.9), ("b", 0.2)))
    right = [scores(one) == 1 for one in (first, second)]
    found = errors.apart(first, second, limit=4)
    assert found["better"]["count"] == np.sum(right[0] & ~right[1])
    assert found["worse"]["count"] == np.sum(~right[0] & right[1])
    assert found["equal"] == np.sum(right[0] == right[1])
    assert len(found["better"]["examples"]) == 4
    assert all(one["predicted"] == one["truth"] != one["other"] for one in found["better"]["examples"])
