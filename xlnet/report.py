"""One self-contained HTML page about a run: text, records, losses, results, settings, checksums."""

from collections.abc import Mapping, Sequence

from xlnet import __version__, chapters, data_figures, pages, provenance, storage
from xlnet.chapters import Task

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
    pages.require_file(output)
    corpora = {"training": data_figures.corpus(data)}
    if validation is not None:
        corpora["held-out"] = data_figures.corpus(validation)
    manifest = corpora["training"]["manifest"]
    pretrained = None if pretraining is None else chapters.pretraining(pretraining)
    measured = [chapters.task(task) for task in tasks]
    folders = {} if pretraining is None else {"pretrained model": storage.join(pretraining, "model")}
    folders |= {task.name: storage.join(task.finetuning, "model") for task in tasks}
    pages.write(
        output,
        TEMPLATE,
        of=f"a file of {', '.join(filter(None, [data, pretraining, *(task.evaluation for task in tasks), exported]))}",
        title=title,
        corpora=corpora,
        counted=data_figures.COUNTED,
        record=data_figures.record(manifest),
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
