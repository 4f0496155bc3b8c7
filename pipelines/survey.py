"""Comparing documents with each other: two more steps in front of the job, over hashes, not over text.

    tasks -> hashes, by bucket -> the places of what comes again, by task -> tasks, with what is to be left out of them

The text is read once more afterwards; in between, a document is its number in its split. Near duplicates are looked for
first: of those that are left out, no paragraph may be the one that stays.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence

import apache_beam as beam
import numpy as np
from numpy.typing import NDArray

from pipelines.job import Job, Task
from pipelines.journal import Journal
from xlnet.corpus import duplicates, intake, minhash, paragraphs, tokenized
from xlnet.corpus.cleaning import CleaningSettings
from xlnet.corpus.documents import DeadLetter, Document
from xlnet.corpus.tally import Tally

BUCKETS = 256  # of hashes; each is compared by one worker
BLOCK = 1 << 20  # characters whose documents are compared together
NEAR, PARAGRAPHS = "near", "paragraphs"


def kinds(clean: CleaningSettings) -> list[str]:
    """What documents are to be compared for, in this order; each reads the text once."""
    return [NEAR] * clean.drop_near_duplicates + [PARAGRAPHS] * clean.drop_duplicate_paragraphs


class Compare(beam.PTransform):
    """(number, task and places of what is to be left out of it) to the same, with the places that one kind adds."""

    def __init__(self, job: Job, kind: str) -> None:
        super().__init__()
        self.job, self.kind = job, kind

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """See the class."""
        return (
            tasks
            | "Hashes" >> beam.ParDo(Survey(self.job, self.kind)).with_output_types(tuple[int, bytes])
            | "By bucket" >> beam.GroupByKey()
            | "Repeats" >> beam.ParDo(Repeats(self.job)).with_output_types(tuple[int, bytes])
            | "By task" >> beam.GroupByKey()
        )


class Survey(beam.DoFn):
    """A task to (bucket, occurrences of hashes), and all that is known of it to itself, under a key of its own."""

    def __init__(self, job: Job, kind: str) -> None:
        self.job, self.kind = job, kind

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        """See the class."""
        number, contents = element[0], list(element[1])
        if not self.job.refusal.is_made:
            with self.job.refusal.catching(self.job.directory):
                yield from self._survey(number, *told(contents, self.job))
        yield from ((tasks_key(self.job) + number, content) for content in contents)

    def _survey(self, number: int, task: Task, known: intake.Repeats) -> Iterator[tuple[int, bytes]]:
        job = self.job
        nothing = Tally(task.split.path, task.split.start, task.part, task.source)  # counted when it is read again
        read = intake.documents_of(task.split, nothing, settings=job.settings, clean=job.cleaning)
        gone = {document for document, parts in known.items() if intake.WHOLE in parts}
        with Journal(job.places.spill).counting("compare", task.split.bytes) as journal:
            for block, numbers, characters in _blocks(read, gone):
                found = self._occurrences(block, number, numbers)
                for bucket, part in duplicates.by_bucket(found, buckets=BUCKETS):
                    yield task.part * BUCKETS + bucket, job.spill.put(part.tobytes())
                journal.advance(characters)

    def _occurrences(self, block: Sequence[Document], split: int, numbers: NDArray[np.int64]) -> NDArray[np.void]:
        """The hashes of some documents, which have these numbers in their split."""
        seed = self.job.settings.seed
        keys = b"".join(tokenized.document_key(document.lines, seed=seed) for document in block)
        keys_of = np.frombuffer(keys, np.uint8).reshape(-1, tokenized.KEY_BYTES)
        if self.kind == PARAGRAPHS:
            each = [paragraphs.hashes(document.lines, seed=seed) for document in block]
            lengths = np.concatenate([paragraphs.lengths(document.lines) for document in block])
            is_long = lengths >= self.job.cleaning.shortest_duplicate
            owner = np.repeat(np.arange(len(block)), list(map(len, each)))[is_long]
            hashes: NDArray[np.unsignedinteger] = np.concatenate(each)[is_long]
            parts = np.concatenate([np.arange(len(of_one)) for of_one in each])[is_long]
        else:
            bands = minhash.bands([document.lines for document in block])
            owner = np.repeat(np.arange(len(block)), bands.shape[1])
            hashes, parts = bands.ravel(), np.full(owner.size, intake.WHOLE)
        return duplicates.occurrences(hashes, keys_of[owner], split=split, documents=numbers[owner], parts=parts)


class Repeats(beam.DoFn):
    """(bucket, occurrences) to (number of a task, places in it); what is known of tasks goes through."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        """See the class."""
        bucket, contents = element
        tasks = tasks_key(self.job)
        if bucket >= tasks:
            yield from ((bucket - tasks, content) for content in contents)
        elif not self.job.refusal.is_made:
            with self.job.refusal.catching(self.job.directory):
                found = duplicates.gather(self.job.spill.get(content) for content in contents)
                again = found["place"][duplicates.repeated(found)]
                for number, places in duplicates.by_split(again):
                    yield number, self.job.spill.put(places.tobytes())


def tasks_key(job: Job) -> int:
    """The key of the first task, behind the buckets of all parts: each part is compared with itself alone.

    So what a part lost when it was made, it loses again when its further passes are.
    """
    return (1 + max(job.first_pass)) * BUCKETS


def told(contents: Iterable[bytes], job: Job) -> tuple[Task, intake.Repeats]:
    """A task, and what is to be left out of its split."""
    every = list(contents)
    [task] = [content for content in every if content.startswith(Task.MARK)]
    places = [job.spill.get(content) for content in every if not content.startswith(Task.MARK)]
    return Task.from_bytes(task), intake.repeats(duplicates.gather(places, duplicates.PLACE))


def _blocks(
    read: Iterator[Document | DeadLetter], gone: Collection[int]
) -> Iterator[tuple[list[Document], NDArray[np.int64], int]]:
    """Documents that are left, some together, with their numbers among all and their characters."""
    block: list[Document] = []
    numbers: list[int] = []
    characters = 0
    for number, item in enumerate(item for item in read if not isinstance(item, DeadLetter)):
        if number in gone:
            continue
        block.append(item)
        numbers.append(number)
        characters += sum(map(len, item.lines))
        if characters >= BLOCK:
            yield block, np.array(numbers), characters
            block, numbers, characters = [], [], 0
    if block:
        yield block, np.array(numbers), characters
