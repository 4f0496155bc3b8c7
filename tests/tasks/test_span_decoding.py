"""Beams to answers, against the reference's recorded predictions."""

import json

import numpy as np
import pytest

from xlnet.tasks.span_decoding import best_spans, null_scores, probabilities
from xlnet.tasks.span_questions import read
from xlnet.tasks.span_windows import WindowSettings, windows
from xlnet.text import Tokenizer

NEVER = -1  # a column that no answer begins or ends in


@pytest.fixture(scope="module")
def case(golden):
    """The recorded predictions, the questions and windows that they are of, and their beams."""
    recorded = json.loads(golden("finetune_features.json").read_text())
    predicted, conversion = recorded["squad_predictions"], recorded["squad"]["conversions"][1]
    questions = read(str(golden("squad/dev.json")))
    settings = WindowSettings(*(conversion[name] for name in ("max_seq_length", "doc_stride", "max_query_length")))
    found = windows(Tokenizer(golden("spiece.model")), questions, settings=settings)
    results = predicted["raw_results"]
    shape = (len(results), predicted["start_n_top"], predicted["end_n_top"])
    beams = {
        "starts": np.array([result["start_top_index"] for result in results]) + found.begin[:, None],
        "start_log_probs": np.array([result["start_top_log_probs"] for result in results]),
        "ends": np.array([result["end_top_index"] for result in results]).reshape(shape) + found.begin[:, None, None],
        "end_log_probs": np.array([result["end_top_log_probs"] for result in results]).reshape(shape),
        "impossible": np.array([result["cls_logits"] for result in results]),
    }
    return predicted, questions, found, beams


def decoded(case, beams):
    predicted, questions, found, _ = case
    return best_spans(
        found, beams, questions.contexts, count=predicted["n_best_size"], longest=predicted["max_answer_length"]
    )


def without_last_pieces(found, beams):
    """The beams as the reference takes them: what touches the last piece of a window is no answer."""
    last = found.begin + found.length - 1
    is_last = (beams["ends"] == last[:, None, None]) | (beams["starts"] == last[:, None])[:, :, None]
    return beams | {"ends": np.where(is_last, NEVER, beams["ends"])}


def test_the_best_answers_are_as_recorded_but_for_its_faults(case):
    # The faults: answers on the last piece are dropped; a piece that shows nothing is given the next character.
    predicted, questions, found, beams = case
    answers = decoded(case, without_last_pieces(found, beams))
    differing = []
    for name, spans in zip(questions.ids, answers, strict=True):
        wanted = predicted["nbest"][name]
        assert [span.start_log_prob for span in spans] == [one["start_log_prob"] for one in wanted]
        assert [span.end_log_prob for span in spans] == [one["end_log_prob"] for one in wanted]
        assert probabilities(spans) == pytest.approx([one["probability"] for one in wanted], rel=1e-12)
        texts = [(span.text, one["text"]) for span, one in zip(spans, wanted, strict=True)]
        differing += [(name, *both) for both in texts if both[0] != both[1]]
        assert spans[0].text == predicted["predictions"][name]
    assert differing == [("short-4", "", "M"), ("case-2", "", "N")]


def test_null_scores_are_as_recorded(case):
    predicted, questions, found, beams = case
    scores = null_scores(found, beams["impossible"])
    assert dict(zip(questions.ids, scores.tolist(), strict=True)) == predicted["null_odds"]


def test_answers_on_the_last_piece_are_kept(case):
    _, _, found, beams = case
    kept, dropped = decoded(case, beams), decoded(case, without_last_pieces(found, beams))
    gained = [row for row in range(len(kept)) if kept[row] != dropped[row]]
    assert len(gained) == 8
    for row in gained:
        windows_of = np.flatnonzero(found.question == row)
        _, ends = found.characters(windows_of, found.length[windows_of] - 1, found.length[windows_of] - 1)
        assert any(span.end in ends for span in kept[row] if span not in dropped[row])


def test_an_answer_lies_where_it_says(case):
    _, questions, _, beams = case
    for row, spans in enumerate(decoded(case, beams)):
        context = questions.contexts[questions.context[row]]
        assert [context[span.start : span.end] for span in spans] == [span.text for span in spans]
        assert len({span.text for span in spans}) == len(spans)


def test_no_beam_gives_no_answer(case):
    _, questions, _, beams = case
    assert decoded(case, beams | {"ends": np.full_like(beams["ends"], NEVER)}) == [[]] * len(questions)
    assert probabilities([]) == []
