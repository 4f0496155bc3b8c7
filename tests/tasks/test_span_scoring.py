"""Official scores against the reference's recorded ones and the scripts' known values."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlnet.tasks import span_scoring as squad
from xlnet.tasks import span_scoring_chinese as chinese
from xlnet.tasks.question_answering import QuestionAnswering
from xlnet.tasks.span_questions import read
from xlnet.tasks.treebank import words


@pytest.fixture(scope="module")
def recorded(golden):
    return json.loads(golden("finetune_features.json").read_text())["squad_evaluation"]


def test_scores_of_texts_are_as_recorded(recorded):
    for case in recorded["string_scores"]:
        gold, predicted = case["gold"], case["pred"]
        assert squad.normalized(gold) == case["normalized_gold"]
        assert squad.normalized(predicted) == case["normalized_pred"]
        assert squad.exact(gold, predicted) == case["exact"]
        assert squad.f1(gold, predicted) == pytest.approx(case["f1"], rel=1e-12)
    assert len(recorded["string_scores"]) == 16


def answered(scores, null, *, is_impossible, threshold):
    """Scores where the task does not answer what its threshold forbids."""
    task = QuestionAnswering({"data_set": "squad2", "null_threshold": threshold})
    return np.where([task.is_null(score) for score in null], is_impossible, scores)


@pytest.fixture(scope="module", params=range(6))
def evaluated(request, recorded, golden):
    """A recorded evaluation, and our scores of its predictions."""
    case, questions = recorded["cases"][request.param], read(str(golden(recorded["dataset"])))
    given = [case["predictions"][name] for name in questions.ids]
    scores = {
        name: np.array(
            [squad.best_of(score, golds, text) for golds, text in zip(questions.answers, given, strict=True)]
        )
        for name, score in (("exact", squad.exact), ("f1", squad.f1))
    }
    null = np.array([case["na_probs"][name] for name in questions.ids])
    return case, questions, given, scores, null


def test_scores_of_predictions_are_as_recorded(evaluated):
    case, questions, _, scores, null = evaluated
    has_answer = [case["qid_to_has_ans"][name] for name in questions.ids]
    assert (~questions.is_impossible).tolist() == has_answer
    for name, found in scores.items():
        assert found.tolist() == pytest.approx([case[f"{name}_raw"][name_] for name_ in questions.ids], rel=1e-12)
        kept = answered(found, null, is_impossible=questions.is_impossible, threshold=case["na_prob_thresh"])
        assert 100 * kept.mean() == pytest.approx(case["make_eval_dict"][name], rel=1e-12)
        answerable = kept[~questions.is_impossible]
        assert 100 * answerable.mean() == pytest.approx(case["make_eval_dict_has_ans"][name], rel=1e-12)


def test_the_best_threshold_is_as_recorded_but_where_answering_nothing_is_best(evaluated):
    # Fault of the reference: it then reports the threshold 0, which answers some of the questions.
    case, questions, given, scores, null = evaluated
    is_impossible, is_empty = questions.is_impossible, np.array([not text for text in given])
    for name, found in scores.items():
        best = squad.best_threshold(found, null, is_impossible=is_impossible, is_empty=is_empty)
        for variant in ("find_all_best_thresh", "find_all_best_thresh_v2"):
            assert 100 * best.score == pytest.approx(case[variant][f"best_{name}"], rel=1e-12)
            if best.score > is_impossible.mean():
                assert best.value == case[variant][f"best_{name}_thresh"]
            else:
                assert best.value < null.min()
                assert case[variant][f"best_{name}_thresh"] == 0
        kept = answered(found, null, is_impossible=is_impossible, threshold=best.value)
        assert kept.mean() == pytest.approx(best.score)


QUESTIONS = st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.integers(-2, 2), st.booleans()), min_size=1)


@given(QUESTIONS)
def test_no_threshold_is_better_and_the_best_gives_what_it_says(questions):
    scores, null, is_impossible = (np.array(column) for column in zip(*questions, strict=True))
    is_impossible, null = is_impossible.astype(bool), null.astype(float)
    scores = np.where(is_impossible, np.round(scores), scores)  # of no answer a score is 1 where the text is empty
    is_empty = is_impossible & (scores == 1)
    best = squad.best_threshold(scores, null, is_impossible=is_impossible, is_empty=is_empty)

    def reached(threshold):
        return answered(scores, null, is_impossible=is_impossible, threshold=threshold).mean()

    assert reached(best.value) == pytest.approx(best.score)
    assert best.score == pytest.approx(max(reached(value) for value in [*null, null.min() - 1]))


# The values of CMRC 2018's own script.
CHINESE = [
    ("三江师范学堂", "「三江师范学堂」", 1.0, 1.0),
    ("1998年", "1998年5月", 0.0, 2 / 3),
    ("Nexon公司", "由韩国nexon公司开发", 0.0, 6 / 11),
    ("中", "国", 0.0, 0.0),
    ("", "中", 0.0, 0.0),
    ("", "", 1.0, 0.0),
]


@pytest.mark.parametrize(("gold", "predicted", "exact", "f1"), CHINESE)
def test_chinese_answers_count_by_characters_and_their_longest_run(gold, predicted, exact, f1):
    assert chinese.exact(gold, predicted) == exact
    assert chinese.f1(gold, predicted) == pytest.approx(f1, rel=1e-12)


# What NLTK's NLTKWordTokenizer gives.
TREEBANK = {
    "hello, world. foo (bar) 12,5 don't": ["hello", ",", "world.", "foo", "(", "bar", ")", "12,5", "do", "n't"],
    "nba 2k14.": ["nba", "2k14", "."],
    "u.s.a. 3.5%": ["u.s.a.", "3.5", "%"],
    '"quoted" it\'s': ["``", "quoted", "''", "it", "'s"],
    " 14nm ...": ["14nm", "..."],
    "'ss) cannot 1—2": ["'", "ss", ")", "can", "not", "1", "—", "2"],
    "it's 'tis they've": ["it", "'s", "'", "tis", "they", "'ve"],
}


@pytest.mark.parametrize("text", TREEBANK)
def test_words_are_those_of_the_treebank(text):
    assert words(text) == TREEBANK[text]
