"""What a data set is: its settings, counts, shards and checksums; the checks against it.

The manifest is written last. A folder without one is half-written, and nothing reads it.
"""

import dataclasses
import json
import typing
from dataclasses import dataclass, field
from typing import Any

from xlnet import storage
from xlnet.corpus.settings import CorpusSettings
from xlnet.errors import UserError
from xlnet.file_names import VOCABULARY

FORMAT = "xlnet-data/2"
NAME = "manifest.json"
PIECE_COUNTS = "piece-counts.npy"
DEAD_LETTERS = "dead-letters.jsonl"
REMOVED = "removed.jsonl"
REPAIRED = "repaired"  # counted with what was removed, and kept


NUMBER = int | float
ENTRIES: dict[str, dict[str, Any]] = {  # what must stand in each entry of the manifest's lists, and of its vocabulary
    "vocabulary": {"file": str, "sha256": str, "size": int},
    "sources": {"name": str, "weight": NUMBER, "patterns": list[str]},
    "inputs": {"path": str, "bytes": int},
    "by_source": {"name": str} | dict.fromkeys(("documents", "characters", "pieces", "unknown_pieces"), int),
}


@dataclass(frozen=True)
class Shard:
    """One file of records, made from one stream; `file` is relative to the data set."""

    file: str
    pass_index: int  # "pass" in JSON
    part: int  # of the inputs that were added together
    shard: int  # of all parts, counted on from part to part
    records: int
    documents: int
    pieces: int  # of its stream, with one <eod> a document
    dropped: dict[str, int]  # pieces that are in no record, by reason
    bytes: int
    sha256: str
    address: str  # a hash of all that the file depends on

    @property
    def pieces_dropped(self) -> int:
        """Pieces that are in no record."""
        return sum(self.dropped.values())

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> "Shard":
        """A shard from its entry in manifest.json."""
        return cls(**{"pass_index" if name == "pass" else name: value for name, value in entry.items()})

    def to_json(self) -> dict[str, Any]:
        """The shard's entry in manifest.json."""
        entry = dataclasses.asdict(self)
        return {"pass": entry.pop("pass_index"), **entry}


@dataclass(frozen=True)
class Manifest:
    """The content of manifest.json. Counts are of one pass (the first), but for the records, which are of all."""

    settings: CorpusSettings
    cleaning: dict[str, Any]  # CleaningSettings
    vocabulary: dict[str, Any]  # file, sha256, size
    sources: list[dict[str, Any]]  # name, weight, patterns
    inputs: list[dict[str, Any]]  # path, bytes, crc32c, source (index), part
    counts: dict[str, int]
    dropped: dict[str, int]  # pieces that are in no record, by reason
    removed: dict[str, dict[str, int]]  # by reason of cleaning: documents, paragraphs, characters, pieces
    dead_letter_reasons: dict[str, int]
    document_lengths: dict[str, int]  # "8": documents of 8 to 15 pieces
    by_source: list[dict[str, Any]]  # name, documents, characters, pieces, unknown_pieces
    shards: list[Shard]
    libraries: dict[str, str]
    piece_counts: str = PIECE_COUNTS
    dead_letters: str = DEAD_LETTERS
    removed_examples: str = REMOVED
    revision: int = 0  # how often it was added to
    directory: str = field(default="", compare=False)  # where it was read; not part of the file

    @classmethod
    def read(cls, directory: str) -> "Manifest":
        """The manifest of a data set. Raises UserError when the folder is no data set, half-written or too new."""
        path = storage.join(directory, NAME)
        if not storage.exists(path):
            raise UserError(_why_missing(directory))
        content = storage.read_json(path)
        found = content.get("format") if isinstance(content, dict) else None
        if found != FORMAT:
            raise UserError(f"{path} has the format {found!r}, this version reads {FORMAT!r}; preprocess again")
        try:
            lengths = content["document_lengths"]  # JSON has them in alphabetical order
            content["document_lengths"] = {power: lengths[power] for power in sorted(lengths, key=int)}
            manifest = cls(
                settings=CorpusSettings(**content["settings"]),
                shards=[Shard.from_json(entry) for entry in content["shards"]],
                directory=directory,
                **{name: content[name] for name in _PLAIN if name in content or name not in _OPTIONAL},
            )
            manifest._require_whole()
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise UserError(f"{path} is damaged ({what}); preprocess again") from None
        except UserError as error:
            raise UserError(f"{path} is damaged ({error}); preprocess again") from None
        return manifest

    def _require_whole(self) -> None:
        """Raises KeyError, TypeError or ValueError for what a reader would stumble over."""
        declared: list[tuple[type, list[Any]]] = [(Manifest, [self]), (Shard, self.shards)]
        for of, every in declared:
            hints = typing.get_type_hints(of)  # once, however many shards there are
            for held in every:
                for name, kind in hints.items():
                    _require_kind(getattr(held, name), kind, name=name)
        for name in COUNTS:
            _require_kind(self.counts[name], int, name=f"counts: {name}")
        for name, wanted in ENTRIES.items():
            for entry in [self.vocabulary] if name == "vocabulary" else getattr(self, name):
                for key, kind in wanted.items():
                    _require_kind(entry[key], kind, name=f"{name}: {key}")
        if len(self.by_source) != len(self.sources):
            raise ValueError(f"it counts {len(self.by_source)} sources of {len(self.sources)}")
        if not self.shards:
            raise ValueError("it names no shard")

    def to_json(self) -> dict[str, Any]:
        """The content of manifest.json."""
        plain = {name: getattr(self, name) for name in _PLAIN}
        shards = [shard.to_json() for shard in self.shards]
        return {"format": FORMAT, "settings": dataclasses.asdict(self.settings), "shards": shards, **plain}

    def to_bytes(self) -> bytes:
        """The bytes of manifest.json, with sorted keys: same content, same bytes."""
        return (json.dumps(self.to_json(), indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()

    def summary(self) -> dict[str, int | str]:
        """What a person wants to know first, by name."""
        counts = self.counts
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(self.dead_letter_reasons.items()))
        parts = 1 + max(shard.part for shard in self.shards)
        return {
            "documents": counts["documents_out"],
            "rejected documents": f"{counts['dead_letters']:,} ({reasons})" if reasons else 0,
            **self._removals(),
            "characters": counts["characters"],
            "pieces": counts["pieces"],
            "pieces dropped": counts["pieces_dropped"],
            "unknown pieces": counts["unknown_pieces"],
            "records": counts["records"],
            "shards": f"{len(self.shards):,} in {_several(self.settings.passes, 'pass', 'passes')}"
            + (f" of {parts} parts" if parts > 1 else ""),
            "bytes": sum(shard.bytes for shard in self.shards),
        }

    def _removals(self) -> dict[str, str]:
        """What cleaning did, by what it did it to."""
        removed = {reason: of for reason, of in sorted(self.removed.items()) if reason != REPAIRED}
        told = {
            f"removed {kind}": ", ".join(f"{of[kind]:,} {reason}" for reason, of in removed.items() if of[kind])
            for kind in ("documents", "paragraphs")
        }
        told["repaired documents"] = f"{self.removed[REPAIRED]['documents']:,}" if REPAIRED in self.removed else ""
        return {name: what for name, what in told.items() if what}

    def require(self, **settings: Any) -> None:
        """Raises UserError, with both values, where the data were made with other settings than these."""
        for name, wanted in settings.items():
            found = getattr(self.settings, name)
            if found != wanted:
                flag = f"--{name.replace('_', '-')} {found}"
                raise UserError(
                    f"the data were made with {name} {found}, {wanted} is asked for "
                    f"({storage.join(self.directory or '.', NAME)}). Pass {flag}, or preprocess again"
                )

    def require_vocabulary(self, sha256: str) -> None:
        """Raises UserError when the data were made with another vocabulary than the one with this checksum."""
        found = self.vocabulary["sha256"]
        if found != sha256:
            raise UserError(
                f"the data were made with the vocabulary {found[:12]}, the model has {sha256[:12]} (SHA-256); "
                f"take the {VOCABULARY} of {self.directory or 'the data set'}, or preprocess again"
            )

    def verify(self) -> None:
        """Read every shard. Raises UserError for the first that is missing or not what was written."""
        files = [(shard.file, shard.sha256) for shard in self.shards]
        for name, wanted in [(self.vocabulary["file"], self.vocabulary["sha256"]), *files]:
            self._verify(name, wanted)

    def verify_vocabulary(self) -> None:
        """Raises UserError when the vocabulary beside the shards is missing or another than they were made with."""
        from xlnet.text import load_model  # not at the top: writing a data set needs no SentencePiece

        name = self.vocabulary["file"]
        self._verify(name, self.vocabulary["sha256"])
        size, told = load_model(storage.join(self.directory, name))[0].get_piece_size(), self.vocabulary["size"]
        if size != told:
            path = storage.join(self.directory, NAME)
            raise UserError(f"{path} is damaged (it counts {told} pieces in {name}, of {size}); preprocess again")

    def _verify(self, name: str, wanted: str) -> None:
        path = storage.join(self.directory, name)
        found = storage.sha256(path)
        if found != wanted:
            raise UserError(
                f"{path} has the SHA-256 {found[:12]}, the manifest says {wanted[:12]}; "
                "it was changed or cut: copy the data set again, or preprocess again"
            )


_PLAIN = tuple(
    field.name for field in dataclasses.fields(Manifest) if field.name not in ("settings", "shards", "directory")
)
_OPTIONAL = {field.name for field in dataclasses.fields(Manifest) if field.default is not dataclasses.MISSING}

COUNTS = (  # that every reader shows
    "documents_in",
    "documents_out",
    "documents_removed",
    "dead_letters",
    "characters",
    "pieces",
    "pieces_removed",
    "pieces_in_pass",
    "pieces_in_records",
    "pieces_dropped",
    "unknown_pieces",
    "records",
)


def _several(number: int, one: str, more: str) -> str:
    return f"{number:,} {one if number == 1 else more}"


def _require_kind(value: Any, kind: Any, *, name: str) -> None:
    """Raises TypeError, which names the place, where a value from JSON is not of a kind such as dict[str, int]."""
    plain = typing.get_origin(kind) if typing.get_origin(kind) in (dict, list) else kind
    if plain is Any:
        return
    if not isinstance(value, plain) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}")
    if plain is not kind:
        for key, each in value.items() if plain is dict else enumerate(value):
            _require_kind(each, typing.get_args(kind)[-1], name=f"{name}: {key}")


def _why_missing(directory: str) -> str:
    if not storage.exists(directory):
        return f"there is no data set {directory}; name the folder that preprocess wrote"
    if storage.exists(storage.join(directory, "shards")):
        return (
            f"{directory} has no {NAME}: it is half-written; preprocess again with the same settings, which goes on "
            "with it, or remove it"
        )
    return f"{directory} has no {NAME}: it is not a data set; name the folder that preprocess wrote"
