"""One self-contained HTML page about a run: text, records, losses, results, settings, checksums."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2

from xlnet import __version__, chapters, provenance, storage
from xlnet.chapters import Task
from xlnet.errors import UserError

__all__ = ["Task", "write"]

TEMPLATE = "report.html.j2"


def write(
    output: str,
    *,
    data: str,
    validation: str | None = None,
    pretraining: str | None = None,
    tasks: Sequence[Task] = (),
    exported: str | None = None,
    timings: Mapping[str, float] | None = None,
    title: str = "XLNet run",
) -> None:
    """Write the page to `output`, whole or not at all.

    `data` and `validation` are data sets, `pretraining` is the folder of a run, `timings` gives the seconds of every
    stage; without it those are shown that stages wrote down. What is None is left out. Same inputs, same bytes.
    Raises UserError, naming the file, for what is missing or broken.
    """
    if not output or (not storage.is_remote(output) and os.path.isdir(output)):
        raise UserError(f"the output {output!r} is a folder; name the file to write, for example report.html")
    corpora = {"training": chapters.corpus(data)}
    if validation is not None:
        corpora["held-out"] = chapters.corpus(validation)
    manifest = corpora["training"]["manifest"]
    pretrained = None if pretraining is None else chapters.pretraining(pretraining)
    measured = [chapters.task(task) for task in tasks]
    folders = {} if pretraining is None else {"pretrained model": storage.join(pretraining, "model")}
    folders |= {task.name: storage.join(task.finetuning, "model") for task in tasks}
    page = render(
        title=title,
        corpora=corpora,
        counted=chapters.COUNTED,
        record=chapters.record(manifest),
        pretraining=pretrained,
        tasks=measured,
        task_plot=chapters.task_plot(measured),
        settings=provenance.settings(manifest, pretrained, measured),
        checksums=provenance.checksums(manifest, folders),
        exported=None if exported is None else provenance.export(exported),
        timings=dict(timings or provenance.stage_seconds(pretrained, measured)),
        total=sum(timings.values()) if timings else None,
        version=__version__,
    )
    storage.publish(output, page.encode())


def render(**content: Any) -> str:
    """The page from its content; everything that is not markup of this package is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("xlnet"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": count,
        "number": number,
        "percent": percent,
        "duration": duration,
        "size": size,
        "value": value,
    }
    return environment.get_template(TEMPLATE).render(**content)


def count(found: float) -> str:
    """1234567 as 1,234,567."""
    return f"{found:,.0f}"


def number(found: float | None, digits: int = 3) -> str:
    """A number with a fixed count of digits; a dash where there is none."""
    return "–" if found is None else f"{found:,.{digits}f}"


def percent(found: float | None, digits: int = 1) -> str:
    """0.1234 as 12.3 %; a dash where there is none."""
    return "–" if found is None else f"{100 * found:.{digits}f}\u202f%"


def duration(seconds: float | None) -> str:
    """Seconds as people say them: 4.2 s, 3 min 20 s, 2 h 05 min."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"


def size(found: int) -> str:
    """Bytes as 1.2 MB."""
    for unit, power in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if found >= power:
            return f"{found / power:.1f} {unit}"
    return f"{found} B"


def value(found: Any) -> str:
    """A setting's value: numbers as they are written, nothing as a dash."""
    if found is None:
        return "–"
    if isinstance(found, bool):
        return "yes" if found else "no"
    if isinstance(found, float):
        return f"{found:g}"
    if isinstance(found, int):
        return f"{found:,}"
    return str(found)
