"""Evaluations as `xlnet evaluate` writes them, of every kind of task, with answers that a test can count."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xlnet.tasks import entities, metrics, span_scoring

TEXT = "the old cat sat on a mat while warm rain fell over town and all birds would sing or sleep in trees"
WORDS = TEXT.split()
CLASSES = ["negative", "neutral", "positive"]

Lines = list[dict[str, Any]]


def text(draw: random.Random, most: int = 60) -> str:
    return " ".join(draw.choices(WORDS, k=draw.randrange(1, most))) + "."


def classification(draw: random.Random, answers: random.Random, count: int, skill: float) -> tuple[Lines, dict]:
    lines = []
    for number in range(count):
        truth = draw.choice(CLASSES)
        chances = np.array([answers.random() + skill * (name == truth) for name in CLASSES]) ** 2
        chances /= chances.sum()
        predicted = CLASSES[int(chances.argmax())]
        line = {"line": number + 2, "text": text(draw), "truth": truth}
        lines.append(line | {"predicted": predicted, "probabilities": chances.tolist()})
    numbers = [np.array([CLASSES.index(line[key]) for line in lines]) for key in ("truth", "predicted")]
    return lines, metrics.classification(*numbers, classes=CLASSES)


def regression(draw: random.Random, answers: random.Random, count: int, skill: float) -> tuple[Lines, dict]:
    lines = []
    for number in range(count):
        truth = draw.choice(range(26)) / 5
        predicted = skill * truth + answers.gauss(0, 1)
        lines.append({"line": number + 2, "text": text(draw), "pair": text(draw), "truth": truth})
        lines[-1]["predicted"] = predicted
    return lines, metrics.regression(*(np.array([line[key] for line in lines]) for key in ("truth", "predicted")))


def choice(draw: random.Random, answers: random.Random, count: int, skill: float) -> tuple[Lines, dict]:
    lines = []
    for number in range(count):
        options = [text(draw, 8) for _ in range(4)]
        truth = draw.randrange(4)
        chances = np.array([answers.random() + skill * (option == truth) for option in range(4)])
        chances /= chances.sum()
        question = {"place": f"high/{number}.txt: question 1", "passage": text(draw, 200), "question": text(draw, 9)}
        answer = {"truth": "ABCD"[truth], "predicted": "ABCD"[int(chances.argmax())], "probabilities": chances.tolist()}
        lines.append({**question, "options": options, **answer})
    accuracy = float(np.mean([line["truth"] == line["predicted"] for line in lines]))
    majority = {"class": "A", "accuracy": float(np.mean([line["truth"] == "A" for line in lines]))}
    return lines, {"metrics": {"accuracy": accuracy, "accuracy_high": accuracy}, "majority": majority}


def spans(draw: random.Random, answers: random.Random, count: int, skill: float) -> tuple[Lines, dict]:
    lines = []
    for number in range(count):
        context = text(draw, 200)
        words = context.split()
        first = draw.randrange(len(words))
        truth = [] if draw.random() < 0.3 else [" ".join(words[first : first + 2])]
        guess = answers.randrange(len(words))
        best = truth[0] if truth and answers.random() < skill else " ".join(words[guess : guess + 2])
        null = answers.random() * (0.5 if truth else 1.5)
        predicted = "" if null > 0.5 else best
        start = context.index(best)
        lines.append(
            {
                **{"id": f"q{number}", "question": text(draw, 10), "context": context, "truth": truth},
                **{"predicted": predicted, "null_odds": null - 0.5, "null_probability": min(1.0, null)},
                "answers": [
                    {"text": best, "probability": answers.random(), "start": start, "end": start + len(best)},
                    {"text": words[0], "probability": 0.0, "start": 0, "end": len(words[0])},
                ],
                "exact": span_scoring.best_of(span_scoring.exact, truth, predicted),
                "f1": span_scoring.best_of(span_scoring.f1, truth, predicted),
            }
        )
    found = {name: float(np.mean([line[name] for line in lines])) for name in ("exact", "f1")}
    of_answered = float(np.mean([line["f1"] for line in lines if line["truth"]]))
    return lines, {"metrics": found | {"has_answer_f1": of_answered}, "loss": None}


def tokens(draw: random.Random, answers: random.Random, count: int, skill: float) -> tuple[Lines, dict]:
    lines = []
    for number in range(count):
        words = text(draw, 30).split()
        truth = ["B-BIRD" if word == "birds" else "B-PLACE" if word in ("town", "mat") else "O" for word in words]
        predicted = [label if answers.random() < skill else answers.choice(["O", "B-BIRD"]) for label in truth]
        sure = [answers.uniform(0.4, 1) for _ in words]
        lines.append({"line": number + 1, "words": words, "truth": truth, "predicted": predicted, "confidences": sure})
    return lines, entities.score(*([line[key] for line in lines] for key in ("truth", "predicted")))


KINDS = {
    "classification": classification,
    "regression": regression,
    "multiple-choice": choice,
    "question-answering": spans,
    "token-classification": tokens,
}


def store(folder: Path, kind: str, lines: Lines, measured: dict[str, Any]) -> str:
    """The two files of an evaluation."""
    folder.mkdir(parents=True)
    described = {"format": "xlnet-evaluation/1", "task": kind, "examples": len(lines), "model": f"runs/{kind}/model"}
    described |= {"data": "dev.tsv", "data_sha256": "d" * 64, "vocabulary_sha256": "e" * 64, "cut_examples": 3}
    (folder / "evaluation.json").write_text(json.dumps({**described, **measured}))
    (folder / "predictions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(folder)


@pytest.fixture
def evaluated(tmp_path) -> Callable[..., str]:
    """Writes an evaluation of a model of some skill, from 0 to 1, on the same examples each time."""

    def write(kind: str, *, skill: float = 0.6, count: int = 120, name: str = "evaluation") -> str:
        drawn = KINDS[kind](random.Random(0), random.Random(f"{skill}"), count, skill)
        return store(tmp_path / name, kind, *drawn)

    return write
