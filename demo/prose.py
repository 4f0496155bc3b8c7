"""Hard-wrapped plain text -> paragraphs of sentences; code, tables and doctests are left out.

Written for docstrings and for the language reference: blocks between empty lines are reflowed, list items become
paragraphs of their own, and a block stays only if it reads like English.
"""

import re
from collections.abc import Iterator, Sequence

Paragraph = tuple[str, ...]
"""The sentences of one paragraph."""

_BULLET = re.compile(r"^\s*(?:[*+•-]|\(?\d{1,2}[.)]|\(?[a-z]\))\s+(?=\S)")
_DEFINITION = re.compile(r"\s*[:@]?[\w*.]+(?: \w+)?(?:\([^)]*\))?\s?(?:--|-|:|=>)\s+(?=\S)")
_RULER = re.compile(r"\s*(?:([^\w\s])\1{2,}|\+[-=+]+\+|\|.*\||(?:[=-]{2,}\s+)+[=-]{2,})\s*$")
_DOCTEST = re.compile(r"\s*(?:>>>|\.\.\. |\$ |% )")

_MARKUP = (
    (re.compile(r":[a-z:]+:`~?\.?([^`<]+)(?:<[^`]*>)?`"), r"\1"),  # :class:`Thread`
    (re.compile(r"`{1,2}([^`]+)(?:`{1,2}|'{1,2})"), r"\1"),
    (re.compile(r"(?<![\w*])\*{1,2}([^*\s](?:[^*]{0,60}[^*\s])?)\*{1,2}(?![\w*])"), r"\1"),
    (re.compile(r"^(?:New|Changed|Deprecated)(?: since| in)? version [\d.]+(?:, [a-z ]+ [\d.]+)?:\s*"), ""),
    (re.compile(r"\s\[\d+\]"), ""),  # footnote marks
    (re.compile(r"::$"), ":"),
)
_PLAIN = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "–": "-", "—": "-", "…": "...", "\u00a0": " "})

_SENTENCE_END = re.compile(r"(?<=[.!?])([\"')\]]*)\s+(?=[\"'(\[]*[A-Z0-9])")
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|etc|vs|cf|al|resp|approx|Mrs?|Ms|Dr|St|No|Vol|Fig|Sec|pp?|[A-Z]))\.$")

_CODE = re.compile(
    r"::=|>>>|\+--|\bself\.|==|\+=|->|\{\}|\\n|</|;$|\w\s=\s\S|https?:\S+$"
    r"|^(?:def|class|import|from|for|print|usage)\b.*[:=(]"
)
_FUNCTION_WORDS = re.compile(
    r"\b(?:an?|the|of|to|in|on|at|by|for|with|from|as|is|are|was|were|be|been|its?|this|that|these|those|and|or|not|no"
    r"|if|when|which|who|what|where|while|than|then|can|may|must|will|would|should|could|has|have|had|do|does|i|you|he"
    r"|she|they|we|his|her|their|your|my|all|any|each|but|so|there)\b",
    re.IGNORECASE,
)
MINIMUM_WORDS = 4


def paragraphs(text: str) -> list[Paragraph]:
    """The prose of a text, in order, one tuple of sentences a paragraph."""
    found = []
    for lines in _blocks(text.expandtabs().splitlines()):
        block = clean(reflow(lines))
        if is_prose(block):
            found.append(tuple(sentences(block)))
    return found


def _blocks(lines: Sequence[str]) -> Iterator[list[str]]:
    """Lines that belong together, between empty lines, rulers, doctests, list items and changes of indent."""
    block: list[str] = []
    indent, in_doctest = 0, False
    for line in lines:
        blank = not line.strip()
        in_doctest = not blank and (in_doctest or bool(_DOCTEST.match(line)))
        if blank or in_doctest or _RULER.match(line):
            yield from _flush(block)
            continue
        opening = _BULLET.match(line) or _DEFINITION.match(line)
        own = len(line) - len(line.lstrip())
        # A hanging second line ("- an item" / "  goes on") sets the indent; later changes end the block.
        if block and (opening or (own != indent and len(block) > 1)):
            yield from _flush(block)
        block.append(_BULLET.sub("", line, count=1))
        indent = own
    yield from _flush(block)


def _flush(block: list[str]) -> Iterator[list[str]]:
    if block:
        yield list(block)
        block.clear()


def reflow(lines: Sequence[str]) -> str:
    """One line out of wrapped ones; a word that was broken at its hyphen is whole again."""
    text = "\n".join(line.strip() for line in lines)
    text = re.sub(r"(?<=[a-z]-)\n(?=[a-z])", "", text)
    return re.sub(r"\s+", " ", text).strip()


def clean(text: str) -> str:
    """Without the marks of a markup language, which say nothing, and with plain quotes."""
    text = text.translate(_PLAIN)
    for pattern, replacement in _MARKUP:
        text = pattern.sub(replacement, text)
    return re.sub(r"\s+", " ", text).strip()


def is_prose(text: str) -> bool:
    """Whether a reflowed block reads like English: mostly letters, with the small words English needs."""
    words = re.findall(r"[A-Za-z']+", text)
    if len(words) < MINIMUM_WORDS or _CODE.search(text):
        return False
    letters = sum(character.isalpha() or character == " " for character in text)
    return letters >= 0.85 * len(text) and len(_FUNCTION_WORDS.findall(text)) >= 0.12 * len(words)


def sentences(text: str) -> list[str]:
    """Cut after `.`, `!` or `?` before a capital or a digit; abbreviations and initials end no sentence."""
    parts, start = [], 0
    for end in _SENTENCE_END.finditer(text):
        if not _ABBREVIATION.search(text[start : end.start()]):
            parts.append(text[start : end.end(1)].strip())
            start = end.end()
    parts.append(text[start:].strip())
    return [part for part in parts if part]


def key(text: str) -> str:
    """What two near-identical texts share: their letters, in lower case."""
    return re.sub(r"[^a-z]+", " ", text.lower()).strip()
