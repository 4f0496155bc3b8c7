"""What a run of the retraining pipeline is given: checked before it costs anything, and told apart by content."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines import champion, markdown
from xlnet import storage
from xlnet.corpus import sources
from xlnet.errors import UserError
from xlnet.settings import parse_preset, suggestion

KEYS = ("name", "train", "dev", "settings")
SAMPLE = 1 << 16  # bytes of a file that are looked at
PLAIN = (".txt",)


@dataclass(frozen=True)
class Inputs:
    """What was found: hashes of contents, and the tasks with those of their files."""

    corpus: str
    heldout: str
    tasks: list[dict[str, Any]]
    digest: str  # of all of it, and of the settings
    is_new: bool  # whether the champion was made of something else
    files: dict[str, list[storage.File]]

    def page(self, *, is_wanted: bool) -> str:
        """Markdown for the page of the step."""
        rows = [(name, len(files), sum(file.bytes for file in files)) for name, files in self.files.items()]
        told = "The run goes on." if is_wanted else "The champion was made of the same: nothing is to be done."
        return f"{markdown.table(('what', 'files', 'bytes'), rows)}\n\n{told}\n"


def check(
    *, corpus: Sequence[str], heldout: Sequence[str], tasks: Sequence[Mapping[str, Any]], config: str, store: str
) -> Inputs:
    """Look at everything that a run will read. Raises UserError for what is missing, broken or of no use."""
    preset = parse_preset(config, where="config")
    require_path("store", store)
    files = {"corpus": _files(corpus), "held-out text": _files(heldout)}
    both = {storage.identity(file.path) for file in files["corpus"]} & {
        storage.identity(file.path) for file in files["held-out text"]
    }
    if both:
        raise UserError(f"{min(both)} is in the corpus and in the held-out text; take it out of one of them")
    for found in files.values():
        for file in found:
            _require_text(file)
    seen: list[dict[str, Any]] = []
    for task in tasks:
        seen.append(_task(task, known=[entry["name"] for entry in seen]))
        files[f"task {seen[-1]['name']}"] = storage.match([task["train"], task["dev"]])
    if not seen:
        raise UserError("no task is given: a run is judged by its tasks; name one at least")
    told = {"corpus": _digest(corpus, files["corpus"]), "heldout": _digest(heldout, files["held-out text"])}
    digest = _hash([told, seen, preset])
    now = champion.find(store)
    return Inputs(told["corpus"], told["heldout"], seen, digest, now is None or now.inputs != digest, files)


def require_path(what: str, path: str) -> str:
    """A path of a parameter. Raises UserError for one that climbs out of its folder, or holds what no path needs."""
    scheme, separator, rest = path.rpartition("://")
    if separator and scheme != "gs":
        raise UserError(f"{what} is {path!r}: only gs:// and local paths are read")
    if ".." in rest.split("/") or any(ord(character) < 32 for character in path) or not rest:
        raise UserError(f"{what} is {path!r}, wanted is a path without '..' and control characters")
    return path


def _files(patterns: Sequence[str]) -> list[storage.File]:
    for source in sources.parse(patterns):
        for pattern in source.patterns:
            require_path("a path of text", pattern)
    return [file for _, file in sources.listed(sources.parse(patterns))]


def _require_text(file: storage.File) -> None:
    """Raises UserError for a plain text file that does not begin as UTF-8 text."""
    if not file.path.endswith(PLAIN):
        return
    with storage.reading(file.path) as stream:
        head = stream.read(SAMPLE)
    try:
        head[:-4].decode() if len(head) == SAMPLE else head.decode()  # the last character may be cut
    except UnicodeDecodeError as error:
        if len(head) == SAMPLE and error.start > SAMPLE - 8:
            return
        raise UserError(f"{file.path} is not UTF-8 text (byte {error.start}); convert it or leave it out") from None


def _task(task: Mapping[str, Any], *, known: Sequence[str]) -> dict[str, Any]:
    for key in task:
        if key not in KEYS and key != "digest":
            raise UserError(f"a task has {key!r}{suggestion(key, KEYS)}")
    for key in KEYS[:3]:
        if not isinstance(task.get(key), str):
            raise UserError(f"a task has no {key!r}; give name, train and dev")
    name = champion.require_name("a task's name", task["name"])
    if name in known:
        raise UserError(f"two tasks are called {name!r}; name them apart")
    found = [storage.match([require_path(f"{key} of {name}", task[key])]) for key in ("train", "dev")]
    if found[0] == found[1]:
        raise UserError(f"the task {name!r} is to be measured on what it learns from; give another file as dev")
    return {**{key: task[key] for key in KEYS if key in task}, "digest": _hash([_contents(files) for files in found])}


def _digest(patterns: Sequence[str], files: Sequence[storage.File]) -> str:
    """A hash of contents and weights, not of names: a corpus that was moved is the same."""
    weights = sorted((source.name, source.weight) for source in sources.parse(patterns))
    return _hash([weights, _contents(files)])


def _contents(files: Sequence[storage.File]) -> list[tuple[int, str]]:
    return sorted((file.bytes, file.crc32c or storage.checksum(file.path)) for file in files)


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
