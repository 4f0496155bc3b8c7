"""Gathers the demonstration's text: a corpus for pretraining and a task that it bears on. Downloads nothing.

    python -m demo.gather --output DIR [--corpus 'my/*.txt' ...]

Without `--corpus`: the language reference and the library's docstrings of the Python that runs this, and the
task "which part of them does this paragraph come from". With it: the given files, and "which of them".
"""

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from demo import library, own, split
from demo.library import Unit
from xlnet import storage
from xlnet.errors import UserError

LEAST = {
    "train": 10,
    "dev": 2,
}  # examples of a class; below that neither training nor measuring means anything


def gather(corpus: Sequence[str] | None) -> tuple[list[Unit], list[Unit]]:
    """The units to train on and the held-out ones. Raises UserError when the text is too little."""
    if corpus:
        train, held_out = own.units(corpus)
        train = split.unique(train)
        held_out = split.without_shared(split.unique(held_out), train)
        _check(train, held_out)
        return train, held_out
    return split.split(split.unique([*library.reference(), *library.library()]))


def _check(train: Sequence[Unit], held_out: Sequence[Unit]) -> None:
    found = {name: split.by_class(split.examples(units)) for name, units in zip(LEAST, (train, held_out), strict=True)}
    labels = sorted({unit.label for unit in (*train, *held_out) if unit.label is not None})
    for label in labels:
        for name, least in LEAST.items():
            count = found[name].get(label, 0)
            if count < least:
                raise UserError(
                    f"{label!r} gives {count} {name} examples, at least {least} are needed: "
                    "give longer files (some thousand words each); text that another file repeats does not count"
                )


def corpus_text(units: Sequence[Unit]) -> str:
    """One sentence a line, `<eop>` after a paragraph, an empty line after a document."""
    return "\n".join("".join("\n".join(paragraph) + "<eop>\n" for paragraph in unit.paragraphs) for unit in units)


def table_text(found: Sequence[split.Example]) -> str:
    """The examples as tab-separated values with a header, unquoted as GLUE's files are."""
    rows = [("text", "label", "source"), *((example.text, example.label, example.source) for example in found)]
    return "".join("\t".join(" ".join(cell.split()) for cell in row) + "\n" for row in rows)


def write(output: str, *, train: Sequence[Unit], held_out: Sequence[Unit], origin: str) -> dict[str, Any]:
    """Writes the folder, whole or not at all, and gives its summary."""
    summary: dict[str, Any] = {"origin": origin, "corpus": {}, "task": {}}
    with storage.publishing(output, marker="summary.json") as folder:
        for corpus, task, units in (("train", "train", train), ("heldout", "dev", held_out)):
            found = split.examples(units)
            summary["corpus"][corpus] = _put(folder / "corpus" / f"{corpus}.txt", corpus_text(units)) | {
                "documents": len(units),
                "paragraphs": sum(len(unit.paragraphs) for unit in units),
                "sentences": sum(len(paragraph) for unit in units for paragraph in unit.paragraphs),
            }
            summary["task"][task] = _put(folder / "task" / f"{task}.tsv", table_text(found)) | {
                "examples": len(found),
                "classes": split.by_class(found),
                "sources": len({example.source for example in found}),
            }
        _put(folder / "summary.json", json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    return summary


def _put(path: Path, text: str) -> dict[str, int]:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
    return {"bytes": len(text.encode())}


def show(summary: dict[str, Any], console: Console) -> None:
    """Two small tables: the corpus, and the task's classes."""
    corpus = Table()
    corpus.add_column("")
    counted = ("bytes", "documents", "paragraphs", "sentences")
    for name in counted:
        corpus.add_column(name, justify="right")
    for part, counts in summary["corpus"].items():
        corpus.add_row(part, *(f"{counts[name]:,}" for name in counted))
    task = Table(show_footer=True)
    train, dev = summary["task"]["train"], summary["task"]["dev"]
    task.add_column("class", "all")
    task.add_column("train", f"{train['examples']:,}", justify="right")
    task.add_column("dev", f"{dev['examples']:,}", justify="right")
    for label, count in train["classes"].items():
        task.add_row(label, f"{count:,}", f"{dev['classes'].get(label, 0):,}")
    console.print(f"Corpus: {summary['origin']}", corpus, "Task: where a paragraph comes from", task, sep="\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. 0, or 2 after one line that says what to mend."""
    parser = argparse.ArgumentParser(prog="python -m demo.gather", description=__doc__.splitlines()[0])
    parser.add_argument("--output", required=True, metavar="DIR", help="the folder to make")
    parser.add_argument("--corpus", nargs="+", metavar="FILES", help="your own text files instead of Python's")
    options = parser.parse_args(arguments)
    try:
        storage.refuse_occupied(options.output)
        train, held_out = gather(options.corpus)
        python = f"the reference and the docstrings of Python {platform.python_version()}"
        origin = " ".join(options.corpus) if options.corpus else python
        summary = write(options.output, train=train, held_out=held_out, origin=origin)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    show(summary, Console())
    return 0


if __name__ == "__main__":
    sys.exit(main())
