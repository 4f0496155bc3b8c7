"""The task of span answers: what a model that knows every answer is given, and the rules around it."""

import dataclasses

import numpy as np
import pytest
from keras import ops

from xlnet.errors import UserError
from xlnet.model.config import ModelConfig
from xlnet.tasks import registry
from xlnet.tasks.question_answering import QuestionAnswering
from xlnet.text import Tokenizer
from xlnet.training.finetuning_settings import FinetuningSettings

SETTINGS = FinetuningSettings(task="squad2", sequence_length=96, stride=32, question_length=24, start_top=2, end_top=2)
CONFIG = ModelConfig(vocab_size=2000, layers=1, model_dim=16, heads=2, head_dim=8, feedforward_dim=32, dropout=0.0)


def oracle(task, features, *, null=9.0):
    """The outputs of a model that is sure of every answer: its beam holds the true span and a wrong one."""
    last = task.sequence_length - 1
    starts, ends = (last - features.targets[name] for name in ("start", "end"))
    is_impossible = features.targets["impossible"].astype(bool)
    return {
        "starts": np.stack([starts, np.full_like(starts, last)], axis=1),
        "start_log_probs": np.tile([-0.1, -2.0], (len(features), 1)),
        "ends": np.stack([np.stack([ends, starts], 1), np.full((len(features), 2), last)], axis=1),
        "end_log_probs": np.tile([-0.1, -3.0], (len(features), 2, 1)),
        "impossible": np.where(is_impossible, null, -null),
    }


@pytest.fixture(scope="module")
def prepared(golden):
    task, questions = QuestionAnswering.prepare(str(golden("squad/train.json")), SETTINGS)
    return task, questions, task.features(Tokenizer(golden("spiece.model")), questions)


def test_who_knows_every_answer_has_the_full_score(prepared):
    task, questions, features = prepared
    found = task.measure(questions, features, oracle(task, features))
    assert found["loss"] is None
    metrics = found["metrics"]
    assert {name: value for name, value in metrics.items() if "threshold" not in name and value != 1.0} == {}
    assert -9 <= metrics["best_f1_threshold"] < 9
    assert task.best == "best_f1"
    assert task.best in metrics


@pytest.mark.parametrize("name", ["squad2/dev-v2.0.json", "xquad-v1.1/en.json", "cmrc2018/dev.json"])
def test_who_knows_every_answer_of_a_published_set_has_the_full_score(task_data, golden, characters, name):
    data_set = name.split("/")[0].removesuffix("-v1.1")
    settings = dataclasses.replace(SETTINGS, task=data_set, sequence_length=384, stride=128, answer_length=300)
    task, questions = QuestionAnswering.prepare(str(task_data(name)), settings)
    model = characters(questions.contexts) if data_set == "cmrc2018" else golden("spiece.model")
    features = task.features(Tokenizer(model), questions)
    found = task.measure(questions, features, oracle(task, features))["metrics"]
    scores = {score for score in found if "threshold" not in score}
    assert {score: found[score] for score in scores} == dict.fromkeys(scores, 1.0)


def test_answers_say_what_and_where_and_how_likely_there_is_none(prepared):
    task, questions, features = prepared
    answers = task.answers(questions, features, oracle(task, features, null=2.0))
    assert len(answers) == len(questions)
    for row, answer in enumerate(answers):
        golds = questions.golds[row]
        assert answer["predicted"] == (golds[0] if golds else "")
        assert (answer["exact"], answer["f1"]) == (1.0, 1.0)
        assert answer["null_odds"] == (-2.0 if golds else 2.0)
        assert answer["null_probability"] == pytest.approx(0.119203 if golds else 0.880797, abs=1e-6)
        context = questions.contexts[questions.context[row]]
        for best in answer["answers"]:
            assert context[best["start"] : best["end"]].strip() == best["text"]
        shown = task.fields(questions, row)
        assert (shown["id"], shown["truth"], shown["context"]) == (questions.ids[row], golds, context)


def test_the_threshold_of_the_head_decides(prepared):
    task, questions, features = prepared
    outputs = oracle(task, features)
    never = QuestionAnswering(task.head | {"null_threshold": -10.0})
    assert {answer["predicted"] for answer in never.answers(questions, features, outputs)} == {""}
    metrics = never.measure(questions, features, outputs)["metrics"]
    assert metrics["exact"] == questions.is_impossible.mean()
    assert (metrics["no_answer_exact"], metrics["has_answer_exact"], metrics["best_exact"]) == (1.0, 0.0, 1.0)
    never.settle(metrics)
    assert never.measure(questions, features, outputs)["metrics"]["exact"] == 1.0
    one = QuestionAnswering(task.head | {"null_threshold": -10.0, "data_set": "squad1"})
    assert one.answers(questions, features, outputs)[0]["predicted"] == questions.golds[0][0]
    assert one.best == "f1"


def test_losses_are_those_of_rows_and_do_not_see_padding(prepared):
    task, _, features = prepared
    model = task.model(CONFIG)
    arrays = {name: values[:4] for name, values in (features.inputs | features.targets).items()}
    losses = ops.convert_to_numpy(task.losses(model, arrays, training=False))
    assert losses.shape == (4,)
    longest = int((1 - arrays["padding"]).sum(axis=1).max())
    cut = {name: values[:, -longest:] if name in task.along_sequence else values for name, values in arrays.items()}
    assert longest < task.sequence_length
    np.testing.assert_allclose(ops.convert_to_numpy(task.losses(model, cut, training=False)), losses, atol=1e-5)
    inputs = {name: arrays[name] for name in features.inputs}
    whole = model(inputs)
    part = task.restored(model({name: cut[name] for name in inputs}), longest)
    for name in whole:
        np.testing.assert_allclose(ops.convert_to_numpy(part[name]), ops.convert_to_numpy(whole[name]), atol=1e-5)


def test_a_task_is_made_anew_from_its_head(prepared):
    task, _, _ = prepared
    assert registry.from_head(task.head, where="x").windows == task.windows
    with pytest.raises(UserError, match="x is damaged: stride is missing"):
        registry.from_head({name: value for name, value in task.head.items() if name != "stride"}, where="x")


def test_rows_without_room_for_the_context_are_refused(golden):
    with pytest.raises(UserError, match=r"sequence_length is 64, wanted is more than question_length \+ 3 = 67"):
        QuestionAnswering.prepare(
            str(golden("squad/train.json")), FinetuningSettings(task="squad2", sequence_length=64)
        )


def test_records_are_answered_as_questions_of_a_file(prepared, golden):
    task, questions, _ = prepared
    rows = range(3)
    records = [
        {"question": questions.texts[row], "context": questions.contexts[questions.context[row]]} for row in rows
    ]
    parsed = task.parse(records, path="-")
    features = task.features(Tokenizer(golden("spiece.model")), parsed)
    assert not features.targets
    assert features.example.tolist() == sorted(features.example.tolist())
    beams = {"starts": (2,), "start_log_probs": (2,), "ends": (2, 2), "end_log_probs": (2, 2), "impossible": ()}
    outputs = {name: np.zeros((len(features), *shape)) for name, shape in beams.items()}
    assert [answer["predicted"] for answer in task.answers(parsed, features, outputs)] == [""] * 3
    assert "truth" not in task.fields(parsed, 0)
