"""Questions from SQuAD's JSON files: what is read, and what is refused with file and id."""

import json

import numpy as np
import pytest

from xlnet.errors import UserError
from xlnet.tasks.span_questions import SPAN_SETS, Fault, parse, read
from xlnet.training.finetuning_data import Data
from xlnet.training.finetuning_settings import FinetuningSettings

CONTEXT = "The dog saw the cat and the cat saw the dog."


def question(name="q0", answers=(("the cat", 12),), **more):
    found = [{"text": text, "answer_start": start} for text, start in answers]
    return {"id": name, "question": "Who was seen?", "answers": found} | more


@pytest.fixture
def file(tmp_path):
    def write(*questions, context=CONTEXT):
        path = tmp_path / "questions.json"
        content = {"version": "x", "data": [{"title": "t", "paragraphs": [{"context": context, "qas": questions}]}]}
        path.write_text(json.dumps(content), encoding="utf-8")
        return str(path)

    return write


def test_every_answer_is_kept_and_the_first_is_placed(file):
    found = read(file(question(answers=[("the cat", 24), ("cat", 16)]), question("q1", [], is_impossible=True)))
    assert found.ids == ["q0", "q1"]
    assert found.answers == [["the cat", "cat"], []]
    assert found.spans.tolist() == [[24, 31], [-1, -1]]
    assert found.is_impossible.tolist() == [False, True]
    assert found.learnable().ids == found.ids
    assert not found.learnable().left_out
    assert found.contexts == [CONTEXT]
    assert found.context.tolist() == [0, 0]
    assert not found.faults


def test_a_file_of_squad_1_knows_no_is_impossible(file):
    assert read(file(question()), "squad1").spans.tolist() == [[12, 19]]
    with pytest.raises(UserError, match="'q0' cannot be answered, and squad1 has no such questions"):
        read(file(question(answers=[], is_impossible=True)), "squad1")


@pytest.mark.parametrize(("start", "place"), [(13, 12), (20, 24), (-1, 12), (99, 24)])
def test_a_wrong_offset_moves_to_the_nearest_place_and_is_listed(file, start, place):
    found = read(file(question(answers=[("the cat", start)])))
    assert found.spans.tolist() == [[place, place + 7]]
    assert found.faults == [Fault("q0", "moved", "the cat")]


def test_what_is_told_of_a_runs_data_counts_their_faults(file):
    path = file(question(answers=[("the cat", 13)]), question("q1"))
    told = Data.read(path, path, settings=FinetuningSettings(task="squad2")).described()
    assert [told[name]["faults"] for name in ("train", "dev")] == [{"moved": 1}] * 2


def test_an_answer_that_is_nowhere_is_an_error_but_where_a_data_set_is_known_for_it(file):
    path = file(question(answers=[("the horse", 4)]), question("q1", answers=[("a bird", 1), ("dog", 4)]))
    with pytest.raises(UserError, match=r"questions\.json: the answer 'the horse' of question 'q0' is not in its"):
        read(path)
    found = read(path, "cmrc2018")
    assert found.faults == [Fault("q0", "missing", "the horse"), Fault("q1", "missing", "a bird")]
    assert found.spans.tolist() == [[-1, -1], [4, 7]]
    assert found.listed_faults() == {"missing": ["q0", "q1"]}
    learnable = found.learnable()
    assert (learnable.ids, learnable.left_out) == (["q1"], {"no answer in the context": 1})
    assert learnable.spans.tolist() == [[4, 7]]
    assert not found.is_impossible.any()


def test_an_empty_question_is_an_error_but_where_a_data_set_is_known_for_it(file):
    path = file(question(question=" "))
    with pytest.raises(UserError, match="question 'q0' is empty"):
        read(path)
    found = read(path, "cmrc2018")
    assert found.faults == [Fault("q0", "no question", "")]
    with pytest.raises(UserError, match="of no question the answer is in its context"):
        found.learnable()


def test_records_are_questions_without_answers():
    records = [{"question": "Who?", "context": CONTEXT}, {"question": "When?", "context": CONTEXT, "id": "x"}]
    found = parse(records, path="-", first_line=7)
    assert (found.ids, found.texts, found.contexts) == (["7", "x"], ["Who?", "When?"], [CONTEXT] * 2)
    with pytest.raises(UserError, match="has no answers; give labelled questions"):
        _ = found.is_impossible
    with pytest.raises(UserError, match=r"-:8: context is None, wanted is a text"):
        parse([*records[:1], {"question": "Who?"}], path="-", first_line=7)


@pytest.mark.parametrize(
    ("questions", "context", "message"),
    [
        ([question(), question()], CONTEXT, "two questions have the id 'q0'"),
        ([question(question=None)], CONTEXT, "question 'q0' is null, wanted is a text"),
        ([question(question="Who \ud83d?")], CONTEXT, "question 'q0': key 'question' holds half a surrogate pair"),
        ([question()], CONTEXT + "\ud83d", "key 'context' holds half a surrogate pair"),
        ([question(answers=[("dog", float("inf"))])], CONTEXT, "an answer of question 'q0' lacks text or answer_st"),
        ([question()], " \n", "the context of question 'q0' is empty"),
        ([question(answers=[])], CONTEXT, "'q0' has no answer and is not marked is_impossible"),
        ([question(answers=[("", 3)])], CONTEXT, "an answer of question 'q0' is empty"),
        ([question(answers=[("dog", None)])], CONTEXT, "an answer of question 'q0' lacks text or answer_start"),
        ([{"question": "Who?"}], CONTEXT, "a question of paragraph 1 lacks its id or its text"),
        ([], CONTEXT, "holds no question"),
    ],
)
def test_bad_questions_are_refused_in_one_line(file, questions, context, message):
    path = file(*questions, context=context)
    with pytest.raises(UserError, match=message) as error:
        read(path)
    assert str(error.value).startswith(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"data": [\n{]}', r"json:2: broken JSON at column 2"),
        (b'{"data": "\xff"}', "invalid UTF-8 at byte 10"),
        (b"[" * 100_000, "not JSON that can be read: maximum recursion depth exceeded"),
        (b"[" + b"1" * 5000 + b"]", "not JSON that can be read: Exceeds the limit"),
        (b"[]", "no list 'data' where SQuAD's layout has one"),
        (b'{"data": [3]}', "no list 'paragraphs'"),
        (b'{"data": [{"paragraphs": [{"context": "x"}]}]}', "no list 'qas'"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    path = tmp_path / "other.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read(str(path))


# questions, answers, those whose offset is wrong but whose text is there, those that are nowhere, empty questions
PUBLISHED = {
    "squad2/train-v2.0.json": ("squad2", 3990, 6873, 0, 0, 0),
    "squad2/dev-v2.0.json": ("squad2", 802, 1243, 0, 0, 0),
    "cmrc2018/train.json": ("cmrc2018", 2495, 5481, 12, 125, 2),
    "cmrc2018/dev.json": ("cmrc2018", 881, 2643, 0, 27, 0),
    "xquad-v1.1/en.json": ("xquad", 1116, 1116, 0, 0, 0),
    "xquad-v1.1/zh.json": ("xquad", 1116, 1116, 0, 0, 0),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_files_are_read_whole_and_their_faults_counted(task_data, name):
    data_set, *wanted = PUBLISHED[name]
    found = read(str(task_data(name)), data_set)
    kinds = [fault.kind for fault in found.faults]
    counts = [kinds.count(kind) for kind in ("moved", "missing", "no question")]
    assert [len(found), sum(map(len, found.answers)), *counts] == wanted
    for row in np.flatnonzero(found.spans[:, 0] >= 0):
        start, end = found.spans[row]
        assert found.contexts[found.context[row]][start:end] in found.answers[row]
    assert SPAN_SETS[data_set].unanswerable == bool(found.is_impossible.any())
