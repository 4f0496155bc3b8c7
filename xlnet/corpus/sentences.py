"""Paragraphs to sentences, a line each, in the reference's form: the last one of a paragraph ends in `<eop>`.

The library looks for ends of sentences, and leaves two kinds out: those within quotation marks, which it takes for one
unbroken whole, and those of Chinese before a digit. So it is given the text without quotation marks, which then go to
the side where they belong, and the full stops of Chinese, which mean nothing else, end a sentence by themselves.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate, pairwise

from sentencex import segment

from xlnet.corpus.parsing import Document
from xlnet.special_pieces import PARAGRAPH_END

WINDOW = 1 << 13  # characters that the library is given at once: its time can grow with their square

_QUOTE = re.compile('["“”„‘’«»「」『』]')
_UNQUOTED = str.maketrans("", "", '"“”„‘’«»「」『』')
_OPENING = frozenset("“„‘«「『")
_FULL_STOP = re.compile(r"(?:[。！？]|．(?![0-9０-９]))[。！？．…]*[）】》〉]*(?![，、；：）》〉,.;:)])")
_INSIDE = re.compile(r"[—–，、；：）》〉。！？．,;:)\]!?]|\.(?!\.)|(?<=．)[0-9０-９]")  # begins no sentence
_WIDE_SPACE = re.compile(r"[^\S\x00-\x7f]")
_DOTS = re.compile(r"…[…\s]*")


def split_document(document: Document, *, language: str) -> Document:
    """The document with a sentence a line, where each line was a paragraph."""
    lines: list[str] = []
    for paragraph in document.lines:
        text = paragraph.removesuffix(PARAGRAPH_END)
        *others, last = split(text, language) or [text]
        lines += [*others, last + PARAGRAPH_END]
    return replace(document, lines=lines)


def split(paragraph: str, language: str) -> list[str]:
    """The sentences of a paragraph, without the whitespace around them; `language` is an ISO 639 code."""
    unquoted = paragraph.translate(_UNQUOTED)
    ends = list(_ends(unquoted, language))
    if len(unquoted) < len(paragraph):
        ends = _requoted(ends, paragraph)
    parts = (paragraph[start:end].strip() for start, end in pairwise([0, *ends, len(paragraph)]))
    return [part for part in parts if part]


def _ends(text: str, language: str) -> Iterator[int]:
    """Where sentences end within a text, the whitespace after them included; growing."""
    start = last = 0
    for stop in [*(found.end() for found in _FULL_STOP.finditer(text)), len(text)]:
        while start < stop:
            window = min(stop, start + WINDOW)
            ends = list(accumulate(map(len, _segments(language, text[start:window])), initial=start))[1:-1]
            for end in ends:
                moved = _moved(text, end)
                if last < moved < window:
                    yield (last := moved)
            # What is behind the last end of a window may go on behind it.
            start = ends[-1] if ends and window < stop else window
        if last < stop < len(text):
            yield (last := stop)


def _segments(language: str, text: str) -> list[str]:
    """What the library takes for sentences; together they are as long as the text.

    Its code counts bytes where a space has several, and then panics: it is given plain ones.
    """
    plain = _WIDE_SPACE.sub(" ", text)
    try:
        return list(segment(language, plain))
    except BaseException as panic:
        if type(panic).__name__ != "PanicException":  # which is no Exception, and cannot be imported
            raise
        return [text]


def _moved(text: str, end: int) -> int:
    """The end of a sentence, dots behind it included; -1 where none is, as what follows begins no sentence."""
    dots = _DOTS.match(text, end)
    end = dots.end() if dots else end
    return -1 if text[end : end + 1].islower() or _INSIDE.match(text, end) else end


def _requoted(ends: list[int], paragraph: str) -> list[int]:
    """Where the ends in a paragraph without quotation marks lie in the whole one: closing ones go before them."""
    marks = [found.start() for found in _QUOTE.finditer(paragraph)]
    places = [mark - number for number, mark in enumerate(marks)]  # in the text without
    is_closing = list(_closings(paragraph, marks))
    moved = []
    for end in ends:
        number = bisect_left(places, end)
        while number < len(marks) and places[number] == end and is_closing[number]:
            number += 1
        moved.append(end + number)
    return moved


def _closings(paragraph: str, marks: list[int]) -> Iterator[bool]:
    """Whether each quotation mark closes; a straight one does when one is open and no space is before it."""
    is_open = False
    for mark in marks:
        if paragraph[mark] == '"':
            is_open = not is_open or paragraph[mark - 1 : mark].isspace()
        else:
            is_open = paragraph[mark] in _OPENING
        yield not is_open
