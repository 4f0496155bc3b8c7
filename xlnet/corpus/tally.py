"""What was read from one split of a file, small enough to travel: counts, and where the dead letters lie."""

import contextlib
import json
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import IO

from xlnet import storage
from xlnet.corpus.documents import DeadLetter
from xlnet.corpus.tokenized import Block

EXAMPLES = 20  # of what was removed for one reason


@dataclass
class Removed:
    """What cleaning took away for one reason."""

    documents: int = 0
    paragraphs: int = 0
    characters: int = 0
    pieces: int = 0
    examples: list[DeadLetter] = field(default_factory=list)

    def add(self, example: DeadLetter, *, documents: int = 0, paragraphs: int = 0, characters: int = 0) -> None:
        """Count a removal, and keep it if it is among those that are shown."""
        self.documents += documents
        self.paragraphs += paragraphs
        self.characters += characters
        self.examples.append(example)
        if len(self.examples) > 8 * EXAMPLES:
            self.examples = shown(self.examples)

    def counts(self) -> dict[str, int]:
        """The counts by name."""
        return {name: getattr(self, name) for name in ("documents", "paragraphs", "characters", "pieces")}


def shown(examples: Iterable[DeadLetter]) -> list[DeadLetter]:
    """A few of the examples, the same ones in whatever order and grouping they come, from all over the text."""
    chosen = sorted(
        set(examples), key=lambda one: (zlib.crc32(one.excerpt.encode(errors="replace")), one.path, one.line)
    )
    return sorted(chosen[:EXAMPLES], key=lambda one: (one.path, one.line))


@dataclass
class Tally:
    """What was read from one split; `documents` are those that went on as pieces."""

    path: str
    start: int
    part: int
    source: int
    documents: int = 0
    characters: int = 0
    pieces: int = 0
    unknown: int = 0
    lines: int = 0  # that begin in the split: the next split's lines are numbered from there on
    dead: dict[str, int] = field(default_factory=dict)  # dead letters by reason
    dead_file: str = ""  # where they are, as JSON lines, with line numbers within the split
    removed: dict[str, Removed] = field(default_factory=dict)  # by reason

    def add(self, block: Block) -> None:
        """Count a block."""
        self.documents += block.tokenized.sizes.size
        self.characters += block.characters
        self.pieces += block.tokenized.pieces.size
        self.unknown += block.unknown

    def to_bytes(self) -> bytes:
        """The tally as JSON, for transport; no more examples than are shown, for all tallies meet at the end."""
        removed = {reason: replace(of, examples=shown(of.examples)) for reason, of in self.removed.items()}
        return json.dumps(asdict(replace(self, removed=removed))).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> "Tally":
        """What `to_bytes` wrote."""
        values = json.loads(content)
        for removed in values["removed"].values():
            removed["examples"] = [DeadLetter(**example) for example in removed["examples"]]
        removed = {reason: Removed(**counts) for reason, counts in values["removed"].items()}
        return cls(**values | {"removed": removed})


class DeadLetterFile:
    """Where the dead letters of a split go, as JSON lines; a file only if there are some. A context manager."""

    def __init__(self, path: str, tally: Tally) -> None:
        self.path, self.tally = path, tally
        self._stack = contextlib.ExitStack()
        self._stream: IO[bytes] | None = None
        self._counts: Counter[str] = Counter()

    def __enter__(self) -> "DeadLetterFile":
        return self

    def write(self, letters: Iterable[DeadLetter]) -> None:
        """Append and count dead letters."""
        for letter in letters:
            if self._stream is None:
                self._stream = self._stack.enter_context(storage.writing(self.path))
            self._stream.write(json_line(letter))
            self._counts[letter.reason] += 1

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)  # type: ignore[arg-type]
        if self._counts:
            self.tally.dead, self.tally.dead_file = dict(self._counts), self.path


def json_line(letter: DeadLetter) -> bytes:
    """A dead letter, or an example of what was removed, as a line of JSON."""
    return (json.dumps(asdict(letter), ensure_ascii=False) + "\n").encode(errors="replace")
