"""The Kubeflow pipeline run here, each step a process in the current environment, as `kfp.local` does it."""

import io
import os
import re
import shutil
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TextIO

from kfp import local

from pipelines.retraining import retraining
from xlnet import storage
from xlnet.errors import UserError
from xlnet.progress import duration

TASK = re.compile(r"Executing task (?:\x1b\[\d+m)?'([^']+)'")
SHOWN = re.compile(r"error: |[\w -]+ [\d,]+/[\d,]+ |.* is passed over: ")  # progress lines and what went wrong
RESULTS = {  # what a person looks for afterwards: name in the run's folder -> step and artifact
    "report.html": "report/page",
    "vocabulary.model": "train-vocabulary/vocabulary",
    "data": "preprocess/data",
    "heldout": "preprocess-2/data",
    "pretrained": "pretrain/pretrained",
    "finetuned": "finetune/finetuned",
    "evaluation": "evaluate/evaluation",
    "scratch": "finetune-2/finetuned",
    "scratch-evaluation": "evaluate-2/evaluation",
    "exported": "export/exported",
}


def run(
    output: str,
    *,
    corpus: Sequence[str],
    heldout: Sequence[str],
    task_train: str,
    task_dev: str,
    config: str,
    title: str,
    workers: int = 1,
) -> dict[str, float | int | str]:
    """Run the pipeline into a new folder; returns what came out of it and where it is.

    Every word of every step goes to `run.log` there. Raises UserError when a step fails, with that step's error.
    """
    for pattern in (*corpus, *heldout, task_train, task_dev):
        storage.match([pattern])
    storage.refuse_occupied(output)
    preset = storage.read_bytes(config).decode()
    storage.make_folder(output)
    with open(os.path.join(output, "run.log"), "w") as log:
        console = _Console(sys.stdout, log)
        with redirect_stdout(console), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # "a custom image in a Python environment": it is ours
            local.init(local.SubprocessRunner(use_venv=False), pipeline_root=os.path.join(output, "steps"))
            try:
                retraining(
                    corpus=[_absolute(pattern) for pattern in corpus],
                    heldout=[_absolute(pattern) for pattern in heldout],
                    task_train=_absolute(task_train),
                    task_dev=_absolute(task_dev),
                    config=preset,
                    title=title,
                    workers=workers,
                )
            except RuntimeError:
                reason = console.error or f"see {output}/run.log"
                raise UserError(f"step {console.task!r} failed: {reason}") from None
        console.end_task()
    results = _results(Path(output))
    return {**headline(results), **results}


def headline(results: Mapping[str, str]) -> dict[str, float | int | str]:
    """What the run came to, from its results' own files."""
    data = storage.read_json(os.path.join(results["data"], "manifest.json"))["counts"]
    pretraining = storage.read_json(os.path.join(results["pretrained"], "summary.json"))
    told: dict[str, float | int | str] = {
        "documents": data["documents_out"],
        "pieces": data["pieces"],
        "held-out loss (nats a piece)": pretraining["validation_loss"],
        "  of a unigram model of the training text": pretraining["unigram_loss"],
        "  of the best unigram model there is": pretraining["unigram_loss_own"],
        "pretraining (pieces/s)": pretraining["pieces_per_second"],
    }
    for name, place in (("pretrained", "evaluation"), ("from scratch", "scratch-evaluation")):
        evaluation = storage.read_json(os.path.join(results[place], "evaluation.json"))
        told |= {f"{metric}, {name}": value for metric, value in evaluation["metrics"].items()}
    told |= {f"{metric}, always the same": value for metric, value in evaluation["majority"].items()}
    return told


class _Console(io.TextIOBase):
    """Where the run's words go: all to the log, what a person wants to the terminal."""

    def __init__(self, terminal: TextIO, log: TextIO):
        self.terminal = terminal
        self.log = log
        self.task = ""
        self.error = ""
        self.part = ""
        self.began = time.monotonic()

    def write(self, text: str) -> int:
        self.log.write(text)
        self.log.flush()
        *lines, self.part = (self.part + text).split("\n")
        for line in lines:
            self._line(line)
        return len(text)

    def flush(self) -> None:
        self.terminal.flush()

    def isatty(self) -> bool:
        return False

    def _line(self, line: str) -> None:
        task = TASK.search(line)
        if task:
            self.end_task()
            self.task, self.began = task[1], time.monotonic()
            self.terminal.write(f"{self.task}\n")
            self.terminal.flush()
            return
        stripped = line.strip()
        if SHOWN.match(stripped):
            if stripped.startswith("error: "):
                self.error = stripped.removeprefix("error: ")
            self.terminal.write(f"    {stripped}\n")
        self.terminal.flush()

    def end_task(self) -> None:
        """Say how long the step took that has just ended."""
        if self.task:
            self.terminal.write(f"    done in {duration(time.monotonic() - self.began)}\n")
            self.task = ""


def _absolute(path: str) -> str:
    return path if storage.is_remote(path) else os.path.abspath(path)


def _results(output: Path) -> dict[str, str]:
    """Links with plain names to the results in the steps' folders; the page is copied, so that it can be moved."""
    results = {}
    for name, place in RESULTS.items():
        found = sorted((output / "steps").glob(f"*/{place}"))
        if not found:
            continue
        link = output / name
        if found[-1].is_file():
            shutil.copyfile(found[-1], link)
        else:
            link.symlink_to(os.path.relpath(found[-1], output))
        results[name] = str(link)
    return results
