"""RACE's files, and the features of their questions as recorded from the reference."""

import json
from pathlib import Path

import numpy as np
import pytest

from xlnet.errors import UserError
from xlnet.tasks import choices, race
from xlnet.text import Tokenizer

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "finetune" / "cosmosqa-race-format"
NAMES = {"pieces": "input_ids", "segments": "segment_ids", "padding": "input_mask"}
PASSAGE = {
    "article": "He came late.\nShe left.",
    "questions": ["Who left? _ did.", "When did he come?"],
    "options": [["She", "He"], ["early", "late", "never"]],
    "answers": ["A", "B"],
    "id": "high1.txt",
}


def write(path: Path, content) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return str(path)


def record(number: int) -> dict:
    """One of the passage's questions alone, as prediction is asked it."""
    question, options = PASSAGE["questions"][number], PASSAGE["options"][number]
    return {"article": PASSAGE["article"], "question": question, "options": options}


@pytest.fixture
def recorded(golden, tmp_path):
    """What was recorded, and the questions of its files."""
    found = json.loads(golden("finetune_features.json").read_text())["race"]
    for level, content in found["files"].items():
        write(tmp_path / "train" / level / "1.txt", content)
    return found, race.read(str(tmp_path / "train"))


def test_questions_are_as_recorded(recorded):
    found, questions = recorded
    for case in found["conversions"]:
        wanted = {
            (*one["qa_list"], one["label"], one["level"], " ".join(one["context"].split())) for one in case["examples"]
        }
        ours = {
            (*questions.filled(row), label, level, " ".join(questions.passages[passage].split()))
            for row, (label, level, passage) in enumerate(
                zip(questions.labels, questions.levels, questions.passage, strict=True)
            )
        }
        assert ours == wanted
        assert len(case["examples"]) == len(questions)


def test_features_are_as_recorded_and_options_do_not_leak_into_each_other(recorded, golden):
    found, questions = recorded
    leaks = 0
    for case in found["conversions"]:
        made, is_cut = choices.features(
            Tokenizer(golden("spiece.model"), lower=case["lower"]),
            questions,
            sequence_length=case["max_seq_length"],
            option_length=case["max_qa_length"],
        )
        assert is_cut.all() == (case["max_seq_length"] < 256)
        for example in case["examples"]:
            row = next(row for row in range(len(questions)) if questions.filled(row) == example["qa_list"])
            for ours, theirs in NAMES.items():
                flat = made[ours][row].ravel().tolist()
                assert flat == example["one_option_at_a_time"][theirs]
                assert example["options_leak_into_each_other"] or flat == example[theirs]
            leaks += example["options_leak_into_each_other"]
            if example["options_leak_into_each_other"]:  # the fault: the first option stands in the second's passage
                assert made["pieces"][row].ravel().tolist() != example["input_ids"]
                assert made["pieces"][row, 0].tolist() == example["input_ids"][: case["max_seq_length"]]
    assert leaks == 2


def test_a_question_may_have_any_number_of_options(tmp_path, golden):
    write(tmp_path / "high" / "1.txt", PASSAGE)
    questions = race.read(str(tmp_path))
    assert [questions.filled(row) for row in range(2)] == [
        ["Who left? She did.", "Who left? He did."],
        ["When did he come? early", "When did he come? late", "When did he come? never"],
    ]
    assert (questions.labels, questions.levels) == ([0, 1], ["high", "high"])
    tokenizer = Tokenizer(golden("spiece.model"))
    made, is_cut = choices.features(tokenizer, questions, sequence_length=32, option_length=16)
    assert not is_cut.any()
    assert made["pieces"].shape == (2, 3, 32)
    is_none = made["padding"].all(axis=2)
    assert is_none.tolist() == [[False, False, True], [False, False, False]]
    alone = race.parse([record(0)], path="one")
    for name, values in choices.features(tokenizer, alone, sequence_length=32, option_length=16)[0].items():
        np.testing.assert_array_equal(values[0], made[name][0, :2])


def test_lines_of_json_are_read_as_files_are(tmp_path):
    folder = write(tmp_path / "set" / "middle" / "7.txt", PASSAGE)
    lines = write(tmp_path / "set.jsonl", json.dumps(PASSAGE) + "\n\n" + json.dumps(PASSAGE) + "\n")
    one, two = race.read(str(tmp_path / "set")), race.read(lines)
    assert two.options == one.options * 2
    assert two.passage == [0, 0, 1, 1]
    assert [one.where(row) for row in range(2)] == [f"{folder}: question 1", f"{folder}: question 2"]
    assert two.where(2) == f"{lines}:3: question 1"
    three = race.parse([record(0), record(1)], path="-", first_line=9)
    assert (three.labels, three.options, three.where(1)) == (None, one.options, "-:10: question 1")
    with pytest.raises(UserError, match="-:2: no question; a question has article, question, options"):
        race.parse([record(0), PASSAGE], path="-")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"answers": ["A"]},
            r"1\.txt: questions, options, answers are to be lists of one length; found \[2, 2, 1\]",
        ),
        ({"answers": ["A", "D"]}, r"1\.txt: question 2: the answer is \"D\", wanted is one of A, B, C"),
        ({"answers": ["A", ""]}, r"1\.txt: question 2: the answer is \"\", wanted is one of A, B, C"),
        ({"article": " "}, r"1\.txt: the article is \" \", wanted is a text"),
        ({"options": [["x"], ["y", "z"]]}, r"1\.txt: question 1 has 1 options, wanted are 2 to 26"),
        ({"options": [["x", 7], ["y", "z"]]}, r"1\.txt: question 1: its options are \[\"x\", 7\], wanted is a list"),
        ({"options": [["x", "y"], ["", " "]]}, r"1\.txt: question 2: every option is empty"),
        ({"article": "a \ud83d"}, r"1\.txt: key 'article' holds half a surrogate pair; remove it"),
        ({"options": [["x", "y"], ["z", "\ud83d"]]}, r"1\.txt: question 2: key 'options' holds half a surrogate pair"),
        ({"questions": ["a", None]}, r"1\.txt: question 2 is null, wanted is a text"),
        ({"questions": [], "options": [], "answers": []}, r"lists of one length; found \[0, 0, 0\]"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_question(tmp_path, change, message):
    write(tmp_path / "1.txt", PASSAGE | change)
    with pytest.raises(UserError, match=message):
        race.read(str(tmp_path))


def test_broken_files_are_named_with_their_line(tmp_path):
    write(tmp_path / "set" / "high" / "1.txt", '{\n"article": "a",\n"questions" []}')
    with pytest.raises(UserError, match=r"high/1\.txt:3: not JSON: Expecting ':' delimiter"):
        race.read(str(tmp_path / "set"))
    write(tmp_path / "set" / "high" / "1.txt", '{"article": "a", "questions": []}')
    with pytest.raises(UserError, match=r"high/1\.txt: no options and no answers; a passage of RACE has article, q"):
        race.read(str(tmp_path / "set"))
    path = write(tmp_path / "set.jsonl", json.dumps(PASSAGE) + "\n[]\n")
    with pytest.raises(UserError, match=r"set\.jsonl:2: no article and no questions"):
        race.read(path)
    with pytest.raises(UserError, match=r"nothing is no folder with files; give RACE's folder"):
        race.read(str(tmp_path / "nothing"))
    with pytest.raises(UserError, match=r"blank\.jsonl holds no question"):
        race.read(write(tmp_path / "blank.jsonl", "\n \n"))
    with pytest.raises(UserError, match=r"empty\.jsonl is empty"):
        race.read(write(tmp_path / "empty.jsonl", ""))


@pytest.mark.skipif(not SHARED.exists(), reason="the data set cosmosqa-race-format is not here")
def test_real_files_are_read_whole():
    questions = race.read(str(SHARED / "train"))
    assert len(questions.passages) == 600
    assert len(questions) == len(questions.places) == len(questions.options)
    assert {len(options) for options in questions.options} == {4}
    assert set(questions.levels) == {"high", "middle"}
