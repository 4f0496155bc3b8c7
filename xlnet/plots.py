"""Curves and bars as inline SVG that takes its colours and its typeface from the page around it."""

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from xlnet.runs import Points

# Stand-ins that matplotlib writes and the page's variables replace, so that one drawing fits light and dark.
INK, MUTED, RULE = "#010101", "#020202", "#030303"
SERIES = ("#040404", "#050505", "#060606", "#070707")
_VARIABLES = {INK: "ink", MUTED: "muted", RULE: "rule"} | {c: f"series-{k}" for k, c in enumerate(SERIES, 1)}
SIZE = (6.6, 3.7)  # inches of 72 units: text of 12 is legible on a phone and not loud on a desk
TICKS = 10  # of an axis with bars, at most
_MANY = 1e4  # from here on numbers at an axis are written as 10k
_STYLES = ("-", "--", "-.", ":")
_MARKS = ("o", "s", "^", "D")

_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a dollar in a task's name is a dollar
    "font.size": 12,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "text.color": INK,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.xmargin": 0.01,
    "legend.frameon": False,
    "legend.handlelength": 2.0,
}


@dataclass(frozen=True)
class Curve:
    """A named line; with marks, each of its points is shown."""

    name: str
    points: Points
    marks: bool = False


@dataclass(frozen=True)
class Level:
    """A named horizontal line."""

    name: str
    value: float


@dataclass(frozen=True)
class Bars:
    """A named row of bars; `at` are their places on the axis, from 0."""

    name: str
    heights: Sequence[float]
    at: Sequence[int]


def lines(
    curves: Sequence[Curve],
    *,
    name: str,
    label: str,
    unit: str,
    axis: str = "step",
    levels: Sequence[Level] = (),
    logarithmic: bool = False,
) -> Markup:
    """Curves over training steps, or over what `axis` says; `logarithmic`: on both axes.

    `name` keeps the drawing's ids apart from another's, `label` is its description.
    """

    def paint(axes: Any) -> None:
        for number, curve in enumerate(curve for curve in curves if curve.points):
            axes.plot(
                *zip(*curve.points, strict=True),
                color=SERIES[number % len(SERIES)],
                linestyle=_STYLES[number % len(_STYLES)],
                linewidth=1.6,
                marker=_MARKS[number % len(_MARKS)] if curve.marks else None,
                markersize=4.5,
                label=_short(curve.name),
            )
        for level in levels:
            axes.axhline(level.value, color=MUTED, linestyle=":", linewidth=1.6, label=_short(level.name))
        axes.set_xlabel(axis)
        axes.set_ylabel(unit)
        if logarithmic:
            axes.loglog()
            axes.minorticks_off()
            for one in (axes.xaxis, axes.yaxis):
                one.set_major_formatter(_thousands())
        else:
            _locate(axes)

    return _draw(paint, name=name, label=label, has_legend=not logarithmic or len(curves) > 1)


def bars(
    rows: Sequence[Bars],
    ticks: Sequence[str],
    *,
    name: str,
    label: str,
    unit: str,
    axis: str,
    level: Level | None = None,
) -> Markup:
    """Bars from zero, at places that are called `ticks`; rows that share a place stand side by side."""
    shared = len({place for row in rows for place in row.at}) < sum(len(row.at) for row in rows)
    width = 0.8 / len(rows) if shared else 0.8

    def paint(axes: Any) -> None:
        for number, row in enumerate(rows):
            shift = (number - (len(rows) - 1) / 2) * width if shared else 0.0
            axes.bar(
                [place + shift for place in row.at],
                row.heights,
                width=width,
                color=SERIES[number % len(SERIES)],
                label=_short(row.name) if len(rows) > 1 else None,
            )
        if level is not None:
            axes.axhline(level.value, color=MUTED, linestyle=":", linewidth=1.6, label=_short(level.name))
        _locate(axes)
        step = -(-len(ticks) // TICKS)
        axes.set_xticks(range(0, len(ticks), step), ticks[::step])
        axes.set_xlabel(axis)
        axes.set_ylabel(unit)

    return _draw(paint, name=name, label=label)


def diagonal(
    curves: Sequence[Curve], *, name: str, label: str, axis: str, unit: str, limits: tuple[float, float]
) -> Markup:
    """Curves of points that lie on the diagonal where both axes, from the one limit to the other, agree."""

    def paint(axes: Any) -> None:
        axes.plot(limits, limits, color=MUTED, linestyle=":", linewidth=1.6)
        for number, curve in enumerate(curves):
            axes.plot(
                *zip(*curve.points, strict=True),
                color=SERIES[number % len(SERIES)],
                linestyle=_STYLES[number % len(_STYLES)],
                linewidth=1.6,
                marker=_MARKS[number % len(_MARKS)],
                markersize=5,
                label=_short(curve.name) if len(curves) > 1 else None,
            )
        axes.set_xlim(*limits)
        axes.set_ylim(*limits)
        axes.set_xlabel(axis)
        axes.set_ylabel(unit)

    return _draw(paint, name=name, label=label)


def _draw(paint: Callable[[Any], None], *, name: str, label: str, has_legend: bool = True) -> Markup:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({**_SETTINGS, "svg.hashsalt": name}):
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        paint(axes)
        axes.set_axisbelow(True)
        axes.grid(axis="y")
        axes.tick_params(length=0)
        if has_legend and axes.get_legend_handles_labels()[0]:
            figure.legend(loc="outside upper left", ncols=3, borderaxespad=0, columnspacing=1.4)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return Markup(_inline(stream.getvalue(), name=name, label=label))


def _locate(axes: Any) -> None:
    """Few ticks, and thousands apart."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    if max(map(abs, axes.get_ylim())) >= _MANY:
        axes.yaxis.set_major_formatter(_thousands())


def _thousands() -> Any:
    from matplotlib.ticker import EngFormatter

    return EngFormatter(sep="")


def _short(name: str, most: int = 28) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _inline(svg: str, *, name: str, label: str) -> str:
    """The drawing without what only a file of its own needs."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' width="[\d.]+pt" height="[\d.]+pt"', "", svg, count=1)
    svg = re.sub(r' xmlns(?::\w+)?="[^"]*"| version="1.1"', "", svg)
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", svg)
    for stand_in, variable in _VARIABLES.items():
        svg = svg.replace(stand_in, f"var(--{variable})")
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1)
