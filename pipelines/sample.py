"""The Beam job that draws a vocabulary's sentences from a corpus of any size, and counts what the corpus holds.

    splits of files -> sentences of a priority below a limit, and a census -> the sample; the census of each source

What it computes is in `xlnet.sampling`. The limit lets through little more than the sample needs: it is estimated from
some megabytes of each source, and where it was too strict the job is repeated with one that follows from the census.
The sample is the same for any limit.
"""

import contextlib
import hashlib
import math
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import apache_beam as beam

from pipelines import dataflow
from pipelines import options as beam_options
from pipelines.journal import Advance, Journal
from pipelines.probe import probes
from pipelines.running import Refusal, execute
from pipelines.spill import Spill
from pipelines.splits import MOST_SPLITS, SPLIT
from xlnet import sampling, storage
from xlnet.census import Census
from xlnet.corpus import documents
from xlnet.corpus.documents import Split
from xlnet.errors import UserError
from xlnet.reservoir import Reservoir, Sentences
from xlnet.sampling import Plan

PROBED = 1 << 20  # bytes of each source that the first limit is estimated from
MARGIN = 1.5  # of the first limit, as an estimate may be wrong
STAGE = "sample"

Files = Sequence[tuple[int, storage.File]]  # each with its source's index


@dataclass(frozen=True, eq=False)
class Job:
    """What every step of one run knows. Can be pickled."""

    folder: str
    plan: Plan
    limit: float
    refusal: Refusal
    spill: Spill

    @property
    def sample(self) -> str:
        """Where the sample is written."""
        return storage.join(self.folder, "sample")

    def census(self, source: int) -> str:
        """Where the census of a source is written."""
        return storage.join(self.folder, f"census-{source}.json")

    def results(self) -> tuple[Sentences, list[Census]]:
        """What was written; no sentence, no sample."""
        found = storage.read_bytes(self.sample) if storage.exists(self.sample) else bytes(8)
        counted = [storage.read_bytes(self.census(source)) for source in range(len(self.plan.weights))]
        return Sentences.from_bytes(found), [Census.from_bytes(each) for each in counted]


def draw(
    files: Files,
    plan: Plan,
    *,
    beside: str,
    options: Sequence[str] = (),
    workers: int = 1,
    progress: Callable[[Advance], None] | None = None,
    limit: float | None = None,
) -> tuple[Sentences, list[Census]]:
    """The sample of files, and the census of each source: what `sampling.draw` gives, to the byte.

    `options` are Beam's; without `--runner` the job runs in memory here, with several `workers` in as many processes.
    A folder beside the path `beside`, which all workers must reach, holds what they find while the job runs. `limit`
    is that of the first attempt. `progress` hears how far the stage `sample` (bytes) is, where workers are here.
    """
    if not dataflow.is_wanted(options):
        beam_options.read(options)
    limit = first_limit(files, plan) if limit is None else limit
    heard = progress or (lambda advance: None)
    for attempt in range(3):
        with _job(files, plan, limit, beside=beside, options=options) as job:
            totals = {STAGE: sum(file.bytes for _, file in files)}
            with Journal(job.spill.folder).followed(heard, totals=totals):
                _execute(job, files, options=options, workers=workers)
            found, counted = job.results()
        sentences = [census.sentences for census in counted]
        if len(found) == min(plan.size, sum(sentences)):
            return found, counted
        limit = sampling.limit_for(plan, sentences) if attempt == 0 else math.inf
    raise RuntimeError(f"{sum(sentences)} sentences were read, and {len(found)} are left of the {plan.size} to draw")


def first_limit(files: Files, plan: Plan) -> float:
    """A limit from a look at some of each source."""
    expected = []
    for source in range(len(plan.weights)):
        own = sorted(file for owner, file in files if owner == source)
        census, covered = Census(), 0.0
        with probes(own, size=PROBED) as found:
            for probe in found:
                for _ in sampling.blocks(documents.read(probe.split), plan, source=source, census=census, limit=-1):
                    pass
                covered += probe.covers
        expected.append(census.sentences / max(1.0, covered) * sum(file.bytes for file in own))
    return sampling.limit_for(plan, expected, margin=MARGIN)


@contextlib.contextmanager
def _job(files: Files, plan: Plan, limit: float, *, beside: str, options: Sequence[str]) -> Iterator[Job]:
    """A job with a folder to work in, which is removed when the block ends."""
    # Where a service runs the job, who asks again for the same finds it, and its folder.
    named = f"{sorted(files)} {plan} {limit}" if storage.is_remote(beside) else uuid.uuid4().hex
    folder = f"{beside}.{hashlib.sha256(named.encode()).hexdigest()[:12]}.part"
    storage.make_folder(folder)
    local = _local(folder) if beam_options.is_here(options) else None
    try:
        yield Job(folder, plan, limit, Refusal(None if local is None else storage.join(local, "refusal")), Spill(local))
    finally:
        if local is not None:
            shutil.rmtree(local, ignore_errors=True)
        storage.remove_folder(folder)


def _local(folder: str) -> str:
    return tempfile.mkdtemp(prefix="xlnet-sample-") if storage.is_remote(folder) else folder


def _execute(job: Job, files: Files, *, options: Sequence[str], workers: int) -> None:
    make = partial(build, job=job, files=files)
    if not dataflow.is_wanted(options):
        execute(make, options=options, workers=workers, refusal=job.refusal)
        return
    pipeline = beam.Pipeline(options=dataflow.options(options, paths=[job.folder, *(file.path for _, file in files)]))
    make(pipeline)
    if not dataflow.execute(pipeline, identity=job.folder):
        raise UserError("the job was described, not run: there are no sentences to learn from; let it run first")


def build(pipeline: beam.Pipeline, *, job: Job, files: Files) -> None:
    """Put the steps of the job into a pipeline."""
    size = max(SPLIT, sum(file.bytes for _, file in files) // MOST_SPLITS)
    tasks = [(source, split) for source, file in files for split in documents.splits(file, size=size)]
    (
        pipeline
        | "Splits" >> beam.Create(tasks, reshuffle=True).with_output_types(tuple[int, Split])
        | "Sample" >> beam.ParDo(Sample(job)).with_output_types(tuple[int, bytes])
        | "Together" >> beam.GroupByKey()
        | "Write" >> beam.ParDo(Write(job))
    )


class Sample(beam.DoFn):
    """A split to (0, sentences) in blocks, and one (1 + its source, its census)."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def process(self, element: tuple[int, Split]) -> Iterator[tuple[int, bytes]]:
        """See the class."""
        if not self.job.refusal.is_made:
            with self.job.refusal.catching(self.job.folder):
                yield from self._sample(*element)

    def _sample(self, source: int, split: Split) -> Iterator[tuple[int, bytes]]:
        job, census, told = self.job, Census(), 0
        with Journal(job.spill.folder).counting(STAGE, split.bytes) as journal:
            read = documents.read(split)
            for block in sampling.blocks(read, job.plan, source=source, census=census, limit=job.limit):
                journal.advance(census.text_bytes - told)
                told = census.text_bytes
                if len(block):
                    yield 0, job.spill.put(block.to_bytes())
        yield 1 + source, census.to_bytes()


class Write(beam.DoFn):
    """All sentences to the sample; all censuses of a source to one."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def process(self, element: tuple[int, Iterable[bytes]]) -> None:
        """See the class."""
        key, parts = element
        if not self.job.refusal.is_made:
            with self.job.refusal.catching(self.job.folder):
                self._write_sample(parts) if key == 0 else self._write_census(key - 1, parts)

    def _write_sample(self, parts: Iterable[bytes]) -> None:
        reservoir = Reservoir(self.job.plan.size)
        for part in parts:
            reservoir.add(Sentences.from_bytes(self.job.spill.get(part)))
        sample = reservoir.sample()
        with storage.writing(self.job.sample) as stream:
            for content in sample.to_parts():
                stream.write(content)

    def _write_census(self, source: int, parts: Iterable[bytes]) -> None:
        total = Census()
        for part in parts:
            total.add(Census.from_bytes(part))
        storage.publish(self.job.census(source), total.to_bytes())
