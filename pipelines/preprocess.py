"""The Beam job: text files to a data set. What it computes is in `xlnet.corpus`; here is how it is spread out.

    files -> documents as pieces, by shard -> one stream a shard -> its records, written -> the manifest

A single chain without side outputs, which every runner can execute: what was read is counted under one key more than
there are shards, and meets what was written at the end, where both must agree.
"""

import contextlib
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam
import numpy as np
from apache_beam.metrics import Metrics
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from numpy.typing import NDArray

from pipelines.journal import Advance, Journal
from xlnet import storage, vocab
from xlnet.corpus import accounts, documents, shards, tokenized
from xlnet.corpus.manifest import NAME, VOCABULARY, Manifest
from xlnet.corpus.settings import CorpusSettings
from xlnet.errors import UserError
from xlnet.text import Tokenizer

METRICS = "preprocess"
USER_ERROR = f"{UserError.__module__}.{UserError.__name__}"  # as a traceback has it


def run(
    inputs: Sequence[str],
    output: str,
    *,
    vocabulary: str,
    settings: CorpusSettings,
    options: Sequence[str] = (),
    workers: int = 1,
    progress: Callable[[Advance], None] | None = None,
) -> Manifest:
    """Make a data set of text files: paths or globs, local or gs://, into the folder `output`.

    `options` are Beam's, as on its command line; without `--runner` the job runs in memory here, with several
    `workers` in as many processes. The same text, settings and vocabulary give the same bytes with any of them.
    `progress` hears how far the stages `tokenize` (bytes) and `write` (shards) are.

    Raises UserError for what the user can mend; then nothing is left at `output`.
    """
    files = storage.match(inputs)
    model = storage.read_bytes(vocabulary)
    vocab.check(model)
    if workers < 1:
        raise UserError(f"workers is {workers}, wanted is 1 or more")
    with _filling(output) as directory:
        storage.publish(storage.join(directory, VOCABULARY), model)
        job = Job(directory, tuple(files), settings, Tokenizer(model).is_word_start)
        totals = {"tokenize": sum(file.bytes for file in files), "write": settings.shards}
        with Journal(directory).followed(progress or (lambda advance: None), totals=totals):
            _execute(job, options=options, workers=workers)
    return Manifest.read(output)


@contextlib.contextmanager
def _filling(output: str) -> Iterator[str]:
    """The folder to write into: one aside that becomes `output`, or on Google Cloud Storage `output` itself."""
    if not storage.is_remote(output):
        with storage.publishing(output, marker=NAME) as aside:
            yield str(aside)
        return
    # Workers on other machines write here themselves. What a stopped run has left is no data set, and is overwritten.
    leftover = storage.exists(storage.join(output, "shards")) and not storage.exists(storage.join(output, NAME))
    if not leftover:
        storage.refuse_occupied(output)
    yield output


@dataclass(frozen=True, eq=False)
class Job:
    """What every step of one run knows."""

    directory: str
    files: tuple[storage.File, ...]
    settings: CorpusSettings
    is_word_start: NDArray[np.bool_]  # [vocabulary size]

    @property
    def vocabulary(self) -> str:
        """The vocabulary's copy in the data set, which every worker can reach."""
        return storage.join(self.directory, VOCABULARY)

    @property
    def refusal(self) -> str:
        """Where a worker here says what the user can mend: Beam would make many lines of an error."""
        return storage.join(self.directory, ".refusal")

    @property
    def is_refused(self) -> bool:
        """Whether one has; then the others need not go on."""
        return not storage.is_remote(self.directory) and storage.exists(self.refusal)

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """Writes a UserError down and ends the block; where workers are on other machines, the error goes its way."""
        try:
            yield
        except UserError as error:
            if storage.is_remote(self.directory):
                raise
            if not self.is_refused:
                storage.publish(self.refusal, str(error).encode())


def _execute(job: Job, *, options: Sequence[str], workers: int) -> None:
    flags = list(options)
    runner = None
    if not any(flag.startswith("--runner") for flag in flags):
        runner = FnApiRunner()  # by name: DirectRunner would try to download another runner first
        if workers > 1:
            # Never multi_threading, which has lost elements without a word.
            flags += ["--direct_running_mode=multi_processing", f"--direct_num_workers={workers}"]
            # Each worker warns that it has no folder for registered types, of which there are none.
            logging.getLogger("apache_beam.runners.portability.local_job_service").setLevel(logging.ERROR)
    try:
        with beam.Pipeline(runner=runner, options=PipelineOptions(flags)) as pipeline:
            build(pipeline, job)
    except Exception as error:
        # Of an error on another machine only the traceback arrives, as text; of one here, its message without a name.
        text = f"{USER_ERROR}: {error}" if isinstance(error, UserError) else str(error)
        found = re.search(rf"{re.escape(USER_ERROR)}: (.+?)(?: \[while running .*)?$", text, re.MULTILINE)
        if found is None:
            raise
        raise UserError(found[1]) from None
    if job.is_refused:
        raise UserError(storage.read_bytes(job.refusal).decode())


def build(pipeline: beam.Pipeline, job: Job) -> None:
    """Put the steps of the job into a pipeline."""
    (
        pipeline
        | "Files" >> beam.Create(job.files, reshuffle=True)
        | "Tokenize" >> beam.ParDo(Tokenize(job)).with_output_types(tuple[int, bytes])
        | "By shard" >> beam.GroupByKey()
        | "Write shards"
        >> beam.ParDo(WriteShard(job)).with_output_types(tuple[int, accounts.Tally | shards.ShardSummary])
        | "All" >> beam.GroupByKey()
        | "Write manifest" >> beam.ParDo(WriteManifest(job))
    )


class Tokenize(beam.DoFn):
    """A file to (shard, documents as pieces) in blocks, and one (number of shards, what was read)."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def setup(self) -> None:
        """Load the vocabulary, once a worker."""
        settings = self.job.settings
        self.tokenizer = Tokenizer(self.job.vocabulary, lower=settings.lower, keep_accents=settings.keep_accents)

    def process(self, file: storage.File) -> Iterator[tuple[int, bytes]]:
        """See the class."""
        if not self.job.is_refused:
            with self.job.refusing():
                yield from self._tokenize(file)

    def _tokenize(self, file: storage.File) -> Iterator[tuple[int, bytes]]:
        settings, journal = self.job.settings, Journal(self.job.directory)
        journal.note("tokenize", 0)
        dead: list[documents.DeadLetter] = []
        count = characters = pieces = told = 0
        blocks = tokenized.tokenize(documents.read(file.path), self.tokenizer.encode_lines, seed=settings.seed)
        for block, rejected, size in blocks:
            dead += rejected
            count, characters, pieces = count + block.sizes.size, characters + size, pieces + block.pieces.size
            journal.note("tokenize", min(size, file.bytes - told))
            told += min(size, file.bytes - told)
            for shard, part in tokenized.by_shard(block, shards=settings.shards):
                yield shard, part.to_bytes()
        journal.note("tokenize", file.bytes - told)
        _count(documents=count, pieces=pieces, dead_letters=len(dead))
        yield settings.shards, accounts.Tally(file.path, count, characters, pieces, dead).to_bytes()


class WriteShard(beam.DoFn):
    """(shard, documents) to the shard's files; what was read goes through."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def process(
        self, element: tuple[int, Iterable[bytes]]
    ) -> Iterator[tuple[int, accounts.Tally | shards.ShardSummary]]:
        """See the class."""
        shard, parts = element
        if shard == self.job.settings.shards:
            yield from ((0, accounts.Tally.from_bytes(part)) for part in parts)
        elif not self.job.is_refused:
            with self.job.refusing():
                yield 0, self._write(shard, parts)

    def _write(self, shard: int, parts: Iterable[bytes]) -> shards.ShardSummary:
        summary = shards.write_shard(
            self.job.directory,
            shard,
            (tokenized.TokenizedDocuments.from_bytes(part) for part in parts),
            settings=self.job.settings,
            is_word_start=self.job.is_word_start,
        )
        Journal(self.job.directory).note("write", 1)
        _count(shards=1)
        return summary


class WriteManifest(beam.DoFn):
    """Everything that was counted to the manifest, if it agrees."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def process(self, element: tuple[int, Iterable[accounts.Tally | shards.ShardSummary]]) -> None:
        """See the class."""
        if self.job.is_refused:
            return
        counted = list(element[1])
        with self.job.refusing():
            accounts.close(
                self.job.directory,
                tallies=[item for item in counted if isinstance(item, accounts.Tally)],
                summaries=[item for item in counted if isinstance(item, shards.ShardSummary)],
                inputs=self.job.files,
                settings=self.job.settings,
                vocabulary_size=self.job.is_word_start.size,
            )


def _count(**amounts: int) -> None:
    for name, amount in amounts.items():
        Metrics.counter(METRICS, name).inc(amount)
