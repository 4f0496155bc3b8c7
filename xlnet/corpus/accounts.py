"""What came in and what went out: counted on both sides, compared, and written down as the manifest."""

import io
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from importlib import metadata
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xlnet import storage
from xlnet.corpus import manifest, piece_counts, reconciliation, reference
from xlnet.corpus.documents import DeadLetter
from xlnet.corpus.manifest import Manifest, Shard
from xlnet.corpus.reconciliation import DUPLICATE, Ledger
from xlnet.corpus.tally import Removed, Tally, json_line, shown
from xlnet.errors import UserError
from xlnet.file_names import VOCABULARY

if TYPE_CHECKING:
    from xlnet.text import Tokenizer

LIBRARIES = ("apache-beam", "numpy", "sentencepiece", "xlnet-pipelines")
FETCHED = 8  # files at once; Google's client keeps no more connections than 10


def close(directory: str, ledger: Ledger) -> Manifest:
    """Compare what came in with what went out, and write all that makes the folder a data set, the manifest last.

    Raises UserError when documents or pieces are missing, when there are too few for a single record, or when another
    run has finished this data set first.
    """
    reconciliation.require_complete(ledger)
    plan, before = ledger.plan, ledger.plan.before
    removed = _removed(directory, ledger)
    frequencies = _frequencies(ledger.counts, ledger.vocabulary_size)
    made = _manifest(ledger, removed)
    examples = [letter for counted in removed.values() for letter in counted.examples]
    if before is not None:
        made = _added(before, made)
        frequencies = frequencies + piece_counts.read(before)
        examples += _letters(storage.read_bytes(storage.join(directory, before.removed_examples)))
    made = replace(made, **reconciliation.totals(ledger, made, unknown=int(frequencies[0])))
    storage.publish(storage.join(directory, made.piece_counts), _npy(frequencies))
    storage.publish(storage.join(directory, made.removed_examples), b"".join(map(json_line, examples)))
    _publish_dead_letters(directory, made, ledger)
    if plan.settings.layout == "reference":
        info = reference.corpus_info(plan.settings, vocabulary_size=ledger.vocabulary_size)
        storage.publish_json(storage.join(directory, reference.CORPUS_INFO), info)
    _publish(directory, made, ledger)
    return made


def _manifest(ledger: Ledger, removed: Mapping[str, Removed]) -> Manifest:
    """The manifest of what is new, without its totals."""
    plan = ledger.plan
    dead: Counter[str] = Counter()
    for tally in ledger.new:
        dead.update(tally.dead)
    lengths: Counter[str] = Counter()
    for summary in ledger.new_summaries:
        lengths.update({str(power): amount for power, amount in summary.lengths.items()})
    return Manifest(
        settings=plan.settings,
        cleaning=plan.cleaning,
        vocabulary={"file": VOCABULARY, "sha256": plan.vocabulary, "size": ledger.vocabulary_size},
        sources=[{**asdict(source), "patterns": list(source.patterns)} for source in plan.sources],
        inputs=[asdict(file) for file in plan.inputs if file.part == plan.new_part],
        counts={},
        dropped={},
        removed={reason: counted.counts() for reason, counted in sorted(removed.items())},
        dead_letter_reasons=dict(sorted(dead.items())),
        document_lengths={power: lengths[power] for power in sorted(lengths, key=int)},
        by_source=_by_source(ledger),
        shards=sorted((file for summary in ledger.summaries for file in summary.files), key=_place),
        libraries={name: metadata.version(name) for name in LIBRARIES},
        piece_counts=_revised(manifest.PIECE_COUNTS, plan.revision),
        dead_letters=_revised(manifest.DEAD_LETTERS, plan.revision),
        removed_examples=_revised(manifest.REMOVED, plan.revision),
        revision=plan.revision,
    )


def _publish_dead_letters(directory: str, made: Manifest, ledger: Ledger) -> None:
    with storage.writing(storage.join(directory, made.dead_letters)) as stream:
        if ledger.plan.before is not None:
            with storage.reading(storage.join(directory, ledger.plan.before.dead_letters)) as old:
                shutil.copyfileobj(old, stream)
        for letter in _dead_letters(ledger.new):
            stream.write(json_line(letter))


def _publish(directory: str, made: Manifest, ledger: Ledger) -> None:
    """Write the manifest. A runner may repeat this when its success was lost on the way: then what is there is ours."""
    path, content, version = storage.join(directory, manifest.NAME), made.to_bytes(), ledger.plan.version
    is_again = storage.exists(ledger.closing)
    storage.publish(ledger.closing, b"")
    is_ours = storage.create(path, content) if version is None else storage.replace(path, content, version)
    if not is_ours and not (is_again and storage.read_bytes(path) == content):
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
        tokenizer = _tokenizer(storage.join(directory, VOCABULARY))
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
    found = [(tally, first) for tally, first in _with_first_lines(tallies) if tally.dead_file]
    contents = _contents([tally.dead_file for tally, _ in found])
    for (_, first), content in zip(found, contents, strict=True):
        for letter in _letters(content):
            yield replace(letter, line=letter.line + first)


def _letters(content: bytes) -> Iterator[DeadLetter]:
    for line in content.splitlines():
        yield DeadLetter(**json.loads(line))


def _frequencies(paths: Sequence[str], size: int) -> NDArray[np.int64]:
    total = np.zeros(size, np.int64)
    for content in _contents(paths):
        total += np.frombuffer(content, "<i8")
    return total


def _contents(paths: Sequence[str]) -> Iterator[bytes]:
    """The contents of files in order, some fetched at once: there is one a shard, and a request takes its time."""
    with ThreadPoolExecutor(FETCHED) as pool:
        for start in range(0, len(paths), FETCHED):
            yield from pool.map(storage.read_bytes, paths[start : start + FETCHED])


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
