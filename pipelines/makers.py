"""What a job of `pipelines.predict` makes of rows: answers of a fine-tuned model, or vectors. Can be pickled."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import IO, Any, Protocol

from xlnet.serving import answer_files, vector_files
from xlnet.serving.rows import Format, Row
from xlnet.serving.settings import EmbeddingSettings, PredictionSettings


@dataclass(frozen=True)
class Part:
    """What was made of a block of rows, and those that nothing could be made of."""

    number: int
    is_last: bool
    rows: int = 0
    content: Any = None
    dead: tuple[Row, ...] = ()


class Maker(Protocol):
    """What the job needs to know of its work."""

    @property
    def model(self) -> str:
        """The model directory."""
        ...

    @property
    def ending(self) -> str:
        """Of a part's name."""
        ...

    def checked(self) -> "Maker":
        """The maker, with what it has to know of the model. Raises UserError where the model cannot do it."""
        ...

    def format(self, kind: str, *, is_headed: bool | None) -> Format:
        """How a file of that kind is to be read."""
        ...

    def described(self) -> dict[str, Any]:
        """The settings, for the summary."""
        ...

    def load(self) -> Any:
        """The model, on a worker."""
        ...

    def make(self, model: Any, rows: Sequence[Row], *, number: int, is_last: bool) -> Part:
        """What the model makes of rows."""
        ...

    def write(self, stream: IO[bytes], parts: Iterable[Part]) -> None:
        """Parts to a file."""
        ...


def _told_apart(rows: Sequence[Row], model: Any) -> tuple[list[Row], tuple[Row, ...]]:
    """The rows that the model can use, and those that it cannot."""
    checked = [row if row.problem else model.checked(row) for row in rows]
    return [row for row in checked if not row.problem], tuple(row for row in checked if row.problem)


@dataclass(frozen=True)
class Answers:
    """Answers of a fine-tuned model, as JSON lines; `offset` is the row's first byte in its file."""

    model: str
    settings: PredictionSettings
    kept: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    is_headed: bool = True
    ending: str = ".jsonl"

    def checked(self) -> "Answers":
        """See `Maker`."""
        answerer = self.load()
        return dataclasses.replace(self, columns=tuple(answerer.columns), is_headed=answerer.is_headed)

    def format(self, kind: str, *, is_headed: bool | None) -> Format:
        """See `Maker`."""
        text = self.columns[0] if self.columns else "text"
        headed = self.is_headed if is_headed is None else is_headed
        return Format(kind, text=text, is_headed=headed, wanted=(*self.columns, *self.kept))

    def described(self) -> dict[str, Any]:
        """See `Maker`."""
        return dataclasses.asdict(self.settings)

    def load(self) -> Any:
        """See `Maker`."""
        from xlnet.serving.prediction import Answerer

        return Answerer.load(self.model, self.settings)

    def make(self, model: Any, rows: Sequence[Row], *, number: int, is_last: bool) -> Part:
        """See `Maker`."""
        good, dead = _told_apart(rows, model)
        found = model.answers(good) if good else []
        lines = [
            answer_files.to_json({"offset": row.offset, **row.kept(self.kept), **answer})
            for row, answer in zip(good, found, strict=True)
        ]
        return Part(number, is_last, len(good), b"".join(lines), dead)

    def write(self, stream: IO[bytes], parts: Iterable[Part]) -> None:
        """See `Maker`."""
        for part in parts:
            stream.write(part.content or b"")


@dataclass(frozen=True)
class VectorMaker:
    """Vectors of texts, words or pieces, as Parquet; `offset` is the row's first byte in its file."""

    model: str
    settings: EmbeddingSettings
    kept: tuple[str, ...] = ()
    model_dim: int = 0
    ending: str = ".parquet"

    def checked(self) -> "VectorMaker":
        """See `Maker`."""
        return dataclasses.replace(self, model_dim=self.load().model_dim)

    def format(self, kind: str, *, is_headed: bool | None) -> Format:
        """See `Maker`."""
        text = self.settings.text_column
        return Format(kind, text=text, is_headed=is_headed is not False, wanted=(text, *self.kept))

    def described(self) -> dict[str, Any]:
        """See `Maker`."""
        return dataclasses.asdict(self.settings)

    def load(self) -> Any:
        """See `Maker`."""
        from xlnet.serving.embedding import Embedder

        return Embedder.load(self.model, self.settings)

    def make(self, model: Any, rows: Sequence[Row], *, number: int, is_last: bool) -> Part:
        """See `Maker`."""
        good, dead = _told_apart(rows, model)
        name = self.settings.text_column
        content = (good, model.embed([row.record[name] for row in good])) if good else None
        return Part(number, is_last, len(good), content, dead)

    def write(self, stream: IO[bytes], parts: Iterable[Part]) -> None:
        """See `Maker`."""
        with vector_files.writing(
            stream,
            self.ending,
            model_dim=self.model_dim,
            unit=self.settings.unit,
            column=self.settings.text_column,
            kept=self.kept,
            place="offset",
        ) as write:
            for part in parts:
                if part.content is not None:
                    write(*part.content)
