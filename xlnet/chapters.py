"""The report's chapters on training: what each shows, taken from what the stages left behind."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xlnet import plots, runs, storage
from xlnet.errors import UserError
from xlnet.evaluations import errors
from xlnet.evaluations.stored import Evaluation

ERRORS_SHOWN = 6
SPENT = ("training", "compile", "validation", "checkpoint", "repeated")  # of a run, in seconds


@dataclass(frozen=True)
class Task:
    """A task in the report: its name, and the folders of its fine-tuning and of its evaluation."""

    name: str
    finetuning: str
    evaluation: str

    @classmethod
    def parse(cls, text: str) -> "Task":
        """A task from NAME=FINETUNED,EVALUATION. Raises UserError for anything else."""
        name, _, folders = text.partition("=")
        finetuning, _, evaluation = folders.rpartition(",")
        if not (name and finetuning and evaluation):
            raise UserError(f"the task {text!r} is not NAME=FINETUNED,EVALUATION, its name and its two folders")
        return cls(name, finetuning, evaluation)


def pretraining(folder: str) -> dict[str, Any]:
    """A pretraining run: its summary and its curves."""
    summary = runs.read_object(folder, "summary.json")
    path = storage.join(folder, "metrics.jsonl")
    lines = runs.read_lines(path)
    with runs.intact(path):
        loss = runs.thinned(runs.points(lines, "loss"))
        held_out = runs.points(lines, "validation_loss")
        speed = runs.thinned(runs.points(lines, "pieces_per_second"))
    with runs.intact(storage.join(folder, "summary.json")):
        unigram = summary.get("unigram_loss")
        levels = [] if unigram is None else [plots.Level("unigram model", float(unigram))]
        final = {name: float(summary[name]) for name in ("steps", "seconds", "loss")}
        validation = summary.get("validation_loss")
        curves = [plots.Curve("training", loss), plots.Curve("held-out text", held_out, marks=True)]
        return {
            "summary": summary,
            **final,
            "validation_loss": validation,
            "unigram_loss": unigram,
            "gain": None if validation is None or unigram is None else float(unigram) - float(validation),
            "loss_plot": plots.lines(
                curves, name="loss", label="Loss over steps", unit="loss, nats per piece", levels=levels
            ),
            "speed_plot": plots.lines(
                [plots.Curve("training", speed)], name="speed", label="Speed over steps", unit="pieces per second"
            ),
            "position_plot": _by_position(summary.get("validation_loss_by_position")),
            "spent": {kind: summary[f"{kind}_seconds"] for kind in SPENT if summary.get(f"{kind}_seconds")},
        }


def _by_position(losses: list[float] | None) -> Any:
    """The held-out loss in each part of the window; a part without targets has no bar."""
    if not losses:
        return None
    size = 100 / len(losses)
    ticks = [f"{size * part:.0f}-{size * (part + 1):.0f}" for part in range(len(losses))]
    places = [part for part, loss in enumerate(losses) if loss]
    return plots.bars(
        [plots.Bars("held-out text", [losses[part] for part in places], places)],
        ticks,
        name="position",
        label="Held-out loss by position",
        unit="loss, nats per piece",
        axis="part of the window, percent",
    )


def task(found: Task) -> dict[str, Any]:
    """A task's evaluation, its curves and the errors the model was surest of."""
    summary = runs.read_object(found.finetuning, "summary.json")
    evaluation = runs.read_object(found.evaluation, "evaluation.json")
    metrics = storage.join(found.finetuning, "metrics.jsonl")
    lines = runs.read_lines(metrics) if storage.exists(metrics) else []
    predictions = storage.join(found.evaluation, "predictions.jsonl")
    answers = runs.read_lines(predictions) if storage.exists(predictions) else []
    with runs.intact(storage.join(found.evaluation, "evaluation.json")):
        told = Evaluation(found.evaluation, evaluation["task"], evaluation, answers)
    with runs.intact(metrics):
        curves = {name: runs.thinned(runs.points(lines, name), most=150) for name in ("loss", "dev_loss")}
    with runs.intact(predictions):
        worst = errors.worst(told, limit=ERRORS_SHOWN)
        wrong = sum(line["truth"] != line["predicted"] for line in answers)
    with runs.intact(storage.join(found.evaluation, "evaluation.json")):
        return {
            "name": found.name,
            "main": told.main,
            "errors_title": errors.title(told.kind),
            "summary": summary,
            "seconds": summary.get("seconds"),
            "task": evaluation["task"],
            "examples": evaluation["examples"],
            "metrics": dict(evaluation["metrics"]),
            "majority": evaluation.get("majority"),
            "mean": evaluation.get("mean"),
            "per_class": evaluation.get("per_class", []),
            "confusion": _confusion(evaluation),
            "errors": worst,
            "wrong": wrong,
            "curves": curves,
            "data": evaluation.get("data"),
        }


def _confusion(evaluation: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of the confusion matrix: each class's counts with their shares of the row."""
    rows = zip(evaluation.get("classes") or [], evaluation.get("confusion") or [], strict=True)
    return [
        {"class": name, "cells": [{"count": n, "share": n / max(1, sum(row))} for n in row], "number": number}
        for number, (name, row) in enumerate(rows)
    ]


def task_plot(tasks: Sequence[dict[str, Any]]) -> Any:
    """The loss on the dev examples after each epoch, of all tasks in one drawing; of training where there is none."""
    measured = any(len(entry["curves"]["dev_loss"]) > 1 for entry in tasks)
    name = "dev_loss" if measured else "loss"
    curves = [plots.Curve(entry["name"], entry["curves"][name], marks=measured) for entry in tasks]
    if not any(curve.points for curve in curves):
        return None
    unit = "loss on dev examples" if measured else "training loss"
    return plots.lines(curves, name="tasks", label="Fine-tuning: loss over steps", unit=unit)
