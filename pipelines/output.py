"""The folder that a run fills, in place: held against other runs, claimed for one data set, tidied at the end.

Nothing reads it before its manifest is there. A run that was stopped leaves its finished shards, and the next one with
the same claim goes on with them.
"""

import contextlib
import glob
import hashlib
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from xlnet import storage
from xlnet.corpus import manifest
from xlnet.corpus.manifest import Manifest
from xlnet.corpus.plan import Plan
from xlnet.errors import UserError

WORK = ".work"
CLAIM = "claim.json"


@dataclass(frozen=True)
class Places:
    """Where a run keeps what is not to last."""

    work: str  # a folder of the output: what workers leave for the last step
    spill: str | None  # a folder on the disk of this machine; None where workers are on other ones


@contextlib.contextmanager
def held(output: str) -> Iterator[None]:
    """Keeps other runs on this disk away. On Google Cloud Storage the claim and the manifest's precondition do."""
    if storage.is_remote(output):
        yield
        return
    with storage.locked(output):
        yield


@contextlib.contextmanager
def filled(output: str, plan: Plan, *, is_here: bool) -> Iterator[Places]:
    """Places for a run that fills the output; when the block ends well, only what the manifest names is left.

    Raises UserError when the output holds something else, or another run's unfinished work.
    """
    _claim(output, plan)
    work = storage.join(output, WORK, uuid.uuid4().hex)
    spill = _spill(work) if is_here else None
    try:
        yield Places(work, spill)
    except Exception as error:
        # What is elsewhere may be another run's as well; what is here is ours, and of use only with finished shards.
        if plan.before is None and not storage.is_remote(output) and not _has_records(output):
            for name in ("shards", "tfrecords", WORK):
                storage.remove_folder(storage.join(output, name))
            storage.remove(storage.join(output, manifest.VOCABULARY))
        if plan.before is None and storage.exists(storage.join(output, manifest.NAME)):
            raise UserError(
                f"another run has finished the data set {output} first; it stands as that run made it"
            ) from error
        raise
    finally:
        if spill is not None:  # else a job on other machines may go on without this launcher
            storage.remove_folder(work)
            shutil.rmtree(spill, ignore_errors=True)
    if storage.exists(storage.join(output, manifest.NAME)):
        _tidy(output, plan)


def _spill(work: str) -> str:
    if storage.is_remote(work):
        return tempfile.mkdtemp(prefix="xlnet-preprocess-")
    storage.make_folder(work)
    return work


def _claim(output: str, plan: Plan) -> None:
    """Say which data set the folder is to be; whoever says the same may help, others may not."""
    path = storage.join(output, WORK, CLAIM)
    content = _identity(plan)
    found = storage.read_json(path) if storage.exists(path) else None
    if found is None and plan.before is None and storage.list_folder(output):
        raise UserError(f"the output {output} already holds something; name a new folder, or remove this one")
    if found is not None and not storage.is_remote(output):
        # Its run has ended, or it would hold the folder. Its shards are kept where they fit: they name what they are.
        storage.remove_folder(storage.join(output, WORK))
        found = None
    if found is None:
        storage.create(path, (json.dumps(content, sort_keys=True) + "\n").encode())
        found = storage.read_json(path)
    if found != content:
        other = ", ".join(name for name in content if found.get(name) != content[name])
        raise UserError(
            f"{output} holds the unfinished work of a run with other {other}; wait until it has ended, go on with it "
            "by asking for the same, or remove the folder"
        )


def _identity(plan: Plan) -> dict[str, Any]:
    """What two runs into one folder must have in common, each part as a checksum."""
    return {
        name: hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
        for name, value in plan.identity().items()
    }


def _has_records(output: str) -> bool:
    """Whether a shard with records was finished."""
    for pattern in ("shards/*/*.tfrecord", "tfrecords/*.tfrecords"):
        with contextlib.suppress(UserError):
            return bool(storage.match([storage.join(glob.escape(output), pattern)]))
    return False


def _tidy(output: str, plan: Plan) -> None:
    """Remove what the manifest does not name: the work of stopped runs, and files of earlier revisions."""
    made = Manifest.read(output)
    named = {shard.file for shard in made.shards}
    for folder in storage.list_folder(storage.join(output, "shards")):
        for name in storage.list_folder(storage.join(output, "shards", folder)):
            if f"shards/{folder}/{name}" not in named:
                storage.remove(storage.join(output, "shards", folder, name))
    if plan.before is not None:
        for name in (plan.before.piece_counts, plan.before.dead_letters, plan.before.removed_examples):
            storage.remove(storage.join(output, name))
    storage.remove_folder(storage.join(output, WORK))
    if not storage.is_remote(output):
        for path in glob.glob(os.path.join(glob.escape(output), "**", ".*.part"), recursive=True, include_hidden=True):
            os.remove(path)
