import numpy as np
import pytest

from xlnet.errors import UserError
from xlnet.tasks.sentence import Columns, classes, read, targets


@pytest.fixture
def examples(tmp_path):
    def write(content, columns=None):
        (tmp_path / "a.tsv").write_text(content)
        return read(str(tmp_path / "a.tsv"), columns=columns or Columns())

    return write


def test_texts_pairs_and_labels_come_from_their_columns(examples):
    found = examples("premise\tgold\thypothesis\na b\t yes \tc\nd\tno\te\n", Columns("premise", "hypothesis", "gold"))
    assert (found.texts, found.pairs, found.labels) == (["a b", "d"], ["c", "e"], ["yes", "no"])
    assert found.lines == [2, 3]
    assert len(found) == 2


def test_classes_are_sorted_and_numbered(examples):
    found = examples("text\tlabel\na\tz\nb\ta\nc\tz\n")
    assert classes(found) == ["a", "z"]
    assert targets(found, ["a", "z"]).tolist() == [1, 0, 1]
    assert targets(found, ["z", "b", "a"]).tolist() == [0, 2, 0]


def test_regression_labels_are_numbers(examples):
    found = targets(examples("text\tlabel\na\t3.4\nb\t-1e2\n"), None)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [3.4, -100])


@pytest.mark.parametrize("label", ["high", "nan", "inf", "1e300", "1,5"])
def test_a_label_that_is_no_number_is_named_with_its_line(examples, label):
    with pytest.raises(UserError, match=rf"a\.tsv:3: the label '{label}' is not a number"):
        targets(examples(f"text\tlabel\na\t1\nb\t{label}\n"), None)


def test_an_unknown_label_lists_the_known(examples):
    with pytest.raises(UserError, match=r"a\.tsv:3: the label 'neutral' is unknown to the model; it knows 'no', 'yes'"):
        targets(examples("text\tlabel\na\tyes\nb\tneutral\n"), ["no", "yes"])


@pytest.mark.parametrize(("row", "column"), [(" \tx\t1", "text"), ("x\t\t1", "other"), ("x\ty\t \r", "label")])
def test_an_empty_cell_is_named_with_its_line(examples, row, column):
    with pytest.raises(UserError, match=rf"a\.tsv:3: column '{column}' is empty"):
        examples(f"text\tother\tlabel\na\tb\t0\n{row}\n", Columns(pair="other"))


def test_one_class_is_refused(examples):
    with pytest.raises(UserError, match="every example has the label '1'"):
        classes(examples("text\tlabel\na\t1\nb\t1\n"))


def test_texts_taken_for_labels_are_refused(examples):
    rows = "".join(f"a\ttext {row}\n" for row in range(1500))
    with pytest.raises(UserError, match="1500 different labels in 1500 examples"):
        classes(examples("text\tlabel\n" + rows))


def test_columns_must_differ():
    with pytest.raises(UserError, match="name one column twice"):
        Columns("text", "text")
