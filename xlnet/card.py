"""The data card: one self-contained HTML page about a data set."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

import numpy as np
from markupsafe import Markup

from xlnet import __version__, balance, data_figures, pages, plots, record_sample, runs, storage, vocabulary_use
from xlnet.corpus import piece_counts, reference
from xlnet.corpus.manifest import NAME, Manifest
from xlnet.corpus.reference import Original
from xlnet.errors import UserError
from xlnet.record_sample import Sample
from xlnet.text import Tokenizer

TEMPLATE = "card.html.j2"
EXAMPLES = 20  # of a reason, of what was left out for it
DEAD_LETTERS_READ = 500  # lines; there may be millions
LISTED = 300  # rows of the tables of inputs and of shards
SPANS = 10  # pieces or words; longer runs are one bar
BARS = 64  # shards that have a bar each; beyond that a bar is the mean of some


def write(output: str, *, data: str, records: int = 2000) -> None:
    """Write the page about the data set `data` to `output`, whole or not at all.

    Spans and targets are measured on about `records` records, the same ones each time: same data set, same bytes.
    Raises UserError, naming the file, for what is missing or damaged.
    """
    pages.require_file(output)
    manifest = reference.open_data(data)
    if isinstance(manifest, Original):
        raise UserError(
            f"{data} was written by the original, which counts nothing; a card needs what preprocess counts"
        )
    tokenizer = Tokenizer(storage.join(data, manifest.vocabulary["file"]))
    with runs.intact(storage.join(data, NAME)):
        content = _content(manifest)
    pages.write(
        output,
        TEMPLATE,
        of=storage.join(data, NAME),
        title=storage.join(data).rstrip("/").rpartition("/")[2] or data,
        manifest=manifest,
        data=data,
        digest=storage.sha256(storage.join(data, NAME)),
        vocabulary=vocabulary_use.measure(piece_counts.read(manifest), tokenizer),
        sample=_sample(manifest, record_sample.read(manifest, tokenizer, records=records)),
        record=data_figures.record(manifest),
        version=__version__,
        listed=LISTED,
        **content,
    )


def _content(manifest: Manifest) -> dict[str, Any]:
    """What the manifest, and what lies beside it, tells about the text."""
    counts = manifest.counts
    return {
        "accounts": balance.accounts(manifest),
        "steps": balance.steps_to_a_pass(manifest),
        "unknown_rate": counts["unknown_pieces"] / max(1, counts["pieces"] - counts["pieces_removed"]),
        "bytes": sum(shard.bytes for shard in manifest.shards),
        "lengths": data_figures.lengths(manifest),
        "lengths_plot": _lengths_plot(data_figures.lengths(manifest)),
        "sources": data_figures.sources(manifest),
        "passes": _passes(manifest),
        "removed": data_figures.cleaned(manifest, examples=EXAMPLES),
        "rejected": _rejected(manifest),
        "shards": _shards(manifest),
        "settings": asdict(manifest.settings),
        "cleaning": {name: value for name, value in manifest.cleaning.items() if value not in (False, None)},
    }


def _lengths_plot(lengths: Sequence[Mapping[str, int]]) -> Markup | None:
    if not lengths:
        return None
    found = {entry["least"]: entry["documents"] for entry in lengths}
    powers = [1 << power for power in range(min(found).bit_length() - 1, max(found).bit_length())]
    heights = [found.get(power, 0) for power in powers]
    return plots.bars(
        [plots.Bars("documents", heights, range(len(powers)))],
        [short(power) for power in powers],
        name="lengths",
        label="Documents by their length",
        unit="documents",
        axis="pieces, from this many to twice as many",
    )


def _passes(manifest: Manifest) -> list[dict[str, Any]]:
    """Of each pass over each part what was written."""
    ordered = sorted(manifest.shards, key=lambda shard: (shard.pass_index, shard.part))
    return [
        {"pass": pass_index, "part": part, "shards": len(shards)}
        | {name: sum(getattr(shard, name) for shard in shards) for name in ("documents", "pieces", "records", "bytes")}
        | {"dropped": sum(shard.pieces_dropped for shard in shards)}
        for (pass_index, part), group in groupby(ordered, key=lambda shard: (shard.pass_index, shard.part))
        for shards in [list(group)]
    ]


def _rejected(manifest: Manifest) -> list[dict[str, Any]]:
    """Dead letters by reason, the most frequent first, with the first examples."""
    path = storage.join(manifest.directory, manifest.dead_letters)
    known = data_figures.letters(path, limit=DEAD_LETTERS_READ) if manifest.dead_letter_reasons else []
    return [
        {"reason": reason, "count": n, "examples": [one for one in known if one["reason"] == reason][:EXAMPLES]}
        for reason, n in data_figures.ordered(manifest.dead_letter_reasons)
    ]


def _shards(manifest: Manifest) -> dict[str, Any]:
    """How evenly the text is spread over the shards of a pass."""
    pieces = np.sort([shard.pieces for shard in manifest.shards if shard.pass_index == 0])
    groups = np.array_split(pieces, min(BARS, len(pieces)))
    mean = float(pieces.mean())
    plot = plots.bars(
        [plots.Bars("shards", [float(group.mean()) for group in groups], range(len(groups)))],
        [str(1 + sum(map(len, groups[:number]))) for number in range(len(groups))],
        name="shards",
        label="Pieces of each shard",
        unit="pieces",
        axis="shards of a pass, the smallest first",
        level=plots.Level("mean", mean),
    )
    return {
        "number": len(pieces),
        "least": int(pieces[0]),
        "mean": mean,
        "most": int(pieces[-1]),
        "ratio": int(pieces[-1]) / mean if mean else 0.0,
        "plot": plot if len(pieces) > 1 else None,
    }


def _sample(manifest: Manifest, sample: Sample | None) -> dict[str, Any] | None:
    """What a sample of the records shows, with its plots."""
    if sample is None:
        return None
    settings = manifest.settings
    in_pieces, in_words = record_sample.span_lengths(sample)
    bins = record_sample.target_positions(sample, reuse_length=settings.reuse_length)
    split = sum(one.stop <= settings.reuse_length for one in bins)
    halves = {"reuse half": range(split), "new half": range(split, len(bins))}
    return {
        "of": sample,
        "share": float(sample.follows.mean()),
        "runs": sum(in_pieces.values()),
        "mean_pieces": _mean(in_pieces),
        "mean_words": _mean(in_words),
        "spans_plot": plots.bars(
            [_bars("pieces", in_pieces), _bars("words", in_words)],
            [str(length) for length in range(1, SPANS + 1)] + [f"{SPANS + 1}+"],
            name="spans",
            label="Runs of targets by their length",
            unit="share of the runs, %",
            axis="adjacent targets",
        ),
        "positions_plot": plots.bars(
            [plots.Bars(name, [100 * bins[at].share for at in places], places) for name, places in halves.items()],
            [str(one.start) for one in bins],
            name="positions",
            label="Share of positions that are targets, along the window",
            unit="positions predicted, %",
            axis="position in the window",
            level=plots.Level("mean", 100 * float(sample.is_target.mean())),
        ),
    }


def _bars(name: str, lengths: Mapping[int, int]) -> plots.Bars:
    total = max(1, sum(lengths.values()))
    counts = [lengths.get(length, 0) for length in range(1, SPANS + 1)]
    longer = sum(lengths.values()) - sum(counts)
    return plots.Bars(name, [100 * count / total for count in [*counts, longer]], range(SPANS + 1))


def _mean(lengths: Mapping[int, int]) -> float:
    return sum(length * count for length, count in lengths.items()) / max(1, sum(lengths.values()))


def short(number: int) -> str:
    """1024 as 1k."""
    for sign, power in (("M", 1 << 20), ("k", 1 << 10)):
        if number >= power:
            return f"{number // power}{sign}"
    return str(number)
