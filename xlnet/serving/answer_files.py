"""Answers on disk: JSON lines, TSV with a column for each class, and what the GLUE benchmark takes."""

import itertools
import json
from collections.abc import Callable, Sequence
from typing import IO, Any

from xlnet.errors import UserError
from xlnet.serving.rows import Row

KINDS = ("jsonl", "tsv", "glue")
Line = dict[str, Any]


def kind_of(path: str, wanted: str | None = None) -> str:
    """The format of an output by its name, or the one that is wanted; JSON lines where it is a stream."""
    kind = wanted or ("jsonl" if path == "-" else path[path.rfind(".") + 1 :])
    if kind not in KINDS:
        raise UserError(f"{path}: answers are written as .jsonl or .tsv; name the output so, or pass --output-format")
    return kind


def line_of(row: Row, answer: Line, kept: Sequence[str]) -> Line:
    """What is written of a row: its line, what is passed on, the answer. Raises UserError where both have a name."""
    if taken := {"line", *answer}.intersection(kept):
        raise UserError(f"keep names {min(taken)!r}, as an answer does; rename that column, or leave it out")
    return {"line": row.line, **row.kept(kept), **answer}


def to_json(line: Line) -> bytes:
    """A line of JSON."""
    return (json.dumps(line, ensure_ascii=False) + "\n").encode()


def writer(stream: IO[bytes], kind: str) -> Callable[[Sequence[Line]], None]:
    """What writes lines to a stream; in TSV after a header, for GLUE with the number of each row, from 0."""
    headers: list[list[str]] = []
    numbers = itertools.count()
    if kind == "glue":
        stream.write(b"index\tprediction\n")

    def write(lines: Sequence[Line]) -> None:
        if kind == "jsonl":
            stream.write(b"".join(map(to_json, lines)))
            return
        if kind == "glue":
            stream.write("".join(f"{next(numbers)}\t{_cell(line['predicted'])}\n" for line in lines).encode())
            return
        for line in lines:
            flat = _flat(line)
            if not headers:
                headers.append(list(flat))
                stream.write(("\t".join(map(_cell, flat)) + "\n").encode())
            stream.write(("\t".join(_cell(flat.get(name)) for name in headers[0]) + "\n").encode())

    return write


def _flat(line: Line) -> Line:
    """A class's probability as a cell of its own."""
    found = {name: value for name, value in line.items() if name != "probabilities"}
    probabilities = line.get("probabilities")
    if isinstance(probabilities, dict):
        return found | {f"probability {name}": value for name, value in probabilities.items()}
    return found if probabilities is None else found | {"probabilities": probabilities}


def _cell(value: Any) -> str:
    """A value as a cell of TSV, which has no tabs and no line ends."""
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return " ".join(text.split()) if any(mark in text for mark in "\t\n\r") else text
