"""What came in and what went out: counted on both sides, compared, and written down as the manifest."""

import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from importlib import metadata
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xlnet import storage
from xlnet.corpus import manifest, reconciliation, reference
from xlnet.corpus.documents import DeadLetter
from xlnet.corpus.manifest import Manifest, Shard
from xlnet.corpus.plan import Plan
from xlnet.corpus.reconciliation import DUPLICATE, Ledger
from xlnet.corpus.tally import Removed, Tally, json_line, shown
from xlnet.errors import UserError

if TYPE_CHECKING:
    from xlnet.text import Tokenizer

LIBRARIES = ("apache-beam", "numpy", "sentencepiece", "xlnet-pipelines")


def close(directory: str, ledger: Ledger) -> Manifest:
    """Compare what came in with what went out, and write all that makes the folder a data set, the manifest last.

    Raises UserError when documents or pieces are missing, when there are too few for a single record, or when another
    run has finished this data set first.
    """
    reconciliation.require_complete(ledger)
    plan, before = ledger.plan, ledger.plan.before
    removed = _removed(directory, ledger)
    dead = sum((Counter(tally.dead) for tally in ledger.new), Counter())
    lengths: Counter[str] = Counter()
    for summary in ledger.new_summaries:
        lengths.update({str(power): amount for power, amount in summary.lengths.items()})
    shards = [file for summary in ledger.summaries for file in summary.files]
    vocabulary = storage.join(directory, manifest.VOCABULARY)
    size = _tokenizer(vocabulary).size
    frequencies = _frequencies(ledger.counts, size)
    made = Manifest(
        settings=plan.settings,
        cleaning=plan.cleaning,
        vocabulary={"file": manifest.VOCABULARY, "sha256": plan.vocabulary, "size": size},
        sources=[{**asdict(source), "patterns": list(source.patterns)} for source in plan.sources],
        inputs=[asdict(file) for file in plan.inputs if file.part == plan.new_part],
        counts={},
        dropped={},
        removed={reason: counted.counts() for reason, counted in sorted(removed.items())},
        dead_letter_reasons=dict(sorted(dead.items())),
        document_lengths={power: lengths[power] for power in sorted(lengths, key=int)},
        by_source=_by_source(ledger),
        shards=sorted(shards, key=_place),
        libraries={name: metadata.version(name) for name in LIBRARIES},
        piece_counts=_revised(manifest.PIECE_COUNTS, plan.revision),
        dead_letters=_revised(manifest.DEAD_LETTERS, plan.revision),
        removed_examples=_revised(manifest.REMOVED, plan.revision),
        revision=plan.revision,
    )
    examples = [letter for counted in removed.values() for letter in counted.examples]
    if before is not None:
        made = _added(before, made)
        frequencies = frequencies + np.load(
            io.BytesIO(storage.read_bytes(storage.join(directory, before.piece_counts)))
        )
        examples += [letter for letter in _letters(storage.join(directory, before.removed_examples))]
    made = replace(made, **reconciliation.totals(ledger, made, unknown=int(frequencies[0])))
    storage.publish(storage.join(directory, made.piece_counts), _npy(frequencies))
    storage.publish(storage.join(directory, made.removed_examples), b"".join(map(json_line, examples)))
    with storage.writing(storage.join(directory, made.dead_letters)) as stream:
        if before is not None:
            stream.write(storage.read_bytes(storage.join(directory, before.dead_letters)))
        for letter in _dead_letters(ledger.new):
            stream.write(json_line(letter))
    if plan.settings.layout == "reference":
        info = reference.corpus_info(plan.settings, vocabulary_size=size)
        storage.publish_json(storage.join(directory, reference.CORPUS_INFO), info)
    _publish(directory, made, plan)
    return made


def _publish(directory: str, made: Manifest, plan: Plan) -> None:
    path = storage.join(directory, manifest.NAME)
    if plan.version is None:
        is_ours = storage.create(path, made.to_bytes())
    else:
        is_ours = storage.replace(path, made.to_bytes(), plan.version)
    if not is_ours:
        raise UserError(f"another run has finished the data set {directory} first; it stands as that run made it")


def _added(before: Manifest, new: Manifest) -> Manifest:
    """A data set and what was added to it as one; the names of files beside the manifest are the new ones."""
    removed = {reason: dict(counts) for reason, counts in before.removed.items()}
    for reason, counts in new.removed.items():
        removed[reason] = _sum(removed.get(reason, {}), counts)
    by_source = [
        {"name": entry["name"], **_sum(*({k: v for k, v in of.items() if k != "name"} for of in (old, entry)))}
        for entry, old in zip(new.by_source, [*before.by_source, *[{}] * len(new.by_source)], strict=False)
    ]
    lengths = _sum(before.document_lengths, new.document_lengths)
    return replace(
        new,
        inputs=[*before.inputs, *new.inputs],
        removed=dict(sorted(removed.items())),
        dead_letter_reasons=dict(sorted(_sum(before.dead_letter_reasons, new.dead_letter_reasons).items())),
        document_lengths={power: lengths[power] for power in sorted(lengths, key=int)},
        by_source=by_source,
        shards=sorted([*before.shards, *new.shards], key=_place),
    )


def _sum(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in [*one, *(n for n in other if n not in one)]}


def _by_source(ledger: Ledger) -> list[dict[str, Any]]:
    entries = []
    for index, source in enumerate(ledger.plan.sources):
        tallies = [tally for tally in ledger.new if tally.source == index]
        entries.append(
            {
                "name": source.name,
                "documents": sum(tally.documents for tally in tallies),
                "characters": sum(tally.characters for tally in tallies),
                "pieces": sum(tally.pieces for tally in tallies),
                "unknown_pieces": sum(tally.unknown for tally in tallies),
            }
        )
    return entries


def _removed(directory: str, ledger: Ledger) -> dict[str, Removed]:
    """What cleaning took away, by reason, with examples."""
    total: dict[str, Removed] = {}
    for tally, first in _with_first_lines(ledger.new):
        for reason, counted in tally.removed.items():
            mine = total.setdefault(reason, Removed())
            for example in counted.examples:
                mine.examples.append(replace(example, line=example.line + first))
            for name, amount in counted.counts().items():
                setattr(mine, name, getattr(mine, name) + amount)
            mine.examples = shown(mine.examples)
    duplicates = [summary for summary in ledger.new_summaries if summary.duplicates]
    if duplicates:
        tokenizer = _tokenizer(storage.join(directory, manifest.VOCABULARY))
        texts = [tokenizer.decode(pieces) for summary in duplicates for pieces in summary.examples]
        total[DUPLICATE] = Removed(
            documents=sum(summary.duplicates for summary in duplicates),
            pieces=sum(summary.duplicate_pieces for summary in duplicates),
            examples=shown(DeadLetter("", 0, DUPLICATE, text) for text in texts),
        )
    return total


def _tokenizer(vocabulary: str) -> "Tokenizer":
    from xlnet.text import Tokenizer  # the rest of `xlnet.corpus` needs no SentencePiece

    return Tokenizer(vocabulary)


def _with_first_lines(tallies: Sequence[Tally]) -> Iterator[tuple[Tally, int]]:
    """Tallies in order, each with the lines of its file before its split."""
    for _, of_file in groupby(tallies, lambda tally: tally.path):
        lines = 0
        for tally in of_file:
            yield tally, lines
            lines += tally.lines


def _dead_letters(tallies: Sequence[Tally]) -> Iterator[DeadLetter]:
    for tally, first in _with_first_lines(tallies):
        for letter in _letters(tally.dead_file) if tally.dead_file else ():
            yield replace(letter, line=letter.line + first)


def _letters(path: str) -> Iterator[DeadLetter]:
    with storage.reading(path) as stream:
        for line in stream:
            yield DeadLetter(**json.loads(line))


def _frequencies(paths: Sequence[str], size: int) -> NDArray[np.int64]:
    total = np.zeros(size, np.int64)
    for path in paths:
        total += np.frombuffer(storage.read_bytes(path), "<i8")
    return total


def _revised(name: str, revision: int) -> str:
    """A name that no earlier revision of the data set has."""
    stem, dot, suffix = name.partition(".")
    return f"{stem}-{revision}{dot}{suffix}" if revision else name


def _place(shard: Shard) -> tuple[int, int]:
    return shard.pass_index, shard.shard


def _npy(array: NDArray[np.int64]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()
