"""Labels of words from CoNLL files to an evaluation, and what it says of files that are wrong."""

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from xlnet.errors import UserError
from xlnet.evaluations.measures import measures
from xlnet.evaluations.stored import Evaluation
from xlnet.model.config import ModelConfig
from xlnet.serving.export import export
from xlnet.tasks.predictor import Predictor
from xlnet.tasks.token_classification import TokenClassification
from xlnet.text import Tokenizer
from xlnet.training.evaluation import evaluate
from xlnet.training.finetuning import finetune
from xlnet.training.finetuning_settings import FinetuningSettings

TINY = ModelConfig(layers=1, model_dim=16, heads=2, head_dim=8, feedforward_dim=32, dropout=0.0, attention_dropout=0.0)
QUICK = FinetuningSettings(
    task="token-classification", sequence_length=24, batch_size=16, learning_rate=2e-2, epochs=25, jit_compile=False
)
FIRST = {"KIND": "class", "NAME": "Python"}  # the word that begins an entity of a type
THEN = {"KIND": "module", "NAME": "object"}
FILLER = ["the", "value", "is", "of", "returned", "if", "."]


def write_sentences(path: Path, *, count: int, seed: int, scheme: str) -> str:
    """Sentences of some words and entities of one to three words."""
    draw = random.Random(seed)
    lines = []
    for _ in range(count):
        for _ in range(draw.randrange(1, 4)):
            lines += [f"{word} - O" for word in draw.choices(FILLER, k=draw.randrange(1, 4))]
            kind, more = draw.choice(["KIND", "NAME"]), draw.randrange(3)
            letters = {
                "BIO": "I" * (1 + more),
                "IOBES": "B" + "I" * (more - 1) + "E" if more else "S",
            }[scheme]
            words = [FIRST[kind]] + [THEN[kind]] * more
            lines += [f"{word} - {letter}-{kind}" for word, letter in zip(words, letters, strict=True)]
        lines.append("")
    path.write_text("\n".join(lines))
    return str(path)


@pytest.fixture(scope="module")
def run(tmp_path_factory, vocabulary):
    folder = tmp_path_factory.mktemp("tokens")
    train = write_sentences(folder / "train.txt", count=60, seed=0, scheme="BIO")
    dev = write_sentences(folder / "dev.txt", count=15, seed=1, scheme="IOBES")
    output = str(folder / "run")
    summary = finetune(
        train=train, dev=dev, output=output, vocabulary=vocabulary, model_config=TINY, settings=QUICK, progress=False
    )
    return folder, summary


def test_entities_are_learned_whatever_the_schemes_of_the_files(run):
    _, summary = run
    assert summary["classes"] == ["O", "B-KIND", "I-KIND", "B-NAME", "I-NAME"]
    assert summary["dev_f1"] > 0.95
    assert summary["dev_accuracy"] > 0.98
    assert summary["loss"] < 0.2


def test_the_evaluation_tells_f1_by_type_and_the_labels_of_every_word(run):
    folder, summary = run
    found = evaluate(
        model=f"{folder}/run/model", data=f"{folder}/dev.txt", output=f"{folder}/evaluation", progress=False
    )
    assert found["metrics"]["f1"] == pytest.approx(summary["dev_f1"])
    assert found["loss"] == pytest.approx(summary["dev_loss"], rel=1e-4)
    assert [part["class"] for part in found["per_class"]] == ["KIND", "NAME"]
    lines = [json.loads(line) for line in Path(folder, "evaluation/predictions.jsonl").read_text().splitlines()]
    assert len(lines) == 15
    assert all(len(line["words"]) == len(line["truth"]) == len(line["predicted"]) for line in lines)
    words = [line.split()[0] for line in Path(folder, "dev.txt").read_text().splitlines() if line]
    assert [word for line in lines for word in line["words"]] == words
    entity = next(entity for line in lines for entity in line["entities"] if entity["type"] == "NAME")
    assert set(entity["text"].split()) <= {"Python", "object"}
    assert entity["end"] - entity["first"] == len(entity["text"].split())
    for measure in measures(Evaluation.read(f"{folder}/evaluation")):
        assert measure.of() == pytest.approx(found["metrics"][measure.name])


def test_sentences_longer_than_a_row_are_labelled_to_their_end(run):
    folder, _ = run
    predictor = Predictor.load(f"{folder}/run/model")
    task = predictor.task
    text = "the value is returned . " * 12 + "Python class"
    examples = task.parse([{"text": "Python"}, {"text": text}, {"words": ["if", "class"]}], path="-")
    features = predictor.features(examples)
    assert len(features) > 4
    assert features.example.tolist() == sorted(features.example.tolist())
    found = task.answers(examples, features, predictor.outputs(features.inputs))
    assert [len(answer["predicted"]) for answer in found] == [1, 62, 2]
    assert found[1]["predicted"][-2:] == ["B-NAME", "B-KIND"]
    for answer in found:
        assert len(answer["confidences"]) == len(answer["predicted"])
        assert all(1 / 5 < sure <= 1 for sure in answer["confidences"])
    assert found[1]["entities"] == [
        {"type": "NAME", "first": 60, "end": 61, "text": "Python"},
        {"type": "KIND", "first": 61, "end": 62, "text": "class"},
    ]


def test_rows_cut_on_the_left_answer_as_whole_ones(run):
    folder, _ = run
    predictor = Predictor.load(f"{folder}/run/model")
    examples = predictor.task.parse([{"text": "the class of Python"}], path="-")
    features = predictor.features(examples)
    whole = predictor.outputs(features.inputs)
    length = 24 - int(features.inputs["padding"].sum())
    short = predictor.outputs({name: values[:, -length:] for name, values in features.inputs.items()})
    found = predictor.task.restored(short, length)
    assert found.shape == whole.shape
    place = features.notes.row, features.notes.column
    np.testing.assert_allclose(found[place], whole[place], atol=1e-5)


def test_columns_are_chosen_by_number_and_labels_may_stand_for_themselves(tmp_path, vocabulary):
    path = tmp_path / "train.tsv"
    path.write_text("1\tclass\tNN\tx\n2\tis\tVB\tx\n\n3\tclass\tNN\tx\n")
    task, examples = TokenClassification.prepare(str(path), replace(QUICK, text_column="1", label_column="2"))
    assert task.head["columns"] == {"word": "1", "label": "2"}
    assert (task.head["classes"], task.best) == (["NN", "VB"], "accuracy")
    features = task.features(Tokenizer(vocabulary), examples)
    outputs = np.zeros((len(features), 24, 2), np.float32)
    outputs[..., 0] = np.log(3)  # three to one that it is a noun
    found = task.measure(examples, features, outputs)
    assert found["metrics"] == {"accuracy": pytest.approx(2 / 3)}
    assert found["loss"] == pytest.approx(-(2 * np.log(0.75) + np.log(0.25)) / 3)
    (answer,) = task.answers(examples, features, outputs)[1:]
    assert answer == {"predicted": ["NN"], "confidences": [pytest.approx(0.75)]}
    assert task.fields(examples, 1) == {"line": 4, "words": ["class"], "truth": ["NN"]}


def test_a_model_of_words_is_exported(run, tmp_path):
    folder, _ = run
    card = export(model=f"{folder}/run/model", output=str(tmp_path / "out"))
    assert (card["task"], card["signature"]["outputs"]) == ("token-classification", ["logits"])
    assert card["max_abs_difference"] <= 1e-5


def test_what_is_wrong_in_a_file_ends_before_training(run, tmp_path, vocabulary):
    folder, _ = run
    start = {"vocabulary": vocabulary, "model_config": TINY, "settings": QUICK, "output": str(tmp_path / "out")}
    (tmp_path / "dev.txt").write_text("Python - B-PERSON\n")
    with pytest.raises(
        UserError, match=r"dev\.txt:1: the label 'B-PERSON' is unknown to the model; it knows 'O', 'B-K"
    ):
        finetune(train=f"{folder}/train.txt", dev=str(tmp_path / "dev.txt"), **start)
    (tmp_path / "dev.txt").write_text("Python - B-NAME\nclass\n")
    with pytest.raises(UserError, match=r"dev\.txt:2: the row has 1 columns, the first row has 3"):
        evaluate(model=f"{folder}/run/model", data=str(tmp_path / "dev.txt"), output=str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
