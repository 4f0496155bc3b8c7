"""Rows of any number through a model: read, answered and written chunk by chunk, in their order."""

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

from xlnet import storage
from xlnet.serving import answer_files, dead_letters, rows, vector_files
from xlnet.serving.dead_letters import DeadLetters
from xlnet.serving.embedding import Embedder
from xlnet.serving.prediction import Answerer
from xlnet.serving.rows import Row
from xlnet.serving.settings import EmbeddingSettings, PredictionSettings

STANDARD = "-"  # the path of the standard input and output
CHUNK = 200_000  # characters of rows that are answered together: their features, or their pieces' vectors, are held
IN_VAIN = 1000  # rows, of which not one is good, that are read before giving up


@dataclass(frozen=True)
class Source:
    """What is read: a path, or - for the standard input; its kind, by its name if None; columns to pass on."""

    path: str
    kind: str | None = None
    is_headed: bool | None = None  # None: as in training; else it is
    kept: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The path as messages have it."""
        return "<stdin>" if self.path == STANDARD else self.path

    @contextlib.contextmanager
    def rows(self, columns: Sequence[str]) -> Iterator[Iterator[Row]]:
        """The rows, good and bad; the first of these columns is what a line of text goes by."""
        kind = rows.kind_of(self.path, self.kind or ("text" if self.path == STANDARD else None))
        text = columns[0] if columns else "text"
        asked = rows.Format(kind, text=text, is_headed=self.is_headed is not False, wanted=(*columns, *self.kept))
        with _opened(self.path) as stream:
            yield rows.read(stream, self.name, asked)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    if path == STANDARD:
        yield storage.standard_input()
    else:
        with storage.reading(path) as stream:
            yield stream


def chunks(
    found: Iterator[Row], letters: DeadLetters, *, path: str, check: Callable[[Row], Row]
) -> Iterator[list[Row]]:
    """The good rows, some at a time; the others are put to the dead letters. `check` says which are good.

    Raises UserError where many rows are read and not one is good.
    """
    good: list[Row] = []
    has_any, size = False, 0
    for each in found:
        row = each if each.problem else check(each)
        if row.problem:
            letters.add(row)
            if not has_any and letters.count == IN_VAIN:
                dead_letters.require_some(0, letters, path)
            continue
        has_any = True
        good.append(row)
        size += sum(len(value) if isinstance(value, str) else 100 for value in row.record.values())
        if size >= CHUNK:
            yield good
            good, size = [], 0
    if good:
        yield good


def embed(
    *,
    model: str,
    source: Source,
    output: str,
    settings: EmbeddingSettings,
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
        dead_letters.collecting(dead, beside=output) as letters,
        source.rows([settings.text_column]) as found,
        storage.writing(output) as stream,
        vector_files.writing(
            stream,
            output,
            model_dim=embedder.model_dim,
            unit=settings.unit,
            column=settings.text_column,
            kept=source.kept,
        ) as write,
    ):
        done = vectors = 0
        for good in chunks(found, letters, path=source.name, check=embedder.checked):
            answer = embedder.embed([row.record[settings.text_column] for row in good])
            write(good, answer)
            done += len(good)
            vectors += len(answer.row)
            if report is not None:
                report(done + letters.count)
        dead_letters.require_some(done, letters, source.name)
    return {"rows": done, "vectors": vectors, **letters.summary(), "settings": dataclasses.asdict(settings)}


def predict(
    *,
    model: str,
    source: Source,
    output: str,
    settings: PredictionSettings,
    kind: str | None = None,
    dead: str | None = None,
    report: Callable[[int], Any] | None = None,
) -> dict[str, Any]:
    """The answer to every row, published as `output`, or written to the standard output (-) as they come.

    `kind` of output: jsonl or tsv, by its name if None, or glue. Rows that are no examples of the model's task go to
    the file `dead`, and are counted. Returns counts. Raises UserError for what does not fit, where no row is good, and,
    for GLUE, which takes an answer to every row, where one is not.
    """
    kind = answer_files.kind_of(output, kind)
    answerer = Answerer.load(model, settings)
    if source.is_headed is None:
        source = dataclasses.replace(source, is_headed=answerer.is_headed)
    with (
        dead_letters.collecting(dead, beside=output) as letters,
        source.rows(answerer.columns) as found,
        _written(output) as stream,
    ):
        write = answer_files.writer(stream, kind)
        done = 0
        for good in chunks(found, letters, path=source.name, check=answerer.checked):
            answers = answerer.answers(good)
            write([answer_files.line_of(row, answer, source.kept) for row, answer in zip(good, answers, strict=True)])
            stream.flush()
            done += len(good)
            if report is not None:
                report(done + letters.count)
        dead_letters.require_some(done, letters, source.name)
        if kind == "glue":
            dead_letters.require_none(letters, source.name)
    return {"rows": done, **letters.summary()}


@contextlib.contextmanager
def _written(path: str) -> Iterator[IO[bytes]]:
    if path == STANDARD:
        yield sys.stdout.buffer
    else:
        with storage.writing(path) as stream:
            yield stream
