"""Which folder is a run's own, and what must stay the same for the run to go on."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from xlnet import runs, storage
from xlnet.corpus import reference
from xlnet.disk import LOCK
from xlnet.errors import UserError
from xlnet.model.config import ModelConfig
from xlnet.training import resume
from xlnet.training.pretraining_data import TrainingData
from xlnet.training.settings import FREE, PretrainingSettings

Given = ParamSpec("Given")
Result = TypeVar("Result")

RUN = "run.json"  # marks a folder as a run that may go on


def alone(run: Callable[Given, Result]) -> Callable[Given, Result]:
    """A run that holds its `output` while it lasts: another one is refused there. See `storage.locked`."""

    @functools.wraps(run)
    def holding(*given: Given.args, **named: Given.kwargs) -> Result:
        with storage.locked(str(named["output"])):
            return run(*given, **named)

    return holding


def refuse_foreign(output: str) -> None:
    """Raises UserError when the output folder holds anything but an unfinished run."""
    if storage.exists(storage.join(output, "summary.json")):
        raise UserError(f"{output} already holds a finished run; name another --output, or remove it")
    if not storage.exists(storage.join(output, RUN)):
        storage.refuse_occupied(output, but=LOCK)


def claim(output: str, fixed: dict[str, Any]) -> None:
    """From here on the folder is this run's."""
    storage.publish_json(storage.join(output, RUN), fixed)


def require_same(output: str, fixed: dict[str, Any]) -> None:
    """Raises UserError, naming both values, where the run in a folder was made otherwise."""
    made = runs.read_object(output, RUN)
    for name in sorted({*made, *fixed}):
        resume.require_same(output, name, made.get(name), fixed.get(name))


def fixed_by(
    settings: PretrainingSettings, *, config: ModelConfig, data: TrainingData, init: str | None
) -> dict[str, Any]:
    """What must be the same for a run to go on: settings but the free ones, the model's, the data's digest, `init`."""
    fixed = {name: value for name, value in dataclasses.asdict(settings).items() if name not in FREE}
    if isinstance(data.manifest, reference.Original):
        digest = hashlib.sha256(data.manifest.to_bytes()).hexdigest()
    else:
        digest = storage.sha256(storage.join(data.folder, "manifest.json"))
    model = {f"model.{name}": value for name, value in dataclasses.asdict(config).items()}
    return fixed | model | {"manifest_sha256": digest, "init": init}
