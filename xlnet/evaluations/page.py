"""One self-contained HTML page about an evaluation, alone or against another of the same examples."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from xlnet import __version__, pages, plots, runs, storage
from xlnet.evaluations import calibration, comparison, confusion, errors, groups
from xlnet.evaluations.by_class import ByClass, by_class
from xlnet.evaluations.calibration import Calibration
from xlnet.evaluations.measures import Measure, measure_of_parts, measures
from xlnet.evaluations.stored import EVALUATION, Evaluation, require_same_examples

TEMPLATE = "evaluation.html.j2"
NAMES = ("this model", "the other model")
ERRORS_SHOWN, APART_SHOWN = 20, 6
RESAMPLES_OF_PARTS = 400
WORK = 200_000_000  # examples drawn for an interval, at most


@dataclass(frozen=True)
class Part:
    """The metric on a part of the examples, with the interval that chance leaves, and that of the other model."""

    name: str
    count: int
    value: float
    low: float
    high: float
    other: float | None


def write(
    output: str,
    *,
    evaluation: str,
    against: str | None = None,
    title: str | None = None,
    resamples: int = comparison.RESAMPLES,
) -> dict[str, Any]:
    """Write the page about an evaluation, a folder of `xlnet evaluate`, to `output`, whole or not at all.

    `against` is the evaluation of another model on the same examples. `resamples` are drawn for each interval, of large
    sets fewer. Returns the figures of the page, by name: what a terminal shows. Same inputs, same bytes. Raises
    UserError, naming the file, for what is missing, broken or of different examples.
    """
    pages.require_file(output)
    first = Evaluation.read(evaluation)
    second = None if against is None else Evaluation.read(against)
    if second is not None:
        require_same_examples(first, second)
    resamples = max(100, min(resamples, WORK // len(first.answers)))
    content = _content(first, *([] if second is None else [second]), resamples=resamples)
    pages.write(
        output,
        TEMPLATE,
        of=" or ".join(storage.join(folder, EVALUATION) for folder in (evaluation, against) if folder),
        title=title or f"Evaluation on {os.path.basename(first.data.rstrip('/'))}",
        version=__version__,
        **content,
    )
    return _figures(content)


def _content(first: Evaluation, *others: Evaluation, resamples: int) -> dict[str, Any]:
    both = (first, *others)
    with runs.intact(first.path):
        content = _of_one(first)
    for other in others:
        with runs.intact(other.path):
            content |= {"apart": errors.apart(first, other, limit=APART_SHOWN), "other": other.described}
    with runs.intact(both[-1].path):
        calibrated = [calibration.of_evaluation(one) for one in both]
        return {
            "names": NAMES,
            "apart": None,
            "other": None,
            **content,
            "metrics": _metrics(*both, resamples=resamples),
            "calibrated": [found for found in calibrated if found is not None],
            "calibration_plot": _calibration_plot([found for found in calibrated if found is not None]),
            "fit_plot": _fit_plot(both),
            "matrices": [found for found in map(_matrix, both) if found],
            "classes": _classes([by_class(one) for one in both]),
            **_lengths(*both, resamples=min(resamples, RESAMPLES_OF_PARTS)),
        }


def _of_one(evaluation: Evaluation) -> dict[str, Any]:
    described = evaluation.described
    return {
        "kind": evaluation.kind,
        "described": described,
        "examples": len(evaluation.answers),
        "cut": described.get("cut_examples"),
        "baseline": described.get("majority") or described.get("mean") or {},
        "errors_title": errors.title(evaluation.kind),
        "errors": errors.worst(evaluation, limit=ERRORS_SHOWN),
    }


def _metrics(first: Evaluation, second: Evaluation | None = None, *, resamples: int) -> list[dict[str, Any]]:
    """Every official metric, with its interval and its difference to the other model's where these can be told."""
    known = {measure.name: measure for measure in measures(first)}
    compared = {}
    if second is not None:
        compared = {one.metric: one for one in comparison.of_measures(first, second, resamples=resamples)}
    rows = []
    for name, value in first.metrics.items():
        measure, found = known.get(name), compared.get(name)
        rows.append(
            {
                "name": name,
                "value": value,
                "interval": None if measure is None else _interval(measure, slice(None), resamples),
                "other": None if second is None else second.metrics.get(name),
                "compared": found if found is not None and math.isfinite(found.difference) else None,
            }
        )
    order = [*known, *first.metrics]
    return sorted(rows, key=lambda row: order.index(row["name"]))


def _interval(measure: Measure, rows: Any, resamples: int) -> tuple[float, float] | None:
    found = comparison.interval(measure.values[rows], measure.statistic, resamples=resamples)
    return found if all(map(math.isfinite, found)) else None


def _lengths(first: Evaluation, second: Evaluation | None = None, *, resamples: int) -> dict[str, Any]:
    """The metric by the length of the text, as a table and a drawing."""
    measure = measure_of_parts(first)
    other = None if second is None else measure_of_parts(second)
    unit, _ = groups.LENGTHS[first.kind]
    found, parts = groups.by_length(first), []
    for group in found:
        low, high = comparison.interval(
            measure.values[group.rows],
            measure.statistic,
            resamples=resamples,
        )
        name = f"{group.low:,.0f}–{group.high:,.0f}" if group.high > group.low else f"{group.low:,.0f}"
        theirs = None if other is None else other.of(group.rows)
        parts.append(Part(name, len(group.rows), measure.of(group.rows), low, high, theirs))
    rows = [plots.Bars(NAMES[0], [part.value for part in parts], range(len(parts)))]
    if other is not None:
        rows.append(plots.Bars(NAMES[1], [part.other or 0.0 for part in parts], range(len(parts))))
    name = measure.name.replace("_", " ").replace("f1", "F1")
    drawn = plots.bars(
        rows,
        [f"{group.low:,.0f}" for group in found],
        name="length",
        label=f"{name} by length of the text",
        unit=name,
        axis=f"length from, {unit}",
        level=plots.Level("all", measure.of()),
    )
    return {"lengths": parts, "length_unit": unit, "part_metric": name, "length_plot": drawn}


def _calibration_plot(found: Sequence[Calibration]) -> Markup | None:
    if not found:
        return None
    return plots.diagonal(
        [
            plots.Curve(name, [(each.confidence, each.accuracy) for each in one.bins])
            for name, one in zip(NAMES, found, strict=False)
        ],
        name="calibration",
        label="Share of right answers by confidence",
        axis="confidence",
        unit="share of right answers",
        limits=(0.0, 1.02),  # so that a mark at 1 is whole
    )


def _fit_plot(both: Sequence[Evaluation]) -> Markup | None:
    """Of numbers: what is true in the mean where about the same was answered."""
    if both[0].kind != "regression":
        return None
    curves = []
    for name, one in zip(NAMES, both, strict=False):
        pairs = measures(one)[0].values
        means = [pairs[group.rows].mean(axis=0) for group in groups.by_number(pairs[:, 1])]
        curves.append(plots.Curve(name, [(float(predicted), float(truth)) for truth, predicted in means]))
    values = [value for curve in curves for point in curve.points for value in point]
    room = 0.05 * (max(values) - min(values)) or 1.0
    limits = (min(values) - room, max(values) + room)
    return plots.diagonal(
        curves, name="fit", label="Mean truth by answer", axis="answer", unit="mean truth", limits=limits
    )


def _matrix(evaluation: Evaluation) -> list[dict[str, Any]]:
    found = confusion.labels(evaluation)
    return confusion.matrix(found, confusion.classes(evaluation, found)) if found else []


def _classes(tables: Sequence[ByClass | None]) -> dict[str, Any] | None:
    """The table by class; the last of its columns, the main one, of the other model too."""
    first = tables[0]
    if first is None:
        return None
    others = {name: values[-1] for table in tables[1:] if table for name, _, values in table.rows}
    rows = [{"name": name, "count": count, "values": v, "other": others.get(name)} for name, count, v in first.rows]
    return {"title": first.title, "columns": first.columns, "rows": rows, "has_other": bool(others)}


def _figures(content: dict[str, Any]) -> dict[str, Any]:
    """What a terminal shows of the page."""
    found: dict[str, Any] = {"examples": content["examples"]}
    for row in content["metrics"]:
        if row["value"] is not None:
            interval = "" if row["interval"] is None else "  95 %: {:.4f} to {:.4f}".format(*row["interval"])
            found[row["name"]] = f"{row['value']:.4f}{interval}"
        one = row["compared"]
        if one is not None:
            found[f"{row['name']}, difference"] = f"{one.difference:+.4f}  95 %: {one.low:+.4f} to {one.high:+.4f}"
            found[f"{row['name']}, better in resamples"] = f"{100 * (1 - one.p_better):.1f} %"
    for name, one in zip(("", ", the other model"), content["calibrated"], strict=False):
        found[f"calibration error{name}"] = one.expected_error
    return found
