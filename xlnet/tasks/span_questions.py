"""Questions that a span of a context answers, read from SQuAD's JSON files and those of the same layout.

Sources: Rajpurkar et al. 2016, 2018 (SQuAD 1.1, 2.0), Cui et al. 2019 (CMRC 2018), Shao et al. 2018 (DRCD), Artetxe
et al. 2020 (XQuAD); reference: run_squad.py, read_squad_examples.
"""

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xlnet import storage
from xlnet.errors import UserError
from xlnet.tasks import tables

NOWHERE = -1  # the place of an answer that there is none of, or that is not in its context


@dataclass(frozen=True)
class SpanSet:
    """A published data set of this layout."""

    scoring: str  # whose official rules: squad or chinese
    unanswerable: bool = False  # some questions have no answer
    faulty: bool = False  # answers that are in no context and empty questions are part of the published files


SPAN_SETS = {
    "squad1": SpanSet("squad"),
    "squad2": SpanSet("squad", unanswerable=True),
    "xquad": SpanSet("squad"),
    "cmrc2018": SpanSet("chinese", faulty=True),
    "drcd": SpanSet("chinese"),
}


@dataclass(frozen=True)
class Fault:
    """A fault in the data: `kind` is moved, missing or no question."""

    id: str
    kind: str
    text: str


@dataclass(frozen=True)
class Questions:
    """The n questions of a file, in its order."""

    path: str
    contexts: list[str]
    context: NDArray[np.int32]  # of which context each question is [n]
    ids: list[str]
    texts: list[str]
    answers: list[list[str]] | None  # every right answer; none of a question that has none; None: nothing is known
    spans: NDArray[np.int32]  # characters of the first answer that is in the context, half open [n, 2], or NOWHERE
    faults: list[Fault]
    left_out: dict[str, int] = field(default_factory=dict)  # why -> how many

    def __len__(self) -> int:
        return len(self.ids)

    def where(self, row: int) -> str:
        """The file and question, for messages."""
        return f"{self.path}: question {self.ids[row]!r}"

    @property
    def golds(self) -> list[list[str]]:
        """Every right answer of each question. Raises UserError where nothing is known of them."""
        if self.answers is None:
            raise UserError(f"{self.path} has no answers; give labelled questions")
        return self.answers

    @property
    def is_impossible(self) -> NDArray[np.bool_]:
        """Which questions cannot be answered [n]."""
        return np.array([not answers for answers in self.golds], bool)

    def learnable(self) -> "Questions":
        """The questions that a model can learn from; the others are counted in `left_out`."""
        is_asked = np.array([bool(text.strip()) for text in self.texts], bool)
        is_placed = self.is_impossible | (self.spans[:, 0] != NOWHERE)
        rows = np.flatnonzero(is_asked & is_placed)
        if not len(rows):
            raise UserError(f"{self.path}: of no question the answer is in its context; give others to learn from")
        counts = {"no question": int((~is_asked).sum()), "no answer in the context": int((is_asked & ~is_placed).sum())}
        return dataclasses.replace(
            self,
            context=self.context[rows],
            ids=[self.ids[row] for row in rows],
            texts=[self.texts[row] for row in rows],
            answers=[self.golds[row] for row in rows],
            spans=self.spans[rows],
            left_out={name: count for name, count in counts.items() if count},
        )

    def listed_faults(self) -> dict[str, list[str]]:
        """Of each kind of fault the ids of the questions."""
        kinds = sorted({fault.kind for fault in self.faults})
        return {kind: [fault.id for fault in self.faults if fault.kind == kind] for kind in kinds}


def read(path: str, data_set: str = "squad2") -> Questions:
    """The questions of a file of a data set, a name of SPAN_SETS.

    An answer that does not stand where the file says is taken from the nearest place where it does, and is one of
    `faults`. Raises UserError, with the file and the question's id, for an answer that is nowhere in its context
    (unless the data set is known for it: then the fault is listed), an empty context or question, an id that comes
    twice, and what is not of the layout; with the line for broken JSON.
    """
    reader = _Reader(path, SPAN_SETS[data_set], data_set, labelled=True)
    for article in _list(_content(path), "data", path):
        for paragraph in _list(article, "paragraphs", path):
            reader.add(paragraph)
    if not reader.ids:
        raise UserError(f"{path} holds no question; give a file of {data_set}")
    if twice := [name for name, count in Counter(reader.ids).items() if count > 1]:
        raise UserError(f"{path}: two questions have the id {twice[0]!r}; give each its own")
    return reader.questions()


def parse(records: Sequence[Mapping[str, Any]], *, path: str, first_line: int = 1) -> Questions:
    """Questions without answers from JSON objects with `question`, `context` and, where there is one, `id`.

    They are lines of `path` from `first_line` on. Raises UserError, with file and line, for a bad one.
    """
    reader = _Reader(path, SPAN_SETS["squad2"], "squad2", labelled=False)
    for line, record in enumerate(records, start=first_line):
        for key in ("question", "context"):
            found = record.get(key)
            if not isinstance(found, str) or not found.strip():
                raise UserError(f"{path}:{line}: {key} is {found!r}, wanted is a text")
        reader.contexts.append(record["context"])
        reader.ask({"id": record.get("id", str(line)), "question": record["question"]}, record["context"])
    return reader.questions()


class _Reader:
    def __init__(self, path: str, known: SpanSet, name: str, *, labelled: bool) -> None:
        self.path, self.known, self.name, self.labelled = path, known, name, labelled
        self.contexts: list[str] = []
        self.context: list[int] = []
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.answers: list[list[str]] = []
        self.spans: list[tuple[int, int]] = []
        self.faults: list[Fault] = []

    def questions(self) -> Questions:
        return Questions(
            path=self.path,
            contexts=self.contexts,
            context=np.array(self.context, np.int32),
            ids=self.ids,
            texts=self.texts,
            answers=self.answers if self.labelled else None,
            spans=np.array(self.spans, np.int32).reshape(-1, 2),
            faults=self.faults,
        )

    def add(self, paragraph: Any) -> None:
        questions = _list(paragraph, "qas", self.path)
        text = paragraph.get("context")
        if not isinstance(text, str) or not text.strip():
            first = questions[0].get("id") if questions and isinstance(questions[0], dict) else None
            raise UserError(f"{self.path}: the context of question {first!r} is empty; fill it or remove the paragraph")
        tables.require_text(self.path, "context", text)
        self.contexts.append(text)
        for question in questions:
            self.ask(question, text)

    def ask(self, question: Any, context: str) -> None:
        if not isinstance(question, dict) or not {"id", "question"} <= question.keys():
            raise UserError(f"{self.path}: a question of paragraph {len(self.contexts)} lacks its id or its text")
        name, text = str(question["id"]), question["question"]
        if not isinstance(text, str):
            raise UserError(f"{self.path}: question {name!r} is {json.dumps(text)[:40]}, wanted is a text")
        tables.require_text(f"{self.path}: question {name!r}", "question", text)
        if not text.strip():
            self.found(name, "no question", "", f"question {name!r} is empty; fill it or remove it")
        answers = list(self.answers_of(name, question)) if self.labelled else []
        places = [self.place(name, context, *answer) for answer in answers]
        self.ids.append(name)
        self.texts.append(text)
        self.context.append(len(self.contexts) - 1)
        self.answers.append([answer for answer, _ in answers])
        self.spans.append(next((place for place in places if place[0] != NOWHERE), (NOWHERE, NOWHERE)))

    def answers_of(self, name: str, question: dict[str, Any]) -> Iterator[tuple[str, int]]:
        if question.get("is_impossible"):
            if not self.known.unanswerable:
                raise UserError(
                    f"{self.path}: question {name!r} cannot be answered, and {self.name} has no such questions; "
                    "pass --task squad2"
                )
            return
        answers = question.get("answers")
        if not isinstance(answers, list) or not answers:
            raise UserError(f"{self.path}: question {name!r} has no answer and is not marked is_impossible")
        for answer in answers:
            try:
                yield str(answer["text"]), int(answer["answer_start"])
            except (TypeError, KeyError, ValueError, OverflowError):
                raise UserError(f"{self.path}: an answer of question {name!r} lacks text or answer_start") from None

    def place(self, name: str, context: str, answer: str, start: int) -> tuple[int, int]:
        """Where the answer stands: as given, or else the nearest place."""
        if not answer.strip():
            raise UserError(f"{self.path}: an answer of question {name!r} is empty; fill it or remove it")
        if start >= 0 and context.startswith(answer, start):
            return start, start + len(answer)
        places = [match.start() for match in re.finditer(f"(?={re.escape(answer)})", context)]
        if not places:
            self.found(name, "missing", answer, f"the answer {answer!r} of question {name!r} is not in its context")
            return NOWHERE, NOWHERE
        self.faults.append(Fault(name, "moved", answer))
        nearest = min(places, key=lambda place: abs(place - start))
        return nearest, nearest + len(answer)

    def found(self, name: str, kind: str, text: str, message: str) -> None:
        if not self.known.faulty:
            raise UserError(f"{self.path}: {message}")
        self.faults.append(Fault(name, kind, text))


def _content(path: str) -> Any:
    try:
        return json.loads(storage.read_bytes(path).decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: invalid UTF-8 at byte {error.start}; save the file as UTF-8") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}: broken JSON at column {error.colno}: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON that can be read: {str(error).partition(';')[0]}") from None


def _list(holder: Any, key: str, path: str) -> list[Any]:
    found = holder.get(key) if isinstance(holder, dict) else None
    if not isinstance(found, list):
        raise UserError(f"{path}: no list {key!r} where SQuAD's layout has one; give the data set's own JSON file")
    return found
