"""Both sides of a run, compared: what was read, and what arrived in the shards."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from xlnet.corpus.manifest import REPAIRED, Manifest
from xlnet.corpus.plan import Plan
from xlnet.corpus.shards import ShardSummary
from xlnet.corpus.tally import Tally
from xlnet.errors import UserError

DUPLICATE = "duplicate document"


@dataclass(frozen=True)
class Ledger:
    """Everything that was counted in a run, and where its workers left what is too large to travel."""

    plan: Plan
    tallies: Sequence[Tally]
    summaries: Sequence[ShardSummary]
    counts: Sequence[str]  # files of piece frequencies, int64 [vocabulary size]
    splits: int  # that were to be read
    vocabulary_size: int
    closing: str  # a file that is there when the manifest was about to be written before

    @cached_property
    def new(self) -> list[Tally]:
        """The tallies of text that was not in the data set before, in order."""
        return sorted((t for t in self.tallies if t.part == self.plan.new_part), key=lambda t: (t.path, t.start))

    @cached_property
    def new_summaries(self) -> list[ShardSummary]:
        """The summaries of that text."""
        return [summary for summary in self.summaries if summary.part == self.plan.new_part]


def require_complete(ledger: Ledger) -> None:
    """Raises UserError where what was read is not what arrived."""
    plan = ledger.plan
    read = {(tally.path, tally.part) for tally in ledger.tallies}
    lost = sorted(file.path for file in plan.inputs if (file.path, file.part) not in read)
    if lost:
        raise UserError(_lossy(f"of {len(plan.inputs)} files {len(lost)} were not read", lost[:3]))
    found = {(tally.path, tally.start) for tally in ledger.tallies}
    if not len(found) == len(ledger.tallies) == ledger.splits:
        counts = f"{len(ledger.tallies)} were read, {len(found)} different ones"
        raise UserError(_lossy(f"of {ledger.splits} parts of files {counts}"))
    for part in plan.first_pass:
        tallies = [tally for tally in ledger.tallies if tally.part == part]
        came = sum(tally.documents for tally in tallies), sum(tally.pieces for tally in tallies)
        summaries = [summary for summary in ledger.summaries if summary.part == part]
        arrived = sum(one.documents for one in summaries), sum(one.pieces for one in summaries)
        if came != arrived:
            raise UserError(
                _lossy(
                    f"{came[0]:,} documents of {came[1]:,} pieces were read, {arrived[0]:,} of {arrived[1]:,} arrived"
                )
            )
    rows = 2 if plan.settings.bidirectional else 1
    for file in (file for summary in ledger.summaries for file in summary.files):
        in_records = file.records // rows * plan.settings.reuse_length
        if in_records + file.pieces_dropped != file.pieces:
            raise UserError(
                f"{file.file}: of {file.pieces:,} pieces {in_records:,} are in records and {file.pieces_dropped:,} "
                "were dropped, which does not add up; this is a fault of preprocess, please report it"
            )


def totals(ledger: Ledger, made: Manifest, *, unknown: int) -> dict[str, Any]:
    """The counts of a data set with all its shards; raises UserError when there is no record."""
    first = [shard for shard in made.shards if shard.pass_index == 0]
    dropped: Counter[str] = Counter()
    for shard in first:
        dropped.update(shard.dropped)
    gone = sum(of["documents"] for reason, of in made.removed.items() if reason not in (DUPLICATE, REPAIRED))
    duplicates = made.removed.get(DUPLICATE, {"documents": 0, "pieces": 0})
    documents = sum(entry["documents"] for entry in made.by_source)
    pieces = sum(entry["pieces"] for entry in made.by_source)
    dead = sum(made.dead_letter_reasons.values())
    in_pass = sum(shard.pieces for shard in first)
    counts = {
        "documents_in": documents + dead + gone,
        "documents_out": documents - duplicates["documents"],
        "documents_removed": gone + duplicates["documents"],
        "dead_letters": dead,
        "characters": sum(entry["characters"] for entry in made.by_source),
        "pieces": pieces,
        "pieces_removed": duplicates["pieces"],
        "pieces_in_pass": in_pass,
        "pieces_in_records": in_pass - sum(dropped.values()),
        "pieces_dropped": sum(dropped.values()),
        "unknown_pieces": unknown,
        "records": sum(shard.records for shard in made.shards),
    }
    if not documents:
        reasons = ", ".join([*made.dead_letter_reasons, *made.removed]) or "no text"
        raise UserError(
            f"there is no document to write: {len(made.inputs)} files with {dead:,} rejected and {gone:,} removed "
            f"documents ({reasons})"
        )
    if all(source["weight"] == 1 for source in made.sources) and in_pass != pieces - duplicates["pieces"]:
        raise UserError(_lossy(f"{pieces - duplicates['pieces']:,} pieces were to be written, {in_pass:,} were"))
    if not counts["records"]:
        settings = made.settings
        where = f"{documents:,} documents have {pieces:,} pieces, in {settings.shards} shards"
        if settings.layout == "reference":
            raise UserError(
                f"{where}: none fills {settings.reference_rows} rows with a window of {settings.sequence_length} each; "
                "give more text, fewer shards, fewer reference_rows, or a smaller sequence_length"
            )
        raise UserError(
            f"{where}: none fills a window of {settings.sequence_length}; give more text, fewer shards, or a smaller "
            "sequence_length"
        )
    return {"counts": counts, "dropped": dict(sorted(dropped.items()))}


def _lossy(what: str, examples: Sequence[str] = ()) -> str:
    named = f" (missing: {', '.join(examples)})" if examples else ""
    return f"{what}{named}: the Beam runner lost or repeated work; run again, with another runner or --workers 1"
