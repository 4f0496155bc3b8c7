"""Windows against the reference's recorded features, and over whole data sets."""

import json

import numpy as np
import pytest

from xlnet.errors import UserError
from xlnet.tasks.span_questions import NOWHERE, read
from xlnet.tasks.span_windows import WindowSettings, windows
from xlnet.text import Tokenizer

RECORDED = {"pieces": "input_ids", "padding": "input_mask", "excluded": "p_mask", "segments": "segment_ids"}
BARE_MARK = 17  # the recorded vocabulary's piece of it


@pytest.fixture(scope="module", params=range(4))
def conversion(request, golden):
    """The features that the reference made of a small file, and ours."""
    case = json.loads(golden("finetune_features.json").read_text())["squad"]["conversions"][request.param]
    tokenizer = Tokenizer(golden("spiece.model"), lower=case["lower"])
    questions = read(str(golden(f"squad/{'train' if case['is_training'] else 'dev'}.json")))
    settings = WindowSettings(case["max_seq_length"], case["doc_stride"], case["max_query_length"])
    return case, questions, windows(tokenizer, questions, settings=settings)


def test_features_are_as_recorded_but_for_the_side_of_the_padding(conversion):
    case, _, found = conversion
    assert len(found) == len(case["features"])
    for row, feature in enumerate(case["features"]):
        padding = found.begin[row]
        for ours, theirs in RECORDED.items():
            assert np.roll(found.inputs[ours][row], -padding).tolist() == feature[theirs], ours
        assert len(feature["input_ids"]) - 1 - padding == feature["cls_index"]
        assert found.length[row] == feature["paragraph_len"]
        if case["is_training"]:
            recorded = [feature["start_position"], feature["end_position"]]
            assert found.answers[row].tolist() == ([-1, -1] if feature["is_impossible"] else recorded)
        else:
            assert found.question[row] == feature["example_index"]


def test_most_context_is_as_recorded(conversion):
    case, _, found = conversion
    column = np.arange(found.inputs["pieces"].shape[1])
    has_most = found.has_most_context(np.arange(len(found))[:, None], column)
    for row, feature in enumerate(case["features"]):
        assert has_most[row, : found.length[row]].tolist() == list(feature["token_is_max_context"].values())


def test_places_of_pieces_are_as_recorded_but_for_a_bare_mark_at_the_beginning(conversion):
    # Fault of the reference: where a text's first piece is only the mark of a word's beginning, which shows no
    # character, its alignment gives it the first character, that is the next piece's.
    case, questions, found = conversion
    compared = 0
    for row, feature in enumerate(case["features"]):
        context = questions.contexts[found.context[row]]
        column = np.arange(found.length[row])
        starts, ends = found.characters(np.full(len(column), row), column, column)
        recorded = zip(feature["tok_start_to_orig_index"], feature["tok_end_to_orig_index"], strict=True)
        for piece, ((first, last), start, end) in enumerate(zip(recorded, starts, ends, strict=True)):
            if context[first : last + 1].strip() == context[start:end]:
                compared += 1
            else:
                assert (found.first[row], piece, start, end) == (0, 0, 0, 0)
                assert found.inputs["pieces"][row, found.begin[row]] == BARE_MARK
    assert compared > 0.998 * found.length.sum()


# windows with an answer; questions with an answer in their context; those of them whose answer one window has whole
WHOLE = {
    "squad2/train-v2.0.json": (2265, 1866, 1866),
    "squad2/dev-v2.0.json": (497, 417, 417),
    "cmrc2018/train.json": (3444, 2495, 2493),
    "cmrc2018/dev.json": (1250, 881, 881),
    "xquad-v1.1/en.json": (1314, 1116, 1116),
    "xquad-v1.1/zh.json": (1211, 1116, 1116),
}


@pytest.mark.parametrize("name", WHOLE)
def test_every_answer_in_a_window_is_recovered_exactly_from_its_pieces(task_data, golden, characters, name):
    # English with the recorded vocabulary. Chinese a character a piece: a longer piece may reach over an answer's end.
    questions = read(str(task_data(name)), name.split("/")[0].removesuffix("-v1.1"))
    is_english = questions.texts[0].isascii()
    tokenizer = Tokenizer(golden("spiece.model")) if is_english else Tokenizer(characters(questions.contexts))
    found = windows(tokenizer, questions, settings=WindowSettings(384, 128, 64))
    rows = np.flatnonzero(found.answers[:, 0] != NOWHERE)
    starts, ends = found.characters(rows, *found.answers[rows].T)
    for question, start, end in zip(found.question[rows], starts, ends, strict=True):
        context = questions.contexts[questions.context[question]]
        assert squeezed(context[start:end]) == squeezed(context[slice(*questions.spans[question])])
    has_place = questions.spans[:, 0] != NOWHERE
    assert has_place[found.question[rows]].all()
    assert (len(rows), has_place.sum(), len(set(found.question[rows]))) == WHOLE[name]


def squeezed(text: str) -> str:
    return "".join(text.split())


def test_every_piece_of_a_context_is_in_a_window_and_has_most_context_in_one(golden, file_of):
    context = " ".join(f"word{number} is" for number in range(120))
    questions = read(file_of(context, "word119"))
    found = windows(Tokenizer(golden("spiece.model")), questions, settings=WindowSettings(64, 24, 16))
    assert len(found) > 5
    count = int(found.pieces.counts[0])
    assert found.first[-1] + found.length[-1] == count
    seen = np.zeros(count, int)
    for row in range(len(found)):
        piece = np.arange(found.length[row])
        seen[found.first[row] + piece] += found.has_most_context(np.full(len(piece), row), piece)
    assert seen.tolist() == [1] * count


def test_an_answer_on_the_last_piece_is_a_target(golden, file_of):
    # Fault of the reference: write_predictions drops what starts or ends on the last piece of a window.
    questions = read(file_of("The answer is here at the very end", "end"))
    found = windows(Tokenizer(golden("spiece.model")), questions, settings=WindowSettings(64, 32, 16))
    assert found.answers[0, 1] == found.length[0] - 1


@pytest.fixture
def file_of(tmp_path):
    def write(context, answer):
        path = tmp_path / "one.json"
        answers = [{"text": answer, "answer_start": context.rindex(answer)}]
        qas = [{"id": "q", "question": "What is it?", "answers": answers, "is_impossible": False}]
        path.write_text(json.dumps({"data": [{"paragraphs": [{"context": context, "qas": qas}]}]}))
        return str(path)

    return write


def test_settings_that_leave_the_context_no_room_are_refused():
    with pytest.raises(UserError, match=r"sequence_length is 67, wanted is more than question_length \+ 3 = 67"):
        WindowSettings(67, 32, 64)
    with pytest.raises(UserError, match="stride is 0"):
        WindowSettings(128, 0, 64)


def test_a_context_without_anything_to_read_is_refused_by_its_question(golden, file_of):
    questions = read(file_of("\u0301\u0302", "\u0301"))
    with pytest.raises(UserError, match="the context of question 'q' has nothing to read"):
        windows(Tokenizer(golden("spiece.model")), questions, settings=WindowSettings())
