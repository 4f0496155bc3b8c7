"""Entities of label sequences. The scores below are seqeval's (1.2.2) and so those of conlleval."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlnet.tasks.entities import bio2, entities, score

SCHEMES = {  # two entities side by side, one alone, one of a single word
    "BIO": "I-A I-A B-A O I-B I-B O I-A",
    "BIO2": "B-A I-A B-A O B-B I-B O B-A",
    "IOBES": "B-A E-A S-A O B-B E-B O S-A",
    "BILOU": "B-A L-A U-A O B-B L-B O U-A",
    "BMES": "B-A E-A S-A O B-B E-B O S-A",
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_tells_the_same_entities(scheme):
    labels = SCHEMES[scheme].split()
    assert entities(labels) == [("A", 0, 2), ("A", 2, 3), ("B", 4, 6), ("A", 7, 8)]
    assert bio2(labels) == SCHEMES["BIO2"].split()


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ("O I-A", [("A", 1, 2)]),
        ("B-A I-B I-B", [("A", 0, 1), ("B", 1, 3)]),
        ("B-A O I-A", [("A", 0, 1), ("A", 2, 3)]),
        ("S-A I-A", [("A", 0, 1), ("A", 1, 2)]),
        ("E-A E-A", [("A", 0, 1), ("A", 1, 2)]),
        ("B-A M-A E-A", [("A", 0, 3)]),
        ("B-in-law I-in-law", [("in-law", 0, 2)]),
        ("", []),
    ],
)
def test_labels_that_contradict_each_other_are_read_as_conlleval_does(labels, found):
    assert entities(labels.split()) == found


@given(st.lists(st.sampled_from(["O", *(f"{letter}-{kind}" for letter in "BIESLUM" for kind in "AB")])))
def test_bio2_keeps_the_entities(labels):
    again = bio2(labels)
    assert entities(again) == entities(labels)
    assert bio2(again) == again


def test_scores_are_those_of_seqeval():
    truth = ["E-A I-B E-A O S-B E-A", "B-B E-B O O S-B S-B", "O E-A E-A B-B O B-B", "O B-A I-A E-A O S-B"]
    predicted = ["B-B I-B E-A S-A S-B E-A", "B-B E-B O O E-A S-B", "E-A E-A E-A S-B O B-B", "B-A B-A I-A E-A O S-B"]
    found = score([line.split() for line in truth], [line.split() for line in predicted])
    assert found["metrics"] == {
        "precision": pytest.approx(0.6875),
        "recall": pytest.approx(0.7857142857142857),
        "f1": pytest.approx(0.7333333333333334),
        "accuracy": pytest.approx(18 / 24),
    }
    a, b = found["per_class"]
    assert (a["class"], a["precision"], a["recall"], a["support"]) == (
        "A",
        pytest.approx(5 / 9),
        pytest.approx(5 / 6),
        6,
    )
    assert (b["class"], b["f1"], b["support"]) == ("B", pytest.approx(0.8), 8)
    assert found["entities"] == {"truth": 14, "predicted": 16, "right": 11}


def test_nothing_to_find_and_nothing_found_is_zero():
    found = score([["O", "O"]], [["O", "O"]])
    assert found["metrics"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "accuracy": 1.0}
    assert score([["B-A"]], [["O"]])["metrics"]["recall"] == 0.0
