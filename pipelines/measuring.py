"""Some megabytes of an input, taken through the job's own functions on one core, with a clock beside."""

import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from pipelines.probe import probes
from pipelines.splits import SPLIT
from xlnet import storage
from xlnet.corpus import documents, intake, shards, tokenized
from xlnet.corpus.cleaning import CleaningSettings
from xlnet.corpus.documents import DeadLetter, Document
from xlnet.corpus.settings import CorpusSettings
from xlnet.corpus.tally import Tally
from xlnet.corpus.tokenized import Block, TokenizedDocuments
from xlnet.text import Tokenizer


@dataclass(frozen=True, eq=False)
class Recipe:
    """What is done to text."""

    tokenizer: Tokenizer
    settings: CorpusSettings
    cleaning: CleaningSettings


@dataclass(frozen=True, eq=False)
class Sampled:
    """What was found in some of a source; seconds are those of one core."""

    factor: float  # bytes of the source for each that was looked at
    weight: float
    longest: float  # bytes of the largest part that one worker must read alone, for each that was looked at
    tally: Tally
    dead_letters: int
    cut: int  # documents that only seem to be some, as they began before what was looked at
    seconds: float  # to read and tokenise
    shuffled: int  # bytes
    blocks: list[TokenizedDocuments]


@dataclass(frozen=True)
class Written:
    """What became of all sampled pieces, as records of one pass."""

    pieces: int
    records: int
    bytes: int
    seconds: float


def sample(files: Sequence[storage.File], recipe: Recipe, *, source: int, weight: float, size: int) -> Sampled:
    """About `size` bytes of one source's files, read and tokenised as the job does it."""
    tally, dead, shuffled = Tally("", 0, 0, source), 0, 0
    blocks = []
    with probes(sorted(files), size=size) as chosen:
        started = time.process_time()
        for probe in chosen:
            read = intake.documents_of(probe.split, tally, settings=recipe.settings, clean=recipe.cleaning)
            for block in _tokenized(read, recipe, source):
                tally.add(block)
                dead += len(block.dead_letters)
                blocks.append(block.tokenized)
                shuffled += _transported(block.tokenized, recipe.settings.shards)
        seconds = time.process_time() - started
    covered = max(1.0, sum(probe.covers for probe in chosen))
    longest = max(split.bytes for file in files for split in documents.splits(file, size=SPLIT))
    cut = sum(probe.is_cut for probe in chosen)
    factor = sum(file.bytes for file in files) / covered
    return Sampled(factor, weight, longest / covered, tally, dead, cut, seconds, shuffled, blocks)


def _tokenized(read: Iterable[Document | DeadLetter], recipe: Recipe, source: int) -> Iterator[Block]:
    return tokenized.tokenize(
        read,
        recipe.tokenizer.encode_lines,
        seed=recipe.settings.seed,
        source=source,
        vocabulary_size=recipe.tokenizer.size,
    )


def _transported(block: TokenizedDocuments, count: int) -> int:
    return sum(len(part.to_bytes()) for _, part in tokenized.by_shard(block, shards=count))


def write(blocks: Sequence[TokenizedDocuments], recipe: Recipe) -> Written:
    """Sampled documents written as one shard, which is thrown away."""
    if not blocks:
        return Written(0, 0, 0, 0.0)
    settings = replace(recipe.settings, shards=1, passes=1)
    weights = (1.0,) * (1 + max(int(block.sources.max(initial=0)) for block in blocks))
    tokenizer = recipe.tokenizer
    made = shards.Recipe(
        settings, tokenizer.is_word_start, tokenizer.sha256, weights, unique=recipe.cleaning.drop_duplicate_documents
    )
    with tempfile.TemporaryDirectory(prefix="xlnet-estimate-") as folder:
        started = time.process_time()
        summary = shards.write_shard(folder, 0, blocks, recipe=made, passes=range(1))
        seconds = time.process_time() - started
    (file,) = summary.files
    return Written(file.pieces, file.records, file.bytes, seconds)
