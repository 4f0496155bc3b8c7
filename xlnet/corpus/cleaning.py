"""What is left out of a corpus before it becomes records, and what is mended; each is asked for by name.

What compares documents with each other (duplicates) is in `paragraphs`, `minhash` and `duplicates`.
"""

import re
from dataclasses import dataclass, replace

import ftfy
import numpy as np
from ftfy.badness import is_bad

from xlnet.corpus.characters import SPACE, SYMBOL, codes, kinds
from xlnet.corpus.documents import EXCERPT, DeadLetter, Document
from xlnet.corpus.manifest import REPAIRED
from xlnet.errors import require
from xlnet.settings import setting
from xlnet.special_pieces import PARAGRAPH_END

TOO_SHORT = "too short"
TOO_LONG = "too long"
SYMBOLS = "symbols"


BLOCK = 1 << 20  # characters that are looked up at once
_ASCII_OTHER = bytes(code for code in range(128) if not chr(code).isalnum() and not chr(code).isspace())
_ASCII_SPACE = b" \t\n\r\v\f\x1c\x1d\x1e\x1f"
# Characters that are no sign of a wrong encoding without others beside them: ASCII, typographic quotes and dashes,
# Chinese, Japanese, Korean. The library's own test looks at each for long.
_SUSPECT = re.compile("[^\\x00-\\x7f‘’“”–—…\\u2e80-\\ud7ff\\uf900-\\ufaff\\uff00-\\uffef]")
# Encoding alone: quotes, ligatures, widths and HTML are the author's.
_ENCODING = ftfy.TextFixerConfig(
    unescape_html=False,
    remove_terminal_escapes=False,
    fix_latin_ligatures=False,
    fix_character_width=False,
    uncurl_quotes=False,
    fix_line_breaks=False,
    fix_surrogates=False,
    remove_control_chars=False,
    normalization=None,
    explain=False,
)


@dataclass(frozen=True)
class CleaningSettings:
    """Which documents and paragraphs are left out.

    Raises UserError for wrong values.
    """

    repair_unicode: bool = setting(False, "mend text that was decoded with the wrong encoding")  # "schÃ¶n" for "schön"
    least_characters: int = setting(0, "leave out documents of fewer characters")
    most_characters: int = setting(0, "leave out documents of more characters; 0: no limit")
    most_symbols: float = setting(1.0, "leave out documents of which a larger share is neither letters nor digits")
    drop_duplicate_documents: bool = setting(False, "keep one of documents with the same text")
    drop_duplicate_paragraphs: bool = setting(False, "keep one of paragraphs with the same text")
    # In a dialogue, “Yes.” is no duplicate of another “Yes.”
    shortest_duplicate: int = setting(32, "characters of a paragraph; shorter ones stay, however often they come")
    drop_near_duplicates: bool = setting(False, "keep one of documents that share about 3 of 4 runs of 5 words")

    def __post_init__(self) -> None:
        require(self.least_characters >= 0, "least_characters", self.least_characters, "0 or more")
        most = max(1, self.least_characters)
        is_room = self.most_characters == 0 or self.most_characters >= most
        require(is_room, "most_characters", self.most_characters, f"0 (any number) or at least {most}")
        require(self.shortest_duplicate >= 0, "shortest_duplicate", self.shortest_duplicate, "0 or more")
        require(0 <= self.most_symbols <= 1, "most_symbols", self.most_symbols, "a share from 0 to 1")


@dataclass(frozen=True, slots=True)
class Removal:
    """A document that is left out: where it was, why, the first characters of it, and how many it has."""

    path: str
    line: int
    reason: str
    excerpt: str
    characters: int


def clean(document: Document, settings: CleaningSettings) -> Document | Removal:
    """The document as it is to be: the same object, or one that was repaired; or why it is left out.

    `<eop>` is a mark, not text: its characters are not counted.
    """
    if settings.repair_unicode:
        document = repair(document)
    if not settings.least_characters and not settings.most_characters and settings.most_symbols == 1:
        return document
    text = "\n".join(document.lines).replace(PARAGRAPH_END, "")
    characters = len(text) - len(document.lines) + 1
    reason = _reason(text, characters, settings)
    if reason is None:
        return document
    return Removal(document.path, document.line, reason, document.lines[0][:EXCERPT], characters)


def _reason(text: str, characters: int, settings: CleaningSettings) -> str | None:
    if characters < settings.least_characters:
        return TOO_SHORT
    if 0 < settings.most_characters < characters:
        return TOO_LONG
    return SYMBOLS if settings.most_symbols < 1 and symbol_share(text) > settings.most_symbols else None


def repair(document: Document) -> Document:
    """The document with the lines mended that were decoded with a wrong encoding; the same object if there are none."""
    if not any(map(_SUSPECT.search, document.lines)):
        return document
    lines = [_repaired(line) if _SUSPECT.search(line) else line for line in document.lines]
    return document if lines == document.lines else replace(document, lines=lines)


def _repaired(line: str) -> str:
    if not is_bad(line):
        return line
    return ftfy.fix_text(line, _ENCODING).strip() or line  # a no-break space may be all that is left


def repair_example(before: Document, after: Document) -> DeadLetter:
    """The first line that was repaired, as it was."""
    at = next(number for number, line in enumerate(before.lines) if line != after.lines[number])
    return DeadLetter(before.path, before.line + at, REPAIRED, before.lines[at][:EXCERPT])


def symbol_share(text: str) -> float:
    """The share of the visible characters of a text that are neither letters nor digits; of none, 0.

    A mark that is written with a letter (an accent, a vowel sign) is part of the letter.
    """
    if text.isascii():
        content = text.encode()
        visible = len(content.translate(None, _ASCII_SPACE))
        return 1 - len(content.translate(None, _ASCII_SPACE + _ASCII_OTHER)) / max(1, visible) if visible else 0.0
    visible = symbols = 0
    for start in range(0, len(text), BLOCK):
        counts = np.bincount(kinds()[codes(text[start : start + BLOCK])], minlength=SYMBOL + 1)
        visible, symbols = visible + int(counts.sum() - counts[SPACE]), symbols + int(counts[SYMBOL])
    return symbols / max(1, visible)
