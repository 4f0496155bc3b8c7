"""Errors as a reader sees them: the text, what is true, what was answered, and how sure the model was."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from xlnet.evaluations.calibration import confidence
from xlnet.evaluations.confusion import NULL
from xlnet.evaluations.measures import scores
from xlnet.evaluations.stored import Evaluation
from xlnet.tasks.entities import entities

AROUND = 160  # characters of a context on both sides of an answer
SHOWN = 400  # characters of a text
TITLES = {
    "regression": "Largest errors",
    "question-answering": "Surest answers that share nothing with the right one",
    "token-classification": "Sentences with the surest of wrong labels",
}
Line = dict[str, Any]


def title(kind: str) -> str:
    """What the worst errors of a kind of task are."""
    return TITLES.get(kind, "Surest errors")


def worst(evaluation: Evaluation, *, limit: int) -> list[Line]:
    """The errors a model was surest of, surest first.

    Of numbers the largest differences, of spans the answers that share nothing with a right one, of words the
    sentences with the surest of wrong labels.
    """
    found = scores(evaluation)
    if evaluation.kind == "token-classification":
        size = np.array([_surest_wrong(line) for line in evaluation.answers])
    elif evaluation.kind == "regression":
        size = -found
    else:
        size = np.array([confidence(evaluation, line) for line in evaluation.answers], np.float64)
    is_wrong = found == 0 if evaluation.kind == "question-answering" else found < (evaluation.kind != "regression")
    rows = np.flatnonzero(is_wrong)
    order = np.argsort(-size[rows], kind="stable")[:limit]
    return [shown(evaluation, int(row)) for row in rows[order]]


def shown(evaluation: Evaluation, row: int) -> Line:
    """An example and its answer: where, parts (name, text), marked (before, answer, after), truth, predicted, sure."""
    line = evaluation.answers[row]
    common = {"where": _place(line), "sure": confidence(evaluation, line), "marked": None}
    if evaluation.kind == "question-answering":
        return common | _span(line)
    if evaluation.kind == "token-classification":
        text = [("", _cut(" ".join(line["words"])))]
        return common | {"sure": _surest_wrong(line) or None, "parts": text, **_labels(line, evaluation.are_entities)}
    if evaluation.kind == "multiple-choice":
        return common | _choice(line)
    truth, predicted = line["truth"], line["predicted"]
    if evaluation.kind == "regression":
        truth, predicted = f"{truth:.3f}", f"{predicted:.3f}"
    pair = [("with", _cut(line["pair"]))] if line.get("pair") else []
    return common | {"parts": [("", _cut(line["text"])), *pair], "truth": truth, "predicted": predicted}


def _place(line: Line) -> str:
    """A line's number, a file's name or a question's id: what the kind of task has."""
    place = line.get("line", line.get("id", line.get("place", "")))
    return f"line {place}" if isinstance(place, int) else str(place)


def _span(line: Line) -> Line:
    """A question, and the context around what was answered; where nothing was, around the right answer."""
    context, truths = line["context"], list(dict.fromkeys(filter(None, line["truth"])))
    text = line["predicted"] or (truths[0] if truths else "")
    best = line["answers"][0] if line["answers"] and line["predicted"] else {}
    start = best.get("start", context.find(text))
    marked = None
    if text and start >= 0:
        end = best.get("end", start + len(text))
        first, last = max(0, start - AROUND), min(len(context), end + AROUND)
        before, after = "…" * (first > 0) + context[first:start], context[end:last] + "…" * (last < len(context))
        marked = (before, context[start:end], after)
    return {
        "parts": [("", _cut(line["question"]))] + ([] if marked else [("context", _cut(context))]),
        "marked": marked,
        "truth": " / ".join(truths) or NULL,
        "predicted": line["predicted"] or NULL,
    }


def _choice(line: Line) -> Line:
    """A question, its options with their letters, and the passage's beginning."""
    options = dict(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", line["options"], strict=False))
    told = {name: f"{line[name]}: {options.get(line[name], '')}" for name in ("truth", "predicted")}
    return {"parts": [("", _cut(line["question"])), ("passage", _cut(line["passage"]))], **told}


def _surest_wrong(line: Line) -> float:
    """The highest confidence of a wrong label; 0 where all are right."""
    told = zip(line["confidences"], line["truth"], line["predicted"], strict=True)
    return max((float(sure) for sure, truth, predicted in told if truth != predicted), default=0.0)


def _labels(line: Line, are_entities: bool) -> Line:
    """The entities, or the words' labels, that are not the same in truth and answer."""
    words, both = line["words"], (line["truth"], line["predicted"])
    if are_entities:
        found = [set(entities(labels)) for labels in both]
        sides = [
            [f"{' '.join(words[first:end])} ({kind})" for kind, first, end in sorted(one - other, key=lambda e: e[1])]
            for one, other in (found, found[::-1])
        ]
    else:
        wrong = [number for number, (one, other) in enumerate(zip(*both, strict=True)) if one != other]
        sides = [[f"{words[number]} ({labels[number]})" for number in wrong] for labels in both]
    truth, predicted = (", ".join(side) or "none" for side in sides)
    return {"truth": truth, "predicted": predicted}


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else text[:SHOWN].rstrip() + "…"


def apart(first: Evaluation, second: Evaluation, *, limit: int) -> dict[str, Any]:
    """Where two models' answers to the same examples differ most: how many are better and worse, and some of both."""
    differences = scores(first) - scores(second)
    return {
        "better": _sides(first, second, differences, limit=limit),
        "worse": _sides(first, second, -differences, limit=limit),
        "equal": int(np.sum(differences == 0)),
    }


def _sides(first: Evaluation, second: Evaluation, differences: Any, *, limit: int) -> dict[str, Any]:
    order: Sequence[int] = np.argsort(-differences, kind="stable")[:limit].tolist()
    rows = [row for row in order if differences[row] > 0]
    return {
        "count": int(np.sum(differences > 0)),
        "examples": [shown(first, row) | {"other": shown(second, row)["predicted"]} for row in rows],
    }
