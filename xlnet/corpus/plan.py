"""What a run has to do: all of it, or what a data set lacks of the files and passes that it is to have."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any

from xlnet import storage
from xlnet.corpus import manifest
from xlnet.corpus.cleaning import CleaningSettings
from xlnet.corpus.manifest import Manifest
from xlnet.corpus.settings import CorpusSettings
from xlnet.corpus.sources import Source, listed
from xlnet.errors import UserError


@dataclass(frozen=True, order=True)
class Input:
    """A file of text, as it was found."""

    path: str
    bytes: int
    crc32c: str
    source: int  # index
    part: int  # files that were added together are one part, with shards of its own

    @property
    def content(self) -> tuple[int, str]:
        """What tells files of equal content, wherever they are."""
        return self.bytes, self.crc32c


@dataclass(frozen=True)
class Plan:
    """Files to read, and the passes to write of each part; `before` is the data set that is there already."""

    settings: CorpusSettings
    cleaning: dict[str, Any]
    vocabulary: str  # SHA-256
    sources: tuple[Source, ...]
    inputs: tuple[Input, ...]
    first_pass: dict[int, int]  # by part: earlier ones are there
    before: Manifest | None = None
    version: str | None = None  # of its manifest

    @cached_property  # asked for with every file, tally and shard
    def new_part(self) -> int:
        """The part whose text is new; one more than there are when only passes are added."""
        return 0 if self.before is None else 1 + max(entry["part"] for entry in self.before.inputs)

    @property
    def revision(self) -> int:
        """How often the data set was added to."""
        return 0 if self.before is None else self.before.revision + 1

    def identity(self) -> dict[str, Any]:
        """What decides the bytes of the data set: two runs of one identity write the same."""
        return {
            "settings": asdict(self.settings),
            "cleaning": self.cleaning,
            "vocabulary": self.vocabulary,
            "sources": [asdict(source) for source in self.sources],
            "inputs": [asdict(file) for file in self.inputs],
            "revision": self.revision,
        }


def make(
    directory: str,
    sources: Sequence[Source],
    *,
    settings: CorpusSettings,
    cleaning: dict[str, Any],
    vocabulary: str,
    add: bool,
) -> Plan:
    """The plan of a run into `directory`; without inputs when the data set there is what is asked for.

    Raises UserError when the data set there was made otherwise, or has other text and `add` is not given.
    """
    path = storage.join(directory, manifest.NAME)
    version = storage.version(path)
    before = None if version is None else Manifest.read(directory)
    joined = tuple(sources) if before is None else _joined(before, sources)
    names = [source.name for source in joined]
    owners = [names.index(source.name) for source in sources]
    part = 0 if before is None else 1 + max(entry["part"] for entry in before.inputs)
    found = [
        Input(file.path, file.bytes, file.crc32c or storage.checksum(file.path), owners[index], part)
        for index, file in listed(sources)
    ]
    plan = Plan(settings, cleaning, vocabulary, joined, tuple(sorted(found)), {part: 0}, before, version)
    return plan if before is None else _lacking(plan, before, add=add)


def _lacking(plan: Plan, before: Manifest, *, add: bool) -> Plan:
    """What of a plan the data set lacks."""
    _require_same(plan, before)
    old = [Input(**entry) for entry in before.inputs]
    known = {file.content for file in old}
    _require_owners(plan, before, old)
    new = [file for file in plan.inputs if file.content not in known]
    named = {file.content for file in plan.inputs}
    again: list[Input] = []
    first_pass = {plan.new_part: 0} if new else {}
    if plan.settings.passes > before.settings.passes:
        listed = {file.path: file.content for file in plan.inputs}
        again = [_unchanged(file, listed.get(file.path)) for file in old]
        first_pass |= {file.part: before.settings.passes for file in old}
    if not new and not again:
        if not known <= named and not add:
            raise _occupied(before, f"of {len(known)} files, {len(known - named)} of which are not named now")
        return replace(plan, inputs=())
    if not add:
        raise _occupied(before, f"without {len(new)} of the files" if new else f"of {before.settings.passes} passes")
    return replace(plan, inputs=tuple(sorted([*again, *new])), first_pass=first_pass)


def _require_owners(plan: Plan, before: Manifest, old: Sequence[Input]) -> None:
    """Raises UserError for a file that is there as another source's, whose weight is not the one that is asked for."""
    owners: dict[tuple[int, str], set[int]] = {}
    for file in old:
        owners.setdefault(file.content, set()).add(file.source)
    for file in plan.inputs:
        found = owners.get(file.content, {file.source})
        if file.source not in found:
            was, asked = plan.sources[min(found)], plan.sources[file.source]
            raise UserError(
                f"{file.path} belongs to the source {was.name!r} in {before.directory}, {asked.name!r} is asked for; "
                "ask for the same, or name a new folder"
            )


def _occupied(before: Manifest, what: str) -> UserError:
    return UserError(
        f"{before.directory} already holds a data set {what}; pass --add to add to it what it lacks, or name a new "
        "folder"
    )


def _unchanged(file: Input, found: tuple[int, str] | None) -> Input:
    """Raises UserError when a file is no longer what it was, so that its other passes cannot be made.

    `found` is its content now where a listing has told it already.
    """
    found = found or (storage.size(file.path), storage.checksum(file.path))
    if found != file.content:
        raise UserError(
            f"{file.path} has changed since the data set was made ({file.bytes:,} bytes, CRC-32C {file.crc32c}; now "
            f"{found[0]:,}, {found[1]}): its further passes cannot be made; preprocess into a new folder"
        )
    return file


def _require_same(plan: Plan, before: Manifest) -> None:
    """Raises UserError where the data set was made otherwise, naming the first difference."""
    before.require_vocabulary(plan.vocabulary)
    if plan.settings.passes < before.settings.passes:
        before.require(passes=plan.settings.passes)
    before.require(**{name: value for name, value in asdict(plan.settings).items() if name != "passes"})
    # A kind of cleaning that came with a later version was not done.
    found = {field.name: field.default for field in fields(CleaningSettings)} | before.cleaning
    for name, value in found.items():
        if plan.cleaning.get(name) != value:
            raise UserError(
                f"the data of {before.directory} were made with {name} {value}, {plan.cleaning.get(name)} is asked "
                "for; ask for the same, or name a new folder"
            )


def _joined(before: Manifest, sources: Sequence[Source]) -> tuple[Source, ...]:
    """The sources of a data set and further ones. Raises UserError for one whose weight is another now."""
    joined = {
        entry["name"]: Source(entry["name"], entry["weight"], tuple(entry["patterns"])) for entry in before.sources
    }
    for source in sources:
        old = joined.get(source.name, source)
        if old.weight != source.weight:
            raise UserError(
                f"the source {source.name!r} has the weight {old.weight:g} in {before.directory}, {source.weight:g} is "
                "asked for; ask for the same, or name a new folder"
            )
        joined[source.name] = replace(old, patterns=tuple(dict.fromkeys([*old.patterns, *source.patterns])))
    return tuple(joined.values())
