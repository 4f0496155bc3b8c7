"""Comparing documents with each other: two more steps in front of the job, over hashes, not over text.

    tasks -> hashes, by bucket -> the places of what comes again, by task -> tasks, with what is to be left out of them

The text is read once more afterwards; in between, a document is its number in its split.
"""

from collections.abc import Iterable, Iterator, Sequence

import apache_beam as beam
import numpy as np
from numpy.typing import NDArray

from pipelines.job import Job, Task
from pipelines.journal import Journal
from xlnet.corpus import duplicates, intake, minhash, paragraphs, tokenized
from xlnet.corpus.documents import DeadLetter, Document
from xlnet.corpus.tally import Tally

BUCKETS = 256  # of hashes; each is compared by one worker
BLOCK = 1 << 20  # characters whose documents are compared together
PARAGRAPHS, NEAR, KINDS = 0, BUCKETS, 2 * BUCKETS  # where the buckets of each kind begin, and how many all have


class Compare(beam.PTransform):
    """(number, task) to (number, task and the places of what is to be left out of it)."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """See the class."""
        return (
            tasks
            | "Hashes" >> beam.ParDo(Survey(self.job)).with_output_types(tuple[int, bytes])
            | "By bucket" >> beam.GroupByKey()
            | "Repeats" >> beam.ParDo(Repeats(self.job)).with_output_types(tuple[int, bytes])
            | "By task" >> beam.GroupByKey()
        )


class Survey(beam.DoFn):
    """A task to (bucket, occurrences of hashes), and to itself, under a key of its own."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        """See the class."""
        number, [content] = element
        if not self.job.refusal.is_made:
            with self.job.refusing():
                yield from self._survey(number, Task.from_bytes(content))
        yield tasks_key(self.job) + number, content

    def _survey(self, number: int, task: Task) -> Iterator[tuple[int, bytes]]:
        job = self.job
        nothing = Tally(task.split.path, task.split.start, task.part, task.source)  # counted when it is read again
        read = intake.documents_of(task.split, nothing, settings=job.settings, clean=job.cleaning)
        first = 0
        with Journal(job.places.spill).counting("compare", task.split.bytes) as journal:
            for block, characters in _blocks(read):
                for begin, found in self._occurrences(block, number, first):
                    for bucket, part in duplicates.by_bucket(found, buckets=BUCKETS):
                        yield task.part * KINDS + begin + bucket, job.spill.put(part.tobytes())
                first += len(block)
                journal.advance(characters)

    def _occurrences(self, block: Sequence[Document], split: int, first: int) -> Iterator[tuple[int, NDArray[np.void]]]:
        """The hashes of some documents, `first` the number of the first one, with where their kind's buckets begin."""
        seed, clean = self.job.settings.seed, self.job.cleaning
        keys = b"".join(tokenized.document_key(document.lines, seed=seed) for document in block)
        keys_of = np.frombuffer(keys, np.uint8).reshape(-1, tokenized.KEY_BYTES)
        numbers = np.arange(len(block))
        if clean.drop_duplicate_paragraphs:
            hashes = [paragraphs.hashes(document.lines, seed=seed) for document in block]
            lengths = np.concatenate([paragraphs.lengths(document.lines) for document in block])
            is_long = lengths >= clean.shortest_duplicate
            owner = np.repeat(numbers, list(map(len, hashes)))[is_long]
            parts = np.concatenate([np.arange(len(each)) for each in hashes])[is_long]
            found = duplicates.occurrences(
                np.concatenate(hashes)[is_long], keys_of[owner], split=split, documents=first + owner, parts=parts
            )
            yield PARAGRAPHS, found
        if clean.drop_near_duplicates:
            bands = minhash.bands([document.lines for document in block])
            owner = np.repeat(numbers, bands.shape[1])
            whole = np.full(owner.size, intake.WHOLE)
            found = duplicates.occurrences(
                bands.ravel(), keys_of[owner], split=split, documents=first + owner, parts=whole
            )
            yield NEAR, found


class Repeats(beam.DoFn):
    """(bucket, occurrences) to (number of a task, places in it); tasks go through."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        """See the class."""
        bucket, contents = element
        tasks = tasks_key(self.job)
        if bucket >= tasks:
            yield from ((bucket - tasks, content) for content in contents)
        elif not self.job.refusal.is_made:
            with self.job.refusing():
                found = duplicates.gather(self.job.spill.get(content) for content in contents)
                again = found["place"][duplicates.repeated(found)]
                for number, places in duplicates.by_split(again):
                    yield number, self.job.spill.put(places.tobytes())


def tasks_key(job: Job) -> int:
    """The key of the first task, behind the buckets of all parts: each part is compared with itself alone.

    So what a part lost when it was made, it loses again when its further passes are.
    """
    return (1 + max(job.first_pass)) * KINDS


def told(contents: Iterable[bytes], job: Job) -> tuple[Task, intake.Repeats]:
    """A task, and what is to be left out of its split."""
    every = list(contents)
    [task] = [content for content in every if content.startswith(Task.MARK)]
    places = [job.spill.get(content) for content in every if not content.startswith(Task.MARK)]
    return Task.from_bytes(task), intake.repeats(duplicates.gather(places, duplicates.PLACE))


def _blocks(read: Iterator[Document | DeadLetter]) -> Iterator[tuple[list[Document], int]]:
    """Documents, some together, and their characters."""
    block: list[Document] = []
    characters = 0
    for item in read:
        if isinstance(item, DeadLetter):
            continue
        block.append(item)
        characters += sum(map(len, item.lines))
        if characters >= BLOCK:
            yield block, characters
            block, characters = [], 0
    if block:
        yield block, characters
