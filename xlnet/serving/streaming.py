"""Rows of any number through a model: read, answered and written chunk by chunk, in their order."""

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

from xlnet import storage
from xlnet.serving import dead_letters, rows, vector_files
from xlnet.serving.dead_letters import DeadLetters
from xlnet.serving.embedding import Embedder, EmbeddingSettings, Vectors, chunks
from xlnet.serving.rows import Row

STANDARD = "-"  # the path of the standard input and output
NAMES = {STANDARD: "<stdin>"}


@dataclass(frozen=True)
class Source:
    """What is read: a path, or - for the standard input; its format, by its name if None; columns to pass on."""

    path: str
    kind: str | None = None
    header: bool | None = None
    kept: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The path as messages have it."""
        return NAMES.get(self.path, self.path)

    @contextlib.contextmanager
    def rows(self, columns: Sequence[str]) -> Iterator[Iterator[Row]]:
        """The rows, with these columns; lines of text, which have no names, are taken for the one column."""
        kind = rows.kind_of(self.path, self.kind or ("text" if self.path == STANDARD else None))
        with _opened(self.path) as stream:
            yield rows.read(stream, self.name, kind=kind, columns=columns, kept=self.kept, header=self.header)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    if path == STANDARD:
        yield sys.stdin.buffer
    else:
        with storage.reading(path) as stream:
            yield stream


def embed(
    *,
    model: str,
    source: Source,
    output: str,
    settings: EmbeddingSettings,
    column: str = "text",
    dead: str | None = None,
    report: Callable[[int], Any] | None = None,
) -> dict[str, Any]:
    """The vectors of every row's text, published as `output`: see `vector_files`.

    Rows that nothing can be made of go to the file `dead`, and are counted. `report` is told how many rows are done.
    Returns counts. Raises UserError for what does not fit together, and where no row is good.
    """
    vector_files.require_known(output)
    embedder = Embedder.load(model, settings)
    with (
        dead_letters.collecting(dead) as letters,
        source.rows([column]) as found,
        storage.writing(output) as stream,
        vector_files.writing(
            stream, output, model_dim=embedder.model_dim, unit=settings.unit, kept=source.kept
        ) as write,
    ):
        done = vectors = 0
        for good in _good_chunks(found, letters):
            answer = embedded(embedder, good, letters)
            write(good, answer)
            done += len(set(answer.row.tolist()))
            vectors += len(answer.row)
            if report is not None:
                report(done + letters.count)
        dead_letters.require_some(done, letters, source.name)
    return {"rows": done, "vectors": vectors, **letters.summary(), "settings": dataclasses.asdict(settings)}


def embedded(embedder: Embedder, good: Sequence[Row], letters: DeadLetters) -> Vectors:
    """The vectors of rows; those whose text has no pieces are dead."""
    answer = embedder.embed([row.cells[0] for row in good])
    has_some = set(answer.row.tolist())
    for number, row in enumerate(good):
        if number not in has_some:
            letters.add(row.dead("the text has no pieces: nothing is left of it when it is normalised"))
    return answer


def _good_chunks(found: Iterator[Row], letters: DeadLetters) -> Iterator[list[Row]]:
    def good() -> Iterator[Row]:
        for row in found:
            if row.problem:
                letters.add(row)
            else:
                yield row

    return chunks(good())
