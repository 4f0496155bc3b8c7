"""The Beam job: text files to a data set. What it computes is in `xlnet.corpus`; here is how it is spread out.

    splits of files -> documents as pieces, by shard -> one stream a shard -> its records, written -> the manifest

A single chain without side outputs, which every runner can execute: what was read is counted under one key more than
there are shards, and meets what was written at the end, where both must agree. Where documents are to be compared with
each other, `pipelines.survey` puts two more steps in front.
"""

import contextlib
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from pipelines import output as outputs
from pipelines import steps
from pipelines.job import Job, Task
from pipelines.journal import Advance, Journal
from xlnet import storage, vocab
from xlnet.corpus import documents, plan, sources
from xlnet.corpus.cleaning import CleaningSettings
from xlnet.corpus.manifest import VOCABULARY, Manifest
from xlnet.corpus.plan import Plan
from xlnet.corpus.settings import CorpusSettings
from xlnet.errors import UserError
from xlnet.text import Tokenizer

USER_ERROR = f"{UserError.__module__}.{UserError.__name__}"  # as a traceback has it
SPLIT = 16 << 20  # bytes of text that one element of the job reads
SMALLEST = 1 << 20
MOST_SPLITS = 10_000  # more make the job's description too long for Dataflow


def run(
    inputs: Sequence[str],
    output: str,
    *,
    vocabulary: str,
    settings: CorpusSettings,
    cleaning: CleaningSettings = CleaningSettings(),  # noqa: B008
    options: Sequence[str] = (),
    workers: int = 1,
    add: bool = False,
    progress: Callable[[Advance], None] | None = None,
) -> Manifest:
    """Make the folder `output` a data set of text files: paths or globs, local or gs://, also `name=glob:weight`.

    `options` are Beam's, as on its command line; without `--runner` the job runs in memory here, with several
    `workers` in as many processes. The same text, settings and vocabulary give the same bytes with any of them.
    A data set that is there already is left as it is; with `add` it gets the files and passes that it lacks. A run
    that was stopped goes on with the shards that it has finished. `progress` hears how far the job is.

    Raises UserError for what the user can mend.
    """
    model = storage.read_bytes(vocabulary)
    vocab.check(model)
    if workers < 1:
        raise UserError(f"workers is {workers}, wanted is 1 or more")
    tokenizer = Tokenizer(model)
    with outputs.held(output):
        todo = plan.make(
            output,
            sources.parse(inputs),
            settings=settings,
            cleaning=asdict(cleaning),
            vocabulary=tokenizer.sha256,
            add=add,
        )
        if not todo.inputs and todo.before is not None:
            return todo.before
        is_here = not any(flag.startswith("--runner") for flag in options)
        with outputs.filled(output, todo, is_here=is_here) as places:
            storage.publish(storage.join(output, VOCABULARY), model)
            job = Job.of(output, places, todo, cleaning, tokenizer)
            tasks = _tasks(todo, workers=workers)
            with Journal(places.spill).followed(progress or (lambda advance: None), totals=_totals(job, tasks)):
                _execute(job, todo, tasks, options=options, workers=workers)
    return Manifest.read(output)


def _tasks(todo: Plan, *, workers: int) -> list[Task]:
    """What the job reads, in pieces that keep all workers busy; how the text is cut changes no byte of the output."""
    total = sum(file.bytes for file in todo.inputs)
    size = max(SMALLEST, min(SPLIT, total // (8 * workers)), total // MOST_SPLITS)
    return [
        Task(split, file.source, file.part)
        for file in todo.inputs
        for split in documents.splits(storage.File(file.path, file.bytes), size=size)
    ]


def _totals(job: Job, tasks: Sequence[Task]) -> dict[str, int]:
    """How much each stage has to do: bytes to read, shards to write."""
    size = sum(task.split.bytes for task in tasks)
    surveyed = {"compare": size} if job.cleaning.compares else {}
    return surveyed | {"tokenize": size, "write": job.settings.shards * len(job.first_pass)}


def _execute(job: Job, todo: Plan, tasks: Sequence[Task], *, options: Sequence[str], workers: int) -> None:
    flags = list(options)
    runner = None
    if not any(flag.startswith("--runner") for flag in flags):
        runner = FnApiRunner()  # by name: DirectRunner would try to download another runner first
        if workers > 1:
            # Never multi_threading, which has lost elements without a word.
            flags += ["--direct_running_mode=multi_processing", f"--direct_num_workers={workers}"]
            # Each worker warns that it has no folder for registered types, of which there are none.
            logging.getLogger("apache_beam.runners.portability.local_job_service").setLevel(logging.ERROR)
    with _explained(job), beam.Pipeline(runner=runner, options=PipelineOptions(flags)) as pipeline:
        build(pipeline, job, todo, tasks)
    if job.is_refused:
        raise UserError(storage.read_bytes(job.refusal).decode())


@contextlib.contextmanager
def _explained(job: Job) -> Iterator[None]:
    """Finds what the user can mend in the errors of a runner."""
    try:
        yield
    except Exception as error:
        if job.is_refused:
            return
        # Of an error on another machine only the traceback arrives, as text; of one here, its message without a name.
        text = f"{USER_ERROR}: {error}" if isinstance(error, UserError) else str(error)
        found = re.search(rf"{re.escape(USER_ERROR)}: (.+?)(?: \[while running .*)?$", text, re.MULTILINE)
        if found is None:
            raise
        raise UserError(found[1]) from None


def build(pipeline: beam.Pipeline, job: Job, todo: Plan, tasks: Sequence[Task]) -> None:
    """Put the steps of the job into a pipeline."""
    numbered = [(number, [task.to_bytes()]) for number, task in enumerate(tasks)]
    read = pipeline | "Splits" >> beam.Create(numbered, reshuffle=True).with_output_types(tuple[int, list[bytes]])
    (
        read
        | "Tokenize" >> beam.ParDo(steps.Tokenize(job)).with_output_types(tuple[int, bytes])
        | "By shard" >> beam.GroupByKey()
        | "Write shards" >> beam.ParDo(steps.WriteShard(job)).with_output_types(tuple[int, steps.Counted])
        | "All" >> beam.GroupByKey()
        | "Write manifest" >> beam.ParDo(steps.WriteManifest(job, todo, splits=len(tasks)))
    )
