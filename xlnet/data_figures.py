"""What pages show of a data set, taken from its manifest and from the files beside it."""

from collections.abc import Mapping
from typing import Any

from xlnet import runs, storage
from xlnet.corpus import layouts, piece_counts
from xlnet.corpus.manifest import NAME, Manifest
from xlnet.drawing import LONGEST, Drawing, draw
from xlnet.errors import UserError
from xlnet.text import Tokenizer

DEAD_LETTERS_SHOWN = 5
REMOVED_SHOWN = 2  # for each reason


def corpus(data: str) -> dict[str, Any]:
    """One data set: counts, document lengths, what was left out, the vocabulary's use."""
    manifest = Manifest.read(data)
    with runs.intact(storage.join(data, NAME)):
        counts = manifest.counts
        return {
            "manifest": manifest,
            "counts": {name: counts[name] for name in COUNTED},
            "unknown_rate": counts["unknown_pieces"] / max(1, counts["pieces"] - counts["pieces_removed"]),
            "kept_rate": counts["pieces_in_records"] / max(1, counts["pieces_in_pass"]),
            "lengths": lengths(manifest),
            "reasons": ordered(manifest.dead_letter_reasons),
            "dead_letters": letters(storage.join(data, manifest.dead_letters), limit=DEAD_LETTERS_SHOWN),
            "removed": cleaned(manifest, examples=REMOVED_SHOWN),
            "sources": sources(manifest),
            "never": int((piece_counts.read(manifest) == 0).sum()),
        }


COUNTED = {
    "documents_in": "documents read",
    "dead_letters": "documents rejected",
    "documents_removed": "documents removed by cleaning",
    "documents_out": "documents kept",
    "characters": "characters",
    "pieces": "pieces",
    "unknown_pieces": "of them unknown",
    "pieces_removed": "pieces removed as duplicates",
    "pieces_in_records": "pieces in records",
    "pieces_dropped": "pieces dropped",
    "records": "records",
}


def lengths(manifest: Manifest) -> list[dict[str, Any]]:
    """Documents by their length, from `least` to `most` pieces, shortest first."""
    found = sorted((int(least), documents) for least, documents in manifest.document_lengths.items())
    largest = max((documents for _, documents in found), default=1)
    return [
        {"least": least, "most": 2 * least - 1, "documents": documents, "share": documents / largest}
        for least, documents in found
    ]


def sources(manifest: Manifest) -> list[dict[str, Any]]:
    """Each source: its name, weight, patterns, counts, files, and rates."""
    found = []
    for index, (source, counted) in enumerate(zip(manifest.sources, manifest.by_source, strict=True)):
        files = [file["bytes"] for file in manifest.inputs if file["source"] == index]
        rates = {
            "unknown_rate": counted["unknown_pieces"] / max(1, counted["pieces"]),
            "characters_a_piece": counted["characters"] / max(1, counted["pieces"]),
        }
        found.append({**source, **counted, **rates, "files": len(files), "bytes": sum(files)})
    return found


def cleaned(manifest: Manifest, *, examples: int) -> list[dict[str, Any]]:
    """What cleaning took away, or mended, by reason: counts and some examples."""
    path = storage.join(manifest.directory, manifest.removed_examples)
    known = letters(path) if manifest.removed else []
    return [
        {
            "reason": reason,
            "examples": [letter for letter in known if letter["reason"] == reason][:examples],
            **{name: counted.get(name, 0) for name in ("documents", "paragraphs", "characters", "pieces")},
        }
        for reason, counted in manifest.removed.items()
    ]


def ordered(reasons: Mapping[str, int]) -> list[tuple[str, int]]:
    """Reasons with their numbers, the most frequent first."""
    return sorted(reasons.items(), key=lambda item: (-item[1], item[0]))


def letters(path: str, *, limit: int | None = None) -> list[dict[str, Any]]:
    """The first of what was left out, each with path, line, reason and excerpt; none where there is no such file."""
    found = runs.read_lines(path, limit=limit) if storage.exists(path) else []
    with runs.intact(path):
        return [{name: letter[name] for name in ("path", "line", "reason", "excerpt")} for letter in found]


def record(manifest: Manifest) -> Drawing | None:
    """The first record of the first shard that has one, drawn; None where records are too long to look at."""
    shards = [shard for shard in manifest.shards if shard.records]
    if not shards or manifest.settings.sequence_length > LONGEST:
        return None
    path = storage.join(manifest.directory, shards[0].file)
    vocabulary = storage.join(manifest.directory, manifest.vocabulary["file"])
    tokenizer = Tokenizer(vocabulary)
    features = next(layouts.read(path, manifest.settings), None)
    if features is None:
        raise UserError(f"{path} is empty, the manifest says {shards[0].records} records; preprocess again")
    with runs.intact(path):
        return draw(features, tokenizer=tokenizer, settings=manifest.settings)
