"""A pipeline run on this machine, each step a process of this environment or a container."""

import contextlib
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines import champion, compiling
from pipelines.attempts import Attempts
from pipelines.cluster import Resources, tried_again
from pipelines.console import Console
from pipelines.engine import Engine
from pipelines.graph import Values
from pipelines.launchers import Containers, Launcher, Processes, require_engine
from xlnet import storage
from xlnet.errors import UserError, require

WAIT = 5.0  # seconds between attempts at most: what waits for machines on a cluster need not wait here
RESULTS = {  # what a person looks for after the chain: name in the run's folder -> step and artifact
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
    **options: Any,
) -> dict[str, float | int | str]:
    """Run the chain into a new folder; returns what came out of it and where it is.

    Every word of every step goes to `run.log` there. Raises UserError when a step fails, with that step's error.
    """
    from pipelines.chain import chain

    for pattern in (*corpus, *heldout, task_train, task_dev):
        storage.match([pattern])
    parameters = {
        "corpus": [_absolute(pattern) for pattern in corpus],
        "heldout": [_absolute(pattern) for pattern in heldout],
        "task": {"name": "task", "train": _absolute(task_train), "dev": _absolute(task_dev)},
        "config": storage.read_bytes(config).decode(),
        "title": title,
        "workers": workers,
    }
    execute(chain, parameters, output, **options)
    results = _results(Path(output))
    return {**headline(results), **results}


def retrain(output: str, parameters: Mapping[str, Any], **options: Any) -> dict[str, Any]:
    """Run the retraining pipeline into a new folder, whose name is the run's; returns what came out of it."""
    from pipelines.retraining import build

    store = str(parameters["store"])
    storage.make_folder(store)
    _, engine = execute(
        build(_tried_again), parameters, output, store="" if storage.is_remote(store) else store, **options
    )
    folder = champion.run_folder(store, engine.name)
    told = storage.read_json(storage.join(folder, champion.SUMMARY))
    decision = told["decision"] or {"is_pushed": False, "reason": "nothing is new"}
    report = storage.join(folder, champion.REPORT)
    return {
        "steps": len(engine.ran),
        "taken from the cache": len(engine.attempts.reused),
        "pushed": decision["is_pushed"],
        "because": decision["reason"],
        "champion": told["champion"],
        "report": report if storage.exists(report) else None,
        "summary": storage.join(folder, champion.SUMMARY),
    }


def execute(
    pipeline: Any,
    parameters: Mapping[str, Any],
    output: str,
    *,
    runner: str = "subprocess",
    parallel: int = 1,
    cache: str | None = None,
    name: str | None = None,
    image: str = "",
    store: str = "",
) -> tuple[Values, Engine]:
    """Run a pipeline into a new folder: `steps/` with what each step made, and `run.log`.

    `cache` is a folder in which runs find what earlier ones have made; `parallel` steps run at a time. Containers are
    of `image`, "" for those that were compiled, and may write to `store`. Returns what comes out, and the engine, which
    knows what ran. Raises UserError when a step fails, with that step's error.
    """
    require(parallel >= 1, "parallel", parallel, "1 step at a time or more")
    if cache and os.path.exists(cache) and not os.path.isdir(cache):
        raise UserError(f"the cache {cache} is a file, a folder is wanted")
    storage.refuse_occupied(output)
    if runner == "docker":
        require_engine()
    storage.make_folder(output)
    root = os.path.join(os.path.abspath(output), "steps")
    launcher: Launcher = Processes()
    if runner == "docker":
        storage.make_folder(root)  # else the engine would, as another user
        launcher = Containers([root, *([store] if store else [])], _folders(parameters))
    with open(os.path.join(output, "run.log"), "w", encoding="utf-8") as log, _stopping():
        attempts = Attempts(launcher, Console(sys.stdout, log, names=parallel > 1), cache, longest_wait=WAIT)
        spec, platform = compiling.documents(pipeline, image=image)
        called = name or os.path.basename(os.path.abspath(output))
        engine = Engine(spec, root, attempts, name=called, platform=platform, parallel=parallel)
        return engine.run(parameters), engine


def _tried_again(name: str, task: Any) -> Any:
    """A step that is started again when it fails, as on a cluster."""
    return tried_again(name, task, Resources(backoff_seconds=1))


@contextlib.contextmanager
def _stopping() -> Iterator[None]:
    """SIGTERM ends a run as Ctrl-C does: the steps are asked to end, and may save what they have."""

    def stop(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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


def _folders(value: Any) -> list[str]:
    """The folders on this machine of all paths in parameters, which containers need to see."""
    if isinstance(value, Mapping):
        found = {folder for item in value.values() for folder in _folders(item)}
    elif isinstance(value, list):
        found = {folder for item in value for folder in _folders(item)}
    else:
        path = str(value).rpartition("=")[2]
        folder = re.split(r"[*?\[]", path)[0].rpartition("/")[0]  # of a glob, the part before it
        found = {folder} if path.startswith("/") and "\n" not in path and os.path.isdir(folder) else set()
    return sorted(found)


def _absolute(path: str) -> str:
    return path if storage.is_remote(path) else os.path.abspath(path)


def _results(output: Path) -> dict[str, str]:
    """Links with plain names to the results in the steps' folders; the page is copied, so that it can be moved."""
    results = {}
    for name, place in RESULTS.items():
        found = output / "steps" / place
        link = output / name
        if not found.exists():
            continue
        if found.is_file():
            shutil.copyfile(found, link)
        else:
            link.symlink_to(os.path.relpath(found, output))
        results[name] = str(link)
    return results
