"""What a corpus holds, counted: documents, sentences, characters, and which characters they are."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xlnet.special_pieces import PARAGRAPH_END

CODES = 0x110000  # Unicode's code points
SHOWN = 10  # characters outside a vocabulary that are shown


@dataclass(eq=False)
class Census:
    """Counts of one source; `characters`, `text_bytes` and `codes` are those of the sentences, as normalised."""

    documents: int = 0
    sentences: int = 0
    characters: int = 0
    text_bytes: int = 0  # in UTF-8
    left_out: int = 0  # sentences with a word too long to learn from
    dead_letters: dict[str, int] = field(default_factory=dict)  # by reason
    codes: NDArray[np.int64] = field(default_factory=lambda: np.zeros(CODES, np.int64))  # [code points] occurrences

    def count_text(self, sentences: Iterable[str]) -> None:
        """Count the characters of sentences."""
        text = "".join(sentences)
        self.characters += len(text)
        self.text_bytes += len(text.encode())
        found = np.bincount(np.frombuffer(text.replace(PARAGRAPH_END, "").encode("utf-32-le"), "<u4"))
        self.codes[: found.size] += found

    def reject(self, reason: str, *, amount: int = 1) -> None:
        """Count dead letters of one reason."""
        self.dead_letters[reason] = self.dead_letters.get(reason, 0) + amount

    def add(self, other: "Census") -> None:
        """Count what another has counted."""
        for name, amount in other.amounts().items():
            setattr(self, name, getattr(self, name) + amount)
        for reason, amount in other.dead_letters.items():
            self.reject(reason, amount=amount)
        self.codes += other.codes

    def amounts(self) -> dict[str, int]:
        """The plain counts by name."""
        return {
            name: getattr(self, name) for name in ("documents", "sentences", "characters", "text_bytes", "left_out")
        }

    def alphabet(self) -> dict[str, int]:
        """How often each character occurs."""
        used = np.flatnonzero(self.codes)
        return dict(zip(map(chr, used.tolist()), self.codes[used].tolist(), strict=True))

    def outside(self, is_known: Callable[[str], bool]) -> dict[str, int]:
        """How often each character occurs that is not known, the most frequent first."""
        unknown = {character: count for character, count in self.alphabet().items() if not is_known(character)}
        return dict(sorted(unknown.items(), key=lambda item: (-item[1], item[0])))

    def report(self, is_known: Callable[[str], bool]) -> dict[str, Any]:
        """All counts, for JSON; `is_known` tells whether a vocabulary has a character."""
        outside = self.outside(is_known)
        return self.amounts() | {
            "dead_letters": dict(sorted(self.dead_letters.items())),
            "distinct_characters": int(np.count_nonzero(self.codes)),
            "characters_outside": sum(outside.values()),
            "distinct_characters_outside": len(outside),
            "most_frequent_outside": dict(list(outside.items())[:SHOWN]),
        }

    def to_bytes(self) -> bytes:
        """Compact bytes, for transport."""
        codes = {str(code): int(self.codes[code]) for code in np.flatnonzero(self.codes)}
        return json.dumps(self.amounts() | {"dead_letters": self.dead_letters, "codes": codes}).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> "Census":
        """What `to_bytes` wrote."""
        fields = json.loads(content)
        codes = fields.pop("codes")
        census = cls(**fields)
        census.codes[list(map(int, codes))] = list(codes.values())
        return census
