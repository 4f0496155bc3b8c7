"""Span answers from files to an evaluation: what a small model learns, and the threshold it takes along."""

import json
import random

import pytest

from xlnet import vocab
from xlnet.evaluations.measures import measures
from xlnet.evaluations.stored import Evaluation
from xlnet.model.config import ModelConfig
from xlnet.tasks.predictor import Predictor
from xlnet.training.evaluation import evaluate
from xlnet.training.finetuning import finetune
from xlnet.training.finetuning_settings import FinetuningSettings

COLOURS = ["red", "green", "blue", "yellow"]
FILLER = ["the", "house", "was", "painted", "and", "then", "we", "saw", "it", "again"]
TINY = ModelConfig(layers=1, model_dim=16, heads=2, head_dim=8, feedforward_dim=32, dropout=0.0, attention_dropout=0.0)
SETTINGS = FinetuningSettings(
    task="squad2",
    sequence_length=32,
    stride=8,
    question_length=8,
    batch_size=32,
    learning_rate=1e-2,
    epochs=8,
    jit_compile=False,
)


def paragraph(draw, name):
    words = draw.choices(FILLER, k=draw.randrange(4, 24))  # rows of several lengths
    answers = []
    if draw.random() < 0.7:
        place, colour = draw.randrange(len(words)), draw.choice(COLOURS)
        start = len(" ".join([*words[:place], ""]))
        words.insert(place, colour)
        answers = [{"text": colour, "answer_start": start}]
    question = {"id": name, "question": "which colour", "answers": answers, "is_impossible": not answers}
    return {"context": " ".join(words), "qas": [question]}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("questions")
    draw = random.Random(0)
    for name, count in (("train", 200), ("dev", 60)):
        paragraphs = [paragraph(draw, f"{name}-{number}") for number in range(count)]
        (folder / f"{name}.json").write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    words = COLOURS + FILLER + ["which", "colour"]
    (folder / "text.txt").write_text("".join(" ".join(draw.choices(words, k=8)) + "\n" for _ in range(400)))
    vocab.train([str(folder / "text.txt")], str(folder / "spiece.model"), settings=vocab.VocabularySettings(size=50))
    return {name: str(folder / f"{name}.json") for name in ("train", "dev")} | {
        "vocabulary": str(folder / "spiece.model")
    }


@pytest.fixture(scope="module")
def run(files, tmp_path_factory):
    output = str(tmp_path_factory.mktemp("run") / "run")
    summary = finetune(
        train=files["train"],
        dev=files["dev"],
        output=output,
        settings=SETTINGS,
        model_config=TINY,
        vocabulary=files["vocabulary"],
        progress=False,
    )
    return output, summary


def test_the_word_that_answers_is_learned(run):
    _, summary = run
    assert summary["best_metric"] == "best_f1"
    assert summary["dev_best_f1"] > 0.9
    assert summary["data"]["train"]["examples"] == 200


def test_the_model_takes_the_best_threshold_along_and_is_evaluated_with_it(run, files, tmp_path):
    output, summary = run
    head = Predictor.load(f"{output}/model").task.head
    assert head["null_threshold"] == summary["dev_best_f1_threshold"]
    result = evaluate(model=f"{output}/model", data=files["dev"], output=str(tmp_path / "dev"), progress=False)
    assert result["metrics"]["f1"] == pytest.approx(summary["dev_best_f1"])
    assert result["metrics"]["f1"] == pytest.approx(result["metrics"]["best_f1"])
    lines = [json.loads(line) for line in (tmp_path / "dev" / "predictions.jsonl").read_text().splitlines()]
    assert len(lines) == 60
    for line in lines:
        best = line["answers"][0]
        assert line["predicted"] == ("" if line["null_odds"] > head["null_threshold"] else best["text"])
        assert line["context"][best["start"] : best["end"]] == best["text"]
    exact = sum(line["predicted"] in (line["truth"] or [""]) for line in lines) / 60
    assert result["metrics"]["exact"] == pytest.approx(exact)
    for measure in measures(Evaluation.read(str(tmp_path / "dev"))):
        assert measure.of() == pytest.approx(result["metrics"][measure.name])
