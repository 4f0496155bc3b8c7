"""The steps of the preprocessing job, each a few lines around what `xlnet.corpus` computes."""

from collections.abc import Iterable, Iterator

import apache_beam as beam
from apache_beam.metrics import Metrics

from pipelines import survey
from pipelines.job import Job
from pipelines.journal import Journal
from xlnet import storage
from xlnet.corpus import accounts, intake, reconciliation, shards, tokenized
from xlnet.corpus.plan import Plan
from xlnet.corpus.tally import DeadLetterFile, Tally
from xlnet.text import Tokenizer

NAMESPACE = "preprocess"  # of the job's metrics
Counted = Tally | shards.ShardSummary


class Tokenize(beam.DoFn):
    """A task, and what is to be left out of it, to (shard, documents as pieces), and one (shards in all, its tally)."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def setup(self) -> None:
        """Load the vocabulary, once a worker."""
        settings = self.job.settings
        self.tokenizer = Tokenizer(self.job.vocabulary, lower=settings.lower, keep_accents=settings.keep_accents)

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        """See the class."""
        if not self.job.refusal.is_made:
            with self.job.refusal.catching(self.job.directory):
                yield from self._tokenize(*element)

    def _tokenize(self, number: int, told: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
        job = self.job
        task, repeats = survey.told(told, job)
        tally = Tally(task.split.path, task.split.start, task.part, task.source)
        read = intake.documents_of(task.split, tally, settings=job.settings, clean=job.cleaning)
        blocks = tokenized.tokenize(
            intake.without_repeats(read, repeats, tally),
            self.tokenizer.encode_lines,
            seed=job.settings.seed,
            source=task.source,
            vocabulary_size=self.tokenizer.size,
        )
        first = task.part * job.settings.shards
        with (
            Journal(job.places.spill).counting("tokenize", task.split.bytes) as journal,
            DeadLetterFile(storage.join(job.places.work, f"dead-{number}.jsonl"), tally) as dead,
        ):
            for block in blocks:
                dead.write(block.dead_letters)
                tally.add(block)
                size = block.tokenized.sizes.size
                journal.advance(block.characters, documents=size, pieces=block.tokenized.pieces.size)
                _count(documents=size, pieces=block.tokenized.pieces.size, dead_letters=len(block.dead_letters))
                for shard, part in tokenized.by_shard(block.tokenized, shards=job.settings.shards):
                    yield first + shard, job.spill.put(part.to_bytes())
        yield job.tallies, tally.to_bytes()


class WriteShard(beam.DoFn):
    """(shard, documents) to the shard's files; tallies go through."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, Counted]]:
        """See the class."""
        shard, parts = element
        if shard == self.job.tallies:
            yield from ((0, Tally.from_bytes(part)) for part in parts)
        elif not self.job.refusal.is_made:
            with self.job.refusal.catching(self.job.directory):
                yield 0, self._write(shard, parts)

    def _write(self, shard: int, parts: Iterable[bytes]) -> shards.ShardSummary:
        job = self.job
        part, index = divmod(shard, job.settings.shards)
        summary = shards.write_shard(
            job.directory,
            index,
            (tokenized.TokenizedDocuments.from_bytes(job.spill.get(block)) for block in parts),
            recipe=job.recipe,
            passes=range(job.first_pass[part], job.settings.passes),
            part=part,
            counts=job.counts(shard),
        )
        Journal(job.places.spill).note("write", 1)
        _count(shards=1, records=sum(file.records for file in summary.files))
        return summary


class WriteManifest(beam.DoFn):
    """Everything that was counted to the manifest, if it agrees."""

    def __init__(self, job: Job, plan: Plan, *, splits: int) -> None:
        self.job, self.plan, self.splits = job, plan, splits

    def process(self, element: tuple[int, Iterable[Counted]]) -> None:
        """See the class."""
        if self.job.refusal.is_made:
            return
        counted = list(element[1])
        summaries = [item for item in counted if isinstance(item, shards.ShardSummary)]
        new = self.plan.new_part
        ledger = reconciliation.Ledger(
            plan=self.plan,
            tallies=[item for item in counted if isinstance(item, Tally)],
            summaries=summaries,
            splits=self.splits,
            vocabulary_size=self.job.recipe.is_word_start.size,
            counts=[self.job.counts(summary.number) for summary in summaries if summary.part == new],
            closing=storage.join(self.job.places.work, "closing"),
        )
        with self.job.refusal.catching(self.job.directory):
            accounts.close(self.job.directory, ledger)


def _count(**amounts: int) -> None:
    for name, amount in amounts.items():
        Metrics.counter(NAMESPACE, name).inc(amount)
