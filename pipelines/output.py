"""The folder that a run fills, in place: held against other runs, claimed for one data set, tidied at the end.

Nothing reads it before its manifest is there. A run that was stopped leaves its finished shards, and the next one with
the same claim goes on with them.
"""

import contextlib
import glob
import hashlib
import json
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from xlnet import storage
from xlnet.corpus import manifest, reference
from xlnet.corpus.manifest import Manifest
from xlnet.corpus.plan import Plan
from xlnet.errors import UserError
from xlnet.file_names import VOCABULARY

WORK = ".work"
CLAIM = "claim.json"
Claim = dict[str, str]  # checksums of what a run's output depends on, by name
_BESIDE = re.compile(r"(piece-counts|dead-letters|removed)(-\d+)?\.(npy|jsonl)")  # the manifest, of any revision


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
    try:
        claim = _claim(output, plan)
    except UserError:
        if not storage.is_remote(output):
            with contextlib.suppress(OSError):  # as when the disk is full before anything is claimed
                os.rmdir(storage.join(output, WORK))
        raise
    work = storage.join(output, WORK, uuid.uuid4().hex)
    spill = _spill(work) if is_here else None
    try:
        yield Places(work, spill)
    except Exception as error:
        # What is elsewhere may be another run's as well; what is here is ours, and of use only with finished shards.
        if plan.before is None and not storage.is_remote(output) and not _has_records(output):
            for name in ("shards", "tfrecords", VOCABULARY, WORK):  # the claim last: it says whose these are
                storage.remove_folder(storage.join(output, name))
                storage.remove(storage.join(output, name))
        if _is_written_since(output, plan):
            raise _late(output) from error
        raise
    finally:
        if spill is not None:  # else a job on other machines may go on without this launcher
            storage.remove_folder(work)
            shutil.rmtree(spill, ignore_errors=True)
    if _is_written_since(output, plan):  # not where the job was only described
        _tidy(output, claim)


def finish(output: str, plan: Plan) -> None:
    """Tidy up behind a run that was stopped when its manifest was there already."""
    claim = _claimed(output)
    if claim is not None and _is_finished(claim, plan):
        _tidy(output, claim)


def _spill(work: str) -> str:
    if storage.is_remote(work):
        return tempfile.mkdtemp(prefix="xlnet-preprocess-")
    storage.make_folder(work)
    return work


def _claim(output: str, plan: Plan) -> Claim:
    """Say which data set the folder is to be; whoever says the same may help, others may not."""
    finish(output, plan)
    path, ours = storage.join(output, WORK, CLAIM), _identity(plan)
    content = (json.dumps(ours, sort_keys=True) + "\n").encode()
    found = _claimed(output)
    if found is None and plan.before is None and storage.list_folder(output):
        raise UserError(f"the output {output} already holds something; name a new folder, or remove this one")
    if found is not None and not storage.is_remote(output):
        # Its run has ended, or it would hold the folder. Its shards are kept where they fit: they name what they are.
        for name in storage.list_folder(storage.join(output, WORK)):
            if name != CLAIM:
                storage.remove_folder(storage.join(output, WORK, name))
        storage.publish(path, content)
        found = ours
    is_new = found is None and storage.create(path, content)
    if _is_written_since(output, plan):  # a run that has ended meanwhile, and with it its claim
        if is_new:
            storage.remove(path)
        raise _late(output)
    found = ours if is_new else found or _claimed(output) or {}
    if found != ours:
        other = ", ".join(name for name in ours if found.get(name) != ours[name])
        raise UserError(
            f"{output} holds the unfinished work of a run with other {other}; wait until it has ended, go on with it "
            "by asking for the same, or remove the folder"
        )
    return ours


def _claimed(output: str) -> Claim | None:
    path = storage.join(output, WORK, CLAIM)
    return storage.read_json(path) if storage.exists(path) else None


def _is_finished(claim: Claim, plan: Plan) -> bool:
    """Whether the data set that is there is what the claim was about, or came later."""
    return plan.before is not None and claim.get("revision", "") in map(_checksum, range(plan.revision))


def _is_written_since(output: str, plan: Plan) -> bool:
    """Whether somebody has written the manifest since the plan was made."""
    return storage.version(storage.join(output, manifest.NAME)) != plan.version


def _late(output: str) -> UserError:
    return UserError(f"another run has finished the data set {output} first; it stands as that run made it")


def _identity(plan: Plan) -> Claim:
    """What two runs into one folder must have in common, each part as a checksum."""
    return {name: _checksum(value) for name, value in plan.identity().items()}


def _checksum(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _has_records(output: str) -> bool:
    """Whether a shard with records was finished."""
    for pattern in ("shards/*/*.tfrecord", "tfrecords/*.tfrecords"):
        with contextlib.suppress(UserError):
            return bool(storage.match([storage.join(glob.escape(output), pattern)]))
    return False


def _tidy(output: str, claim: Claim) -> None:
    """Remove what the manifest does not name: the work of stopped runs, and files of earlier revisions.

    Only as long as the claim stands: elsewhere another run may find the manifest, tidy up, and begin with its own.
    """
    made = Manifest.read(output)
    named = _named(made)
    passes = [f"shards/{name}" for name in storage.list_folder(storage.join(output, "shards"))]
    for folder in (output, *(storage.join(output, name) for name in [reference.FOLDER, *passes])):
        for name in storage.list_folder(folder):
            path = storage.join(folder, name)
            is_ours = folder != output or _BESIDE.fullmatch(name) is not None
            if is_ours and path.removeprefix(storage.join(output, "")) not in named:
                if not _stands(output, claim):
                    return
                storage.remove(path)
    if not _stands(output, claim):
        return
    storage.remove_folder(storage.join(output, WORK))
    if not storage.is_remote(output):
        for path in glob.glob(os.path.join(glob.escape(output), "**", ".*.part"), recursive=True, include_hidden=True):
            os.remove(path)


def _named(made: Manifest) -> set[str]:
    """The files of a data set that a run may also leave under other names."""
    named = {made.piece_counts, made.dead_letters, made.removed_examples, *(shard.file for shard in made.shards)}
    if made.settings.layout == "reference":
        named |= {
            reference.record_info(shard.shard, shard.pass_index, made.settings, records=shard.records)[0]
            for shard in made.shards
            if shard.records
        }
    return named


def _stands(output: str, claim: Claim) -> bool:
    return not storage.is_remote(output) or _claimed(output) == claim
