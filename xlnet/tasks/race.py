"""Multiple choice, from RACE's files: a passage, questions on it, and options of which one answers.

Source: Lai et al. 2017; reference: run_race.py, `get_examples`.
"""

import json
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xlnet import storage
from xlnet.errors import UserError
from xlnet.tasks import folders, tables

LETTERS = string.ascii_uppercase
PARTS = ("article", "questions", "options", "answers")
SINGLE = ("article", "question", "options")  # of an object that is asked for an answer
GAP = "_"  # stands in a question where the option goes


@dataclass(frozen=True)
class Questions:
    """The questions of a folder or file; all lists but `passages` are of one length."""

    path: str
    places: list[str] = field(default_factory=list)  # file, line where there are lines, and number in the file
    passages: list[str] = field(default_factory=list)
    passage: list[int] = field(default_factory=list)  # the number of each question's passage
    questions: list[str] = field(default_factory=list)
    options: list[list[str]] = field(default_factory=list)
    levels: list[str] = field(default_factory=list)  # the file's folder: `middle` or `high`
    labels: list[int] | None = field(default_factory=list)  # the number of the option that answers; None: not known
    left_out: dict[str, int] = field(default_factory=dict)  # nothing ever is

    def __len__(self) -> int:
        return len(self.questions)

    def where(self, row: int) -> str:
        """The place of a question."""
        return self.places[row]

    def filled(self, row: int) -> list[str]:
        """A question with each of its options in its gaps, or behind it where it has none."""
        question = self.questions[row]
        if GAP in question:
            return [question.replace(GAP, option) for option in self.options[row]]
        return [f"{question} {option}" for option in self.options[row]]


def read(path: str) -> Questions:
    """The questions of RACE's files in a folder, at any depth, or of a JSON lines file of such objects, one a line.

    Questions may have any number of options from 2 to 26. Raises UserError, with the file and the line or question, for
    what is not as in RACE.
    """
    found = Questions(path=path)
    for where, level, content in _from_lines(path) if path.endswith(".jsonl") else _from_folder(path):
        _add(found, where, level, content)
    if not found.questions:
        raise UserError(f"{path} holds no question; give one of RACE's folders, or a file with a passage a line")
    return found


def parse(records: Sequence[Mapping[str, Any]], *, path: str, first_line: int = 1) -> Questions:
    """Questions whose answers nobody knows, each an object with `article`, `question` and `options`.

    The objects are lines of `path`, from `first_line` on. Raises UserError, with file and line, for a bad one.
    """
    found = Questions(path=path, labels=None)
    for line, record in enumerate(records, start=first_line):
        where = f"{path}:{line}"
        missing = [name for name in SINGLE if name not in record]
        if missing:
            raise UserError(f"{where}: no {' and no '.join(missing)}; a question has {', '.join(SINGLE)}")
        article, question, options = (record[name] for name in SINGLE)
        _add(found, where, "", {"article": article, "questions": [question], "options": [options]})
    return found


def _from_folder(path: str) -> Iterator[tuple[str, str, Any]]:
    if not folders.is_folder(path):
        raise UserError(f"{path} is no folder with files; give RACE's folder, such as RACE/train, or a .jsonl file")
    for name in folders.names(path):
        where = storage.join(path, name)
        yield where, name.rpartition("/")[0], _parsed(where, tables.read_text(where), first_line=1)


def _from_lines(path: str) -> Iterator[tuple[str, str, Any]]:
    rows = [(line, row) for line, row in enumerate(tables.read_text(path).split("\n"), start=1) if row.strip()]
    for line, row in rows:
        yield f"{path}:{line}", "", _parsed(path, row, first_line=line)


def _parsed(path: str, text: str, *, first_line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{first_line + error.lineno - 1}: not JSON: {error.msg}; copy the file again") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}:{first_line}: not JSON: {error}; copy the file again") from None


def _add(found: Questions, where: str, level: str, content: Any) -> None:
    wanted = PARTS if found.labels is not None else PARTS[:-1]
    missing = [name for name in wanted if not isinstance(content, dict) or name not in content]
    if missing:
        raise UserError(f"{where}: no {' and no '.join(missing)}; a passage of RACE has {', '.join(wanted)}")
    article, *lists = (content[name] for name in wanted)
    if not isinstance(article, str) or not article.strip():
        raise UserError(f"{where}: the article is {json.dumps(article)[:40]}, wanted is a text")
    tables.require_text(where, "article", article)
    counts = [len(part) if isinstance(part, list) else -1 for part in lists]
    if len(set(counts)) > 1 or counts[0] < 1:
        raise UserError(f"{where}: {', '.join(wanted[1:])} are to be lists of one length; found {counts}")
    for number, (question, choices, *answer) in enumerate(zip(*lists, strict=True), start=1):
        place = f"{where}: question {number}"
        _require_options(place, question, choices)
        found.places.append(place)
        found.passage.append(len(found.passages))
        found.questions.append(question)
        found.options.append(choices)
        found.levels.append(level)
        if found.labels is not None:
            found.labels.append(_label(place, answer[0], len(choices)))
    found.passages.append(article)


def _require_options(place: str, question: Any, choices: Any) -> None:
    if not isinstance(question, str):
        raise UserError(f"{place} is {json.dumps(question)[:40]}, wanted is a text")
    if not isinstance(choices, list) or not all(isinstance(option, str) for option in choices):
        raise UserError(f"{place}: its options are {json.dumps(choices)[:60]}, wanted is a list of texts")
    for name, text in (("questions", question), *(("options", option) for option in choices)):
        tables.require_text(place, name, text)
    if not 2 <= len(choices) <= len(LETTERS):
        raise UserError(f"{place} has {len(choices)} options, wanted are 2 to {len(LETTERS)}")
    if not any(option.strip() for option in choices):
        raise UserError(f"{place}: every option is empty; fill them or remove the question")


def _label(place: str, answer: Any, count: int) -> int:
    if not isinstance(answer, str) or answer not in list(LETTERS[:count]):
        raise UserError(
            f"{place}: the answer is {json.dumps(answer)[:40]}, wanted is one of {', '.join(LETTERS[:count])}"
        )
    return LETTERS.index(answer)
