"""The parameters of the retraining pipeline, from a YAML file: one for a run here, on a cluster and on a schedule."""

import os
from typing import Any

from xlnet import storage
from xlnet.errors import UserError
from xlnet.settings import parse_mapping

PATHS = ("store", "vocabulary")
NEEDED = ("corpus", "heldout", "tasks", "config", "store")


def read(path: str, **more: Any) -> dict[str, Any]:
    """The parameters of a file, with `more` over them; as `configs/retraining.yaml` has them.

    Local paths are relative to where the command runs, and come out absolute. `config` is a preset's path or its text.
    Raises UserError for what is missing.
    """
    found = parse_mapping(storage.read_bytes(path), where=path, wanted="parameters of the pipeline") | more
    if missing := [name for name in NEEDED if not found.get(name)]:
        raise UserError(f"{path} has no {missing[0]!r}; take configs/retraining.yaml as a pattern")
    for name in ("corpus", "heldout"):
        if not isinstance(found[name], list):
            raise UserError(f"{path}: {name} is {found[name]!r}, wanted is a list of paths")
        found[name] = [_absolute(pattern) for pattern in found[name]]
    if not isinstance(found["tasks"], list) or not all(isinstance(task, dict) for task in found["tasks"]):
        raise UserError(f"{path}: tasks is {found['tasks']!r}, wanted is a list of tasks with name, train and dev")
    for task in found["tasks"]:
        task |= {name: _absolute(task[name]) for name in ("train", "dev") if isinstance(task.get(name), str)}
    found |= {name: _absolute(found[name]) for name in PATHS if found.get(name)}
    if "\n" not in found["config"]:
        found["config"] = storage.read_bytes(found["config"]).decode()
    return found


def _absolute(path: str) -> str:
    """A local path as an absolute one; `name=pattern:weight` keeps its name and weight."""
    if storage.is_remote(path) or "=gs://" in path:
        return path
    name, separator, pattern = path.rpartition("=")
    return f"{name}{separator}{os.path.abspath(pattern)}"
