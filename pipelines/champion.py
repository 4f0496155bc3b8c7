"""The champion: the pushed models that a new run must beat, and how one takes the other's place.

A store is a folder, local or on gs://:

    champion.json              which version it is; replaced only if it is still the one that was compared with
    versions/NAME/             pretrained/, tasks/TASK/{model,export,evaluation}/, parameters.yaml; lineage.json last
    runs/RUN/                  decision.json, report.html, summary.json
    work/                      what unfinished runs may go on with
"""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xlnet import runs, storage
from xlnet.errors import UserError
from xlnet.file_names import LINEAGE

POINTER, DECISION, SUMMARY, REPORT = (
    "champion.json",
    "decision.json",
    "summary.json",
    "report.html",
)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def folder_name(run: str) -> str:
    """A run's name as a name in a path: its own where that is one, else what is left of it and a hash."""
    if NAME.fullmatch(run) and ".." not in run:
        return run
    plain = re.sub(r"[^A-Za-z0-9]+", "-", run).strip("-")[:64] or "run"
    return f"{plain}-{hashlib.sha256(run.encode()).hexdigest()[:8]}"


def run_folder(store: str, run: str) -> str:
    """Where a run leaves its decision, report and summary."""
    return storage.join(store, "runs", folder_name(run))


@dataclass(frozen=True)
class Champion:
    """A pushed version: its folder, and what it was made of."""

    name: str
    folder: str
    inputs: str  # a hash of the texts, tasks and settings

    @property
    def pretrained(self) -> str:
        """The pretrained model's directory."""
        return storage.join(self.folder, "pretrained")

    def model(self, task: str) -> str:
        """The directory of a task's model; may not be there, where the task is new."""
        return storage.join(self.folder, "tasks", task, "model")


def require_name(what: str, name: str) -> str:
    """A name that becomes part of a path. Raises UserError for one that could lead elsewhere."""
    if not NAME.fullmatch(name) or ".." in name:
        raise UserError(
            f"{what} is {name!r}, wanted are letters, digits, '.', '_' and '-', beginning with one of the first"
        )
    return name


def find(store: str) -> Champion | None:
    """The champion of a store, None where nothing was pushed yet. Raises UserError for one that is not whole."""
    if not storage.exists(storage.join(store, POINTER)):
        return None
    told = runs.read_object(store, POINTER)
    with runs.intact(storage.join(store, POINTER)):
        name, inputs = str(told["version"]), str(told["inputs"])
    folder = storage.join(store, "versions", require_name("the champion's version", name))
    if not storage.exists(storage.join(folder, LINEAGE)):
        raise UserError(f"{store}/{POINTER} names {name}, which is not whole in {folder}; name another version there")
    return Champion(name, folder, inputs)


def verdict(comparisons: Mapping[str, Mapping[str, Any] | None], *, confidence: float) -> tuple[bool, str]:
    """Whether a challenger takes the champion's place, and why.

    `comparisons`: a task -> how the challenger (first) fares against the champion, None where the champion does not
    know the task. It must be better in one task at least and worse in none, both beyond chance.
    """
    if not 0.5 < confidence < 1:
        raise UserError(f"confidence is {confidence}, wanted is more than 0.5 and less than 1")
    known = {task: found for task, found in comparisons.items() if found is not None}
    if not known:
        return True, "there is no champion to compare with"
    allowed = 1 - confidence
    worse = [task for task, found in known.items() if found["p_worse"] <= allowed]
    better = [task for task, found in known.items() if found["p_better"] <= allowed]
    if worse:
        return False, f"worse in {', '.join(sorted(worse))}"
    if better:
        return True, f"better in {', '.join(sorted(better))}, worse in none"
    return False, "better in no task beyond chance"


def push(
    store: str,
    name: str,
    parts: Mapping[str, str],
    *,
    lineage: Mapping[str, Any],
    texts: Mapping[str, str],
    expected: str,
    inputs: str,
) -> str:
    """Make a version the champion; returns its folder.

    `parts`: a path in the version -> a folder to copy, `texts`: a path -> the content of a file. `expected` names the
    champion that it was compared with, "" for none. A push that was interrupted is finished when it is called again.
    Raises UserError when another run has pushed meanwhile; the version is kept then, and is not the champion.
    """
    folder = storage.join(store, "versions", require_name("the version", name))
    pointer = storage.join(store, POINTER)
    version = storage.version(pointer)
    champion = find(store)
    if champion is not None and champion.name == name:
        return folder
    if (champion.name if champion else "") != expected:
        now = champion.name if champion else "none"
        raise UserError(f"the champion was {expected or 'none'} when this run began and is {now} now; run again")
    if not storage.exists(storage.join(folder, LINEAGE)):
        with storage.publishing(_cleared(folder), marker=LINEAGE) as aside:
            for place, source in parts.items():
                copy_folder(source, aside / place)
            for place, content in texts.items():
                (aside / place).parent.mkdir(parents=True, exist_ok=True)
                (aside / place).write_text(content, encoding="utf-8")
            storage.publish_json(str(aside / LINEAGE), dict(lineage))
    told = {"format": "xlnet-champion/1", "version": name, "previous": expected, "inputs": inputs}
    if not storage.replace(pointer, (json.dumps(told, indent=1, sort_keys=True) + "\n").encode(), version):
        raise UserError(f"another run has pushed to {store} at this moment; run again")
    return folder


def copy_folder(source: str, target: Path) -> None:
    """Copy a folder, local or remote, to the disk; links are followed, and nothing is written outside of it."""
    paths = [file.path for file in storage.match([storage.join(source, "**")])]
    for path in paths:
        inside = path.removeprefix(source).lstrip("/")
        if ".." in Path(inside).parts:
            raise UserError(f"{path} leads out of {source}; remove it")
        place = target / inside
        place.parent.mkdir(parents=True, exist_ok=True)
        with storage.reading(path) as stream, open(place, "wb") as copy:
            shutil.copyfileobj(stream, copy, 1 << 20)


def _cleared(folder: str) -> str:
    """A version's folder without what an interrupted upload left there."""
    storage.remove_folder(folder)
    return folder


def by_task(artifacts: Sequence[Any]) -> dict[str, Any]:
    """Artifacts of a loop over tasks by the name of their task, whatever their order."""
    return {artifact.metadata["task"]: artifact for artifact in artifacts}
