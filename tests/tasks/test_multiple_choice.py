"""Multiple choice from files to an evaluation, and what it says of files that are wrong."""

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from xlnet import storage
from xlnet.evaluations.measures import measures
from xlnet.evaluations.stored import Evaluation
from xlnet.model.config import ModelConfig
from xlnet.tasks import race, registry
from xlnet.tasks.predictor import Predictor
from xlnet.training.evaluation import evaluate
from xlnet.training.finetuning import finetune
from xlnet.training.finetuning_settings import FinetuningSettings

TINY = ModelConfig(layers=1, model_dim=16, heads=2, head_dim=8, feedforward_dim=32, dropout=0.0, attention_dropout=0.0)
QUICK = FinetuningSettings(
    task="multiple-choice",
    sequence_length=24,
    option_length=12,
    batch_size=8,
    learning_rate=1e-2,
    epochs=6,
    jit_compile=False,
)


def write_passages(folder: Path, *, count: int, seed: int) -> str:
    """Questions of two to four options; the one that names a class answers."""
    draw = random.Random(seed)
    for number in range(count):
        options = [["a module", "an object", "the text"][: draw.randrange(1, 4)] for _ in range(2)]
        places = [draw.randrange(len(part) + 1) for part in options]
        for part, place in zip(options, places, strict=True):
            part.insert(place, "class")
        content = {
            "article": "The value is returned.",
            "questions": ["What is _?", "Which?"],
            "options": options,
            "answers": [race.LETTERS[place] for place in places],
        }
        file = folder / draw.choice(["high", "middle"]) / f"{number}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content))
    return str(folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory, vocabulary):
    folder = tmp_path_factory.mktemp("choice")
    train = write_passages(folder / "train", count=40, seed=0)
    dev = write_passages(folder / "dev", count=12, seed=1)
    output = str(folder / "run")
    summary = finetune(
        train=train, dev=dev, output=output, vocabulary=vocabulary, model_config=TINY, settings=QUICK, progress=False
    )
    return folder, summary


def test_the_option_that_answers_is_learned_whatever_the_number_of_options(run):
    _, summary = run
    assert summary["dev_accuracy"] == summary["dev_accuracy_high"] == summary["dev_accuracy_middle"] == 1.0
    assert summary["data"]["train"]["examples"] == 80


def test_the_evaluation_tells_accuracy_by_level_and_a_prediction_for_each_question(run):
    folder, _ = run
    found = evaluate(
        model=f"{folder}/run/model", data=f"{folder}/dev", output=f"{folder}/evaluation", progress=False, batch_size=5
    )
    assert found["metrics"] == {"accuracy": 1.0, "accuracy_high": 1.0, "accuracy_middle": 1.0}
    assert 0.2 < found["majority"]["accuracy"] < 1
    lines = [json.loads(line) for line in Path(folder, "evaluation/predictions.jsonl").read_text().splitlines()]
    assert len(lines) == found["examples"] == 24
    assert all(line["predicted"] == line["truth"] for line in lines)
    assert all(len(line["probabilities"]) == len(line["options"]) for line in lines)
    assert all(sum(line["probabilities"]) == pytest.approx(1) for line in lines)
    assert lines[0]["place"] == "high/0.txt: question 1"
    assert measures(Evaluation.read(f"{folder}/evaluation"))[0].of() == 1.0


def test_a_model_answers_objects_as_it_answers_files(run):
    folder, _ = run
    predictor = Predictor.load(f"{folder}/run/model")
    task = predictor.task
    content = storage.read_json(race.read(f"{folder}/dev").where(0).partition(": question")[0])
    asked = zip(content["questions"], content["options"], strict=True)
    records = [{"article": content["article"], "question": one, "options": options} for one, options in asked]
    examples = task.parse(records, path="-")
    features = predictor.features(examples)
    assert features.targets == {}
    found = task.answers(examples, features, predictor.outputs(features.inputs))
    assert len(found) == 2
    assert all(examples.options[row]["ABCD".index(found[row]["predicted"])] == "class" for row in range(2))
    whole = predictor.outputs(predictor.features(task.read(f"{folder}/dev")).inputs, batch_size=7)
    there = predictor.outputs(features.inputs)
    np.testing.assert_allclose(whole[:2, : there.shape[1]], there, atol=1e-5)


def test_a_task_is_made_anew_from_what_a_model_keeps(run):
    folder, _ = run
    head = storage.read_json(f"{folder}/run/model/config.json")["head"]
    assert head == {
        "task": "multiple-choice",
        "sequence_length": 24,
        "option_length": 12,
        "summary": "last",
        "projection": True,
    }
    assert registry.from_head(head, where="x").best == "accuracy"


def test_length_of_an_option_must_be_positive():
    with pytest.raises(Exception, match="option_length is 0, wanted is 1 piece or more"):
        replace(QUICK, option_length=0)
