"""A sample of a corpus' sentences: the same one however the files are cut, and whoever reads them.

Every sentence has a priority: a hash of the seed, the text of its document and its place in it, as `xlnet.reservoir`
makes it with the weight of its source. The sample is the sentences of least priority.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from xlnet import storage
from xlnet.census import Census
from xlnet.corpus import documents
from xlnet.corpus.tokenized import document_key
from xlnet.reservoir import Reservoir, Sentences, exponential, sentence_hashes
from xlnet.text import normalize_lines

LONGEST_SENTENCE = 4192  # bytes; SentencePiece leaves out longer ones
CUT = LONGEST_SENTENCE // 4  # characters, of 4 bytes at most
BLOCK = 1 << 20  # characters that are looked at together


@dataclass(frozen=True)
class Plan:
    """What is sampled, and how text is normalised before."""

    size: int  # sentences, at most
    seed: int
    weights: tuple[float, ...]  # of each source
    lower: bool = False
    keep_accents: bool = False


def draw(
    files: Sequence[tuple[int, storage.File]], plan: Plan, *, progress: Callable[[int], None] | None = None
) -> tuple[Sentences, list[Census]]:
    """The sample of files, each with its source's index, and the census of each source, in this process.

    `progress` is called with the number of sentences read.
    """
    reservoir, found = Reservoir(plan.size), [Census() for _ in plan.weights]
    for source, file in files:
        for block in blocks(documents.read(file.path), plan, source=source, census=found[source]):
            reservoir.add(block)
            if progress is not None:
                progress(sum(census.sentences for census in found))
    return reservoir.sample(), found


def blocks(
    read: Iterator[documents.Document | documents.DeadLetter],
    plan: Plan,
    *,
    source: int,
    census: Census,
    limit: float = np.inf,
) -> Iterator[Sentences]:
    """The sentences of what was read, those of a priority up to `limit`, in blocks; all are counted."""
    group: list[documents.Document] = []
    characters = 0
    for item in read:
        if isinstance(item, documents.DeadLetter):
            census.reject(item.reason)
            continue
        group.append(item)
        characters += sum(map(len, item.lines))
        if characters >= BLOCK:
            yield _block(group, plan, source=source, census=census, limit=limit)
            group, characters = [], 0
    if group:
        yield _block(group, plan, source=source, census=census, limit=limit)


def _block(group: Sequence[documents.Document], plan: Plan, *, source: int, census: Census, limit: float) -> Sentences:
    lines = list(chain.from_iterable(document.lines for document in group))
    normalized = iter(normalize_lines(lines, lower=plan.lower, keep_accents=plan.keep_accents))
    found: list[str] = []
    counts = []
    for document in group:
        before = len(found)
        for _ in document.lines:
            found += fitting(next(normalized), census)
        counts.append(len(found) - before)
    census.documents += len(group)
    census.sentences += len(found)
    census.count_text(found)
    keys = b"".join(document_key(document.lines, seed=plan.seed) for document in group)
    hashes = sentence_hashes(np.frombuffer(keys, "<u8").reshape(-1, 2), np.array(counts, np.int64))
    priorities = exponential(hashes) / plan.weights[source]
    chosen = np.flatnonzero(priorities <= limit)
    encoded = [found[index].encode() for index in chosen.tolist()]
    sizes = np.fromiter(map(len, encoded), np.int32, len(encoded))
    sources = np.full(chosen.size, source, np.int32)
    return Sentences(priorities[chosen], hashes[chosen], sources, sizes, b"".join(encoded))


def fitting(line: str, census: Census) -> list[str]:
    """The parts of a normalised line that can be learned from; those that cannot are counted."""
    if len(line) <= CUT:
        return [line] if line else []
    parts = [part for part in cut(line) if part]
    short = [part for part in parts if len(part) <= CUT or len(part.encode()) <= LONGEST_SENTENCE]
    census.left_out += len(parts) - len(short)
    return short


def cut(line: str) -> list[str]:
    """A long line in parts of at most `CUT` characters, cut at spaces; only a longer word makes a longer part.

    Nothing is lost by it: pieces never reach across a space.
    """
    parts, start = [], 0
    while len(line) - start > CUT:
        end = line.rfind(" ", start + 1, start + CUT + 1)
        if end < 0:
            end = line.find(" ", start + CUT)
        if end < 0:
            break
        parts.append(line[start:end])
        start = end + 1
    return [*parts, line[start:]]


def limit_for(plan: Plan, sentences: Sequence[float], *, margin: float = 1.0) -> float:
    """A limit of priorities that will let the sample through, of so many sentences in each source."""
    wanted = margin * plan.size + 6 * math.sqrt(plan.size) + 10  # six standard deviations
    if sum(sentences) <= wanted:
        return math.inf
    low, high = 0.0, 1.0
    while _below(high, plan, sentences) < wanted:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _below(middle, plan, sentences) < wanted else (low, middle)
    return high


def _below(limit: float, plan: Plan, sentences: Sequence[float]) -> float:
    """How many sentences are expected to have a priority below a limit."""
    return -sum(count * math.expm1(-weight * limit) for count, weight in zip(sentences, plan.weights, strict=True))
