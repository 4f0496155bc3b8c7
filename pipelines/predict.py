"""The Beam job that puts a corpus through a model: rows to answers, or to vectors.

    splits of files -> blocks of rows -> RunInference -> a part a split -> the summary

Blocks follow from the input alone, and so do the batches that the model sees: parts are the same for any runner and any
number of workers. A single chain without side outputs, which every runner can execute; that nothing is lost on the way
is checked part by part, and at the end. What is computed is in `xlnet.serving`.
"""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.ml.inference.base import KeyedModelHandler, ModelHandler, RunInference

from pipelines import dataflow, running
from pipelines import options as beam_options
from pipelines.makers import Maker, Part
from pipelines.running import Refusal
from pipelines.splits import MOST_SPLITS
from xlnet import storage
from xlnet.corpus import packing
from xlnet.errors import UserError, require
from xlnet.serving import dead_letters, rows
from xlnet.serving.rows import Format, Layout, Row

SPLIT = 1 << 18  # bytes of rows that one element of the job reads; with a base model some ten seconds of work
BLOCK = 100_000  # characters of rows that are answered together
SUMMARY = "summary.json"


@dataclass(frozen=True)
class Task:
    """A split to read: the bytes `start` to `stop` of a file, or all of it (None)."""

    number: int
    path: str
    layout: Layout
    start: int = 0
    stop: int | None = None

    def rows(self, asked: Format) -> Iterator[Row]:
        """Its rows, good and bad."""
        with storage.reading(self.path) as stream:
            if self.stop is None:
                yield from rows.read(stream, self.path, asked)
                return
            lines = rows.lines_within(stream, self.start, self.stop)
            if self.layout.is_headed and self.start == 0:
                next((line for _, line in lines if line.strip()), None)
            yield from rows.rows(lines, self.layout)


@dataclass(frozen=True)
class Block:
    """Some rows of a split, of which it is the `number`-th block, and the last or not."""

    number: int
    rows: tuple[Row, ...]
    is_last: bool


@dataclass(frozen=True, eq=False)
class Job:
    """What every step of one run knows. Can be pickled."""

    maker: Maker
    folder: str
    asked: dict[str, Format]  # by path
    paths: tuple[str, ...]  # of the file of each split
    about: dict[str, Any]
    refusal: Refusal


def run(
    *,
    maker: Maker,
    inputs: str,
    output: str,
    kind: str | None = None,
    is_headed: bool | None = None,
    options: Sequence[str] = (),
    workers: int = 1,
) -> dict[str, Any] | None:
    """Make the folder `output` of parts, from files: a path or glob, local or gs://.

    `options` are Beam's; without `--runner` the job runs in memory here, with several `workers` in as many processes.
    `kind` and `is_headed` of the input as in `serving.streaming`. Output, published whole or, where workers are
    elsewhere, under names that a retry writes again: `part-...` in the order of the input, `dead-letters-...` for what
    could not be used, and last `summary.json`, whose content is returned (None where the options only ask for the
    job's description). Raises UserError for what the user can mend, and where no row is good.
    """
    require(workers >= 1, "workers", workers, "1 or more")
    is_cloud = dataflow.is_wanted(options)
    if is_cloud:
        dataflow.options(options, paths=[output])
    else:
        beam_options.read(options)
    files = storage.match([inputs])
    maker = maker.checked()
    asked = {file.path: maker.format(rows.kind_of(file.path, kind), is_headed=is_headed) for file in files}
    tasks = _tasks(files, asked)
    about = {"model": maker.model, "settings": maker.described(), "inputs": [asdict(file) for file in files]}
    with _filled(output, is_here=beam_options.is_here(options)) as (folder, refusal):
        job = Job(maker, folder, asked, tuple(task.path for task in tasks), about, refusal)
        make = partial(build, job=job, tasks=tasks)
        if is_cloud:
            pipeline = beam.Pipeline(options=dataflow.options(options, paths=[output, *asked, maker.model]))
            make(pipeline)
            if not dataflow.execute(pipeline, identity=json.dumps([output, about], sort_keys=True)):
                return None
        else:
            running.execute(make, options=options, workers=workers, refusal=refusal)
        summary: dict[str, Any] = storage.read_json(storage.join(folder, SUMMARY))
        _require_some(summary, inputs)
    return summary


@contextlib.contextmanager
def _filled(output: str, *, is_here: bool) -> Iterator[tuple[str, Refusal]]:
    """The folder that workers write to, which is the output when the block ends well."""
    if not is_here:
        if storage.exists(storage.join(output, SUMMARY)):
            raise UserError(f"the output {output} already holds something; name a new folder, or remove this one")
        yield output, Refusal(None)
        return
    with tempfile.TemporaryDirectory() as beside, storage.publishing(output, marker=SUMMARY) as folder:
        yield str(folder), Refusal(os.path.join(beside, "refusal"))


def _tasks(files: Sequence[storage.File], asked: dict[str, Format]) -> list[Task]:
    """What the job reads. How it is cut follows from the files alone; packed files and CSV come whole."""
    size = max(SPLIT, sum(file.bytes for file in files) // MOST_SPLITS)
    tasks: list[Task] = []
    for file in files:
        if not file.bytes:
            continue
        layout = rows.layout_of(file.path, asked[file.path])
        if asked[file.path].kind == "csv" or packing.split(file.path.lower())[1]:
            tasks.append(Task(len(tasks), file.path, layout))
            continue
        count = max(1, round(file.bytes / size))
        for start, stop in pairwise(file.bytes * number // count for number in range(count + 1)):
            tasks.append(Task(len(tasks), file.path, layout, start, stop))
    return tasks


def _require_some(summary: dict[str, Any], inputs: str) -> None:
    if summary["rows"] == 0:
        first = summary["first_dead_letter"]
        told = "they hold no rows" if first is None else f"{first['file']}: {first['reason']}"
        raise UserError(f"{inputs}: none of {summary['dead_letters']:,} rows could be used; {told}")


def build(pipeline: beam.Pipeline, *, job: Job, tasks: Sequence[Task]) -> None:
    """Put the steps of the job into a pipeline."""
    (
        pipeline
        | "Splits" >> beam.Create(tasks, reshuffle=True).with_output_types(Task)
        | "Read" >> beam.ParDo(Read(job)).with_output_types(tuple[int, Block])
        | "Answer" >> RunInference(KeyedModelHandler(Handler(job)))
        | "Bare" >> beam.Map(_bare).with_output_types(tuple[int, Part])
        | "By split" >> beam.GroupByKey()
        | "Write parts" >> beam.ParDo(WritePart(job)).with_output_types(tuple[int, dict[str, Any]])
        | "All" >> beam.GroupByKey()
        | "Write summary" >> beam.ParDo(WriteSummary(job))
    )


def _bare(element: Any) -> tuple[int, Part]:
    """What RunInference gives, as a pair."""
    key, part = element
    return key, part


class Read(beam.DoFn):
    """A split to its blocks; at least one, so that nothing can be missing unseen."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def process(self, task: Task) -> Iterator[tuple[int, Block]]:
        """See the class."""
        if self.job.refusal.is_made:
            return
        with self.job.refusal.catching(self.job.folder):
            held: list[Row] = []
            number = size = 0
            for row in task.rows(self.job.asked[task.path]):
                if size >= BLOCK:
                    yield task.number, Block(number, tuple(held), is_last=False)
                    held, size, number = [], 0, number + 1
                held.append(row)
                size += 100 + sum(len(value) for value in row.record.values() if isinstance(value, str))
            yield task.number, Block(number, tuple(held), is_last=True)


class Handler(ModelHandler[Block, Part, Any]):
    """RunInference's view of a maker: a batch is a block, which is cut into batches by length inside."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job

    def load_model(self) -> Any:
        """The model, once a worker."""
        from xlnet import frameworks

        frameworks.load()
        return self.job.maker.load()

    def run_inference(self, batch: Sequence[Block], model: Any, inference_args: Any = None) -> Iterable[Part]:
        """A part for each block."""
        for block in batch:
            with self.job.refusal.catching(self.job.folder):
                part = self.job.maker.make(model, block.rows, number=block.number, is_last=block.is_last)
                Metrics.counter("predict", "rows").inc(part.rows)
                Metrics.counter("predict", "dead_letters").inc(len(part.dead))
                yield part
                continue
            yield Part(block.number, block.is_last)  # refused: the job ends

    def batch_elements_kwargs(self) -> dict[str, Any]:
        """A block at a time."""
        return {"min_batch_size": 1, "max_batch_size": 1}

    def get_metrics_namespace(self) -> str:
        """The name that RunInference's own metrics go by."""
        return "predict"


class WritePart(beam.DoFn):
    """The parts of a split to its files; (0, what they are)."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def process(self, element: tuple[int, Iterable[Part]]) -> Iterator[tuple[int, dict[str, Any]]]:
        """See the class."""
        number, found = element
        job = self.job
        if job.refusal.is_made:
            return
        with job.refusal.catching(job.folder):
            parts = sorted(found, key=lambda part: part.number)
            numbers, last = [part.number for part in parts], [part.is_last for part in parts]
            if numbers != list(range(len(parts))) or last != [*[False] * (len(parts) - 1), True]:
                raise RuntimeError(f"split {number} has lost blocks, {numbers} are left")
            name = f"{number:05d}-of-{len(job.paths):05d}"
            path = storage.join(job.folder, f"part-{name}{job.maker.ending}")
            with storage.writing(path) as stream:
                job.maker.write(stream, parts)
            dead = [row for part in parts for row in part.dead]
            letters = [dead_letters.to_line(row, file=job.paths[number], offset=row.offset) for row in dead]
            if letters:
                storage.publish(storage.join(job.folder, f"dead-letters-{name}.jsonl"), b"".join(letters))
            yield (
                0,
                {
                    "part": os.path.basename(path),
                    "sha256": storage.sha256(path),
                    "rows": sum(part.rows for part in parts),
                    "file": job.paths[number],
                    "dead_letters": len(letters),
                    "first_dead_letter": json.loads(letters[0]) if letters else None,
                },
            )


class WriteSummary(beam.DoFn):
    """What all parts came to, if all are there."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def process(self, element: tuple[int, Iterable[dict[str, Any]]]) -> None:
        """See the class."""
        if self.job.refusal.is_made:
            return
        parts = sorted(element[1], key=lambda part: part["part"])
        if len(parts) != len(self.job.paths):
            raise RuntimeError(f"{len(self.job.paths)} splits were to be read, {len(parts)} parts were written")
        firsts = [part.pop("first_dead_letter") for part in parts]
        summary = {
            "format": "xlnet-predictions/1",
            **self.job.about,
            "rows": sum(part["rows"] for part in parts),
            "dead_letters": sum(part["dead_letters"] for part in parts),
            "first_dead_letter": next(filter(None, firsts), None),
            "parts": parts,
        }
        with self.job.refusal.catching(self.job.folder):
            storage.publish_json(storage.join(self.job.folder, SUMMARY), summary)
