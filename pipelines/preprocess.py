"""The Beam job: text files to a data set. What it computes is in `xlnet.corpus`; here is how it is spread out.

    splits of files -> documents as pieces, by shard -> one stream a shard -> its records, written -> the manifest

A single chain without side outputs, which every runner can execute: what was read is counted under one key more than
there are shards, and meets what was written at the end, where both must agree. Where documents are to be compared with
each other, `pipelines.survey` puts two more steps in front.
"""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial

import apache_beam as beam

from pipelines import dataflow, running, steps, survey
from pipelines import options as beam_options
from pipelines import output as outputs
from pipelines.job import Job, Task
from pipelines.journal import Advance, Journal
from pipelines.splits import MOST_SPLITS, SPLIT
from xlnet import storage, vocab
from xlnet.corpus import documents, plan, sources
from xlnet.corpus.cleaning import CleaningSettings
from xlnet.corpus.manifest import Manifest
from xlnet.corpus.plan import Plan
from xlnet.corpus.settings import CorpusSettings
from xlnet.errors import require
from xlnet.file_names import VOCABULARY
from xlnet.text import Tokenizer

SMALLEST = 1 << 20
OPENED = 8  # files at once; Google's client keeps no more connections than 10


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
) -> Manifest | None:
    """Make the folder `output` a data set of text files: paths or globs, local or gs://, also `name=glob:weight`.

    `options` are Beam's, as on its command line; without `--runner` the job runs in memory here, with several
    `workers` in as many processes. The same text, settings and vocabulary give the same bytes with any of them.
    A data set that is there already is left as it is; with `add` it gets the files and passes that it lacks. A run
    that was stopped goes on with the shards that it has finished. `progress` hears how far the job is.

    Returns None where the options only ask for the job's description, a template for example. Raises UserError for
    what the user can mend.
    """
    model = storage.read_bytes(vocabulary)
    vocab.check(model)
    require(workers >= 1, "workers", workers, "1 or more")
    if dataflow.is_wanted(options):
        dataflow.options(options, paths=[output])  # what is missing is told before anything is written
    else:
        beam_options.read(options)
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
            outputs.finish(output, todo)
            return todo.before
        with outputs.filled(output, todo, is_here=beam_options.is_here(options)) as places:
            if todo.before is None:
                storage.publish(storage.join(output, VOCABULARY), model)
            job = Job.of(output, places, todo, cleaning, tokenizer)
            is_done = _carry_out(todo, job, options=options, workers=workers, progress=progress)
    return Manifest.read(output) if is_done else None


def _carry_out(
    todo: Plan, job: Job, *, options: Sequence[str], workers: int, progress: Callable[[Advance], None] | None
) -> bool:
    """Do what there is to do; False where the options only ask for its description."""
    tasks = _tasks(todo, workers=workers)
    with Journal(job.places.spill).followed(progress or (lambda advance: None), totals=_totals(job, tasks)):
        return _execute(job, todo, tasks, options=options, workers=workers)


def _tasks(todo: Plan, *, workers: int) -> list[Task]:
    """What the job reads, in pieces that keep all workers busy; how the text is cut changes no byte of the output."""
    total = sum(file.bytes for file in todo.inputs)
    size = max(SMALLEST, min(SPLIT, total // (8 * workers)), total // MOST_SPLITS)
    found = [storage.File(file.path, file.bytes) for file in todo.inputs]
    with ThreadPoolExecutor(OPENED) as pool:  # the end of a Parquet file tells where it can be cut
        splits = pool.map(partial(documents.splits, size=size), found)
        return [
            Task(split, file.source, file.part)
            for file, of_file in zip(todo.inputs, splits, strict=True)
            for split in of_file
        ]


def _totals(job: Job, tasks: Sequence[Task]) -> dict[str, int]:
    """How much each stage has to do: bytes to read, shards to write."""
    size = sum(task.split.bytes for task in tasks)
    kinds = len(survey.kinds(job.cleaning))
    surveyed = {"compare": kinds * size} if kinds else {}
    return surveyed | {"tokenize": size, "write": job.settings.shards * len(job.first_pass)}


def _execute(job: Job, todo: Plan, tasks: Sequence[Task], *, options: Sequence[str], workers: int) -> bool:
    """Run the job to its end; False where the options only ask for its description."""
    make = partial(build, job=job, todo=todo, tasks=tasks)
    if not dataflow.is_wanted(options):
        running.execute(make, options=options, workers=workers, refusal=job.refusal)
        return True
    paths = [job.directory, *(task.split.path for task in tasks)]
    pipeline = beam.Pipeline(options=dataflow.options(options, paths=paths))
    make(pipeline)
    return dataflow.execute(pipeline, identity=json.dumps([job.directory, todo.identity()], sort_keys=True))


def build(pipeline: beam.Pipeline, *, job: Job, todo: Plan, tasks: Sequence[Task]) -> None:
    """Put the steps of the job into a pipeline."""
    numbered = [(number, [task.to_bytes()]) for number, task in enumerate(tasks)]
    read = pipeline | "Splits" >> beam.Create(numbered, reshuffle=True).with_output_types(tuple[int, list[bytes]])
    for kind in survey.kinds(job.cleaning):
        read = read | f"Compare {kind}" >> survey.Compare(job, kind)
    (
        read
        | "Tokenize" >> beam.ParDo(steps.Tokenize(job)).with_output_types(tuple[int, bytes])
        | "By shard" >> beam.GroupByKey()
        | "Write shards" >> beam.ParDo(steps.WriteShard(job)).with_output_types(tuple[int, steps.Counted])
        | "All" >> beam.GroupByKey()
        | "Write manifest" >> beam.ParDo(steps.WriteManifest(job, todo, splits=len(tasks)))
    )
