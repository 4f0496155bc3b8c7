"""What preprocessing an input will take: measured on some megabytes of it, with the job's own functions.

The model is a straight line. Reading and tokenising take time in proportion to bytes, writing in proportion to pieces;
both are measured here, in seconds of one core, and Beam adds a stated share. Duplicates among all documents show in no
sample: with them removed, less is written than is said here. `docs/scaling.md` compares the model with jobs.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipelines.cost import Prices, Work, bill
from pipelines.measuring import Recipe, Sampled, Written, sample, write
from xlnet import storage, vocab
from xlnet.corpus import layouts, sources, tokenized
from xlnet.corpus.cleaning import CleaningSettings
from xlnet.corpus.settings import CorpusSettings
from xlnet.errors import require
from xlnet.text import Tokenizer

SAMPLE = 8 << 20  # bytes of the input that are measured
BEAM = 1.1  # seconds of a job for each that is measured here (docs/scaling.md)
STREAM = 128 << 20  # bytes of pieces that one shard may have at most: a worker holds up to four times as many
BATCH_ROWS = 2048  # of the paper's run; a batch reads half as many shards side by side
LEAST_WINDOWS = 64  # in a shard, so that the end of its stream does not count


def run(
    inputs: Sequence[str],
    *,
    vocabulary: str,
    settings: CorpusSettings,
    cleaning: CleaningSettings = CleaningSettings(),  # noqa: B008
    prices: dict[str, Any] | None = None,
    deadline_hours: float | None = None,
    sample_bytes: int = SAMPLE,
    batch_rows: int = BATCH_ROWS,
) -> dict[str, Any]:
    """Measure a sample of `inputs` (sources, as the job takes them), and tell what all of it takes.

    Bytes are those of the files, also where they are packed. With `prices` there is a `cost`, with a deadline there
    are `workers`. Raises UserError where the job would, and for a deadline that no number of workers can keep.
    """
    priced = None if prices is None else Prices.of(prices)
    require(deadline_hours is None or deadline_hours > 0, "deadline_hours", deadline_hours, "more than 0")
    model = storage.read_bytes(vocabulary)
    vocab.check(model)
    tokenizer = Tokenizer(model, lower=settings.lower, keep_accents=settings.keep_accents)
    recipe = Recipe(tokenizer, settings, cleaning)
    named = sources.parse(inputs)
    listed = sources.listed(named)
    total = sum(file.bytes for _, file in listed)
    sampled = []
    for index, source in enumerate(named):
        own = [file for owner, file in listed if owner == index]
        share = max(1, sample_bytes * sum(file.bytes for file in own) // total)
        sampled.append(sample(own, recipe, source=index, weight=source.weight, size=share))
    written = write([block for each in sampled for block in each.blocks], recipe)
    expected = scale(sampled, written, recipe, batch_rows=batch_rows)
    return {"files": len(listed), "bytes": total} | expected | _terms(expected, priced, deadline_hours)


def scale(sampled: Sequence[Sampled], written: Written, recipe: Recipe, *, batch_rows: int) -> dict[str, Any]:
    """The whole input, from what was found in some of it."""
    settings = recipe.settings
    in_pass = sum(each.factor * each.weight * each.tally.pieces for each in sampled)
    records = layouts.account(int(in_pass / settings.shards), settings).records * settings.shards * settings.passes
    reading = BEAM * sum(each.factor * each.seconds for each in sampled)
    writing = BEAM * in_pass * settings.passes * written.seconds / max(1, written.pieces)
    width = np.dtype(tokenized.piece_type(recipe.tokenizer.size)).itemsize
    least = max(1, math.ceil(in_pass * width / STREAM))
    slots = batch_rows // 2 if settings.bidirectional else batch_rows
    return {
        "documents": round(sum(each.factor * max(1, each.tally.documents - each.cut) for each in sampled)),
        "dead_letters": round(sum(each.factor * each.dead_letters for each in sampled)),
        "characters": round(sum(each.factor * each.tally.characters for each in sampled)),
        "pieces": round(sum(each.factor * each.tally.pieces for each in sampled)),
        "pieces_written": round(in_pass * settings.passes),
        "records": records,
        "shuffle_bytes": round(sum(each.factor * each.shuffled for each in sampled)),
        "output_bytes": round(records * written.bytes / max(1, written.records)),
        "read_core_seconds": reading,
        "write_core_seconds": writing,
        "core_hours": (reading + writing) / 3600,
        "longest_read_seconds": BEAM * max(each.longest * each.seconds for each in sampled),
        "longest_write_seconds": writing / settings.shards,
        "shards": settings.shards,
        "shards_least": least,
        "shards_recommended": max(least, min(slots, int(in_pass / (LEAST_WINDOWS * settings.reuse_length)), 99_999)),
        "sampled_pieces": written.pieces,
        "beam_factor": BEAM,
    }


def _terms(expected: dict[str, Any], prices: Prices | None, deadline: float | None) -> dict[str, Any]:
    """What it costs, and how many workers keep a deadline."""
    work = Work(
        read=expected["read_core_seconds"],
        write=expected["write_core_seconds"],
        longest_read=expected["longest_read_seconds"],
        longest_write=expected["longest_write_seconds"],
        shuffled=expected["shuffle_bytes"],
        output=expected["output_bytes"],
    )
    terms: dict[str, Any] = {}
    workers = None
    if deadline is not None:
        there = work.at_speed(prices.speed) if prices else work
        vcpus = prices.vcpus if prices else 1
        workers = math.ceil(there.cores_for(deadline) / vcpus)
        terms |= {"deadline_hours": deadline, "workers": workers, "hours": there.hours(workers * vcpus)}
    if prices is not None:
        terms |= {"currency": prices.currency, "cost": bill(work, prices, workers=workers)}
    return terms


def rows(found: dict[str, Any]) -> dict[str, Any]:
    """An estimate as a person reads it: names and values of a table."""
    shown = {name: found[name] for name in ("files", "documents", "dead_letters", "characters", "pieces")}
    shown = (
        {"bytes": size(found["bytes"])}
        | shown
        | {"pieces_written": found["pieces_written"], "records": found["records"]}
    )
    shown["core_time"] = time_shown(3600 * found["core_hours"])
    shown |= {f"{name}_bytes": size(found[f"{name}_bytes"]) for name in ("shuffle", "output")}
    least, wanted = found["shards_least"], found["shards_recommended"]
    shown["shards"] = f"{found['shards']:,} are set; {wanted:,} are recommended, at least {least:,}"
    if "workers" in found:
        shown["workers"] = (
            f"{found['workers']:,} for {found['hours']:.2f} hours, the deadline is {found['deadline_hours']:g}"
        )
    if "cost" in found:
        parts = ", ".join(f"{name} {amount:,.2f}" for name, amount in found["cost"].items() if name != "total")
        shown["cost"] = f"{found['cost']['total']:,.2f} {found['currency']} ({parts})"
    return shown


def time_shown(seconds: float) -> str:
    """Seconds of one core, as hours where they are many."""
    return f"{seconds:,.1f} s" if seconds < 3600 else f"{seconds / 3600:,.1f} hours"


def size(amount: float) -> str:
    """Bytes, with the unit that a person would choose."""
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:,.1f} TB"
