"""Normalisation of text: one, many lines at once, and with the place where each character comes from.

As in `prepro_utils.py` of Yang et al. 2019 (`preprocess_text`), character for character.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

PLANE = 0x10000  # the characters below take one code unit in UTF-16


def normalize(text: str, *, lower: bool = False, remove_space: bool = True, keep_accents: bool = False) -> str:
    """The text as SentencePiece gets to see it: `preprocess_text` of the reference.

    Runs of whitespace become one space, `` and '' become ", compatibility characters are taken apart (NFKD) and
    what combines with the letter before it is dropped, unless `keep_accents`.
    """
    if remove_space:
        text = " ".join(text.split())
    text = _replace(text, keep_accents=keep_accents)
    return text.lower() if lower else text


def _replace(text: str, *, keep_accents: bool) -> str:
    text = text.replace("``", '"').replace("''", '"')
    if keep_accents or text.isascii():
        return text
    text = _combining(0, PLANE).sub("", unicodedata.normalize("NFKD", text))
    is_beyond = len(text.encode("utf-16-le", "surrogatepass")) > 2 * len(text)
    return _combining(PLANE, 2 * PLANE).sub("", text) if is_beyond else text


@cache
def _combining(first: int, end: int) -> re.Pattern[str]:
    # A class of one plane's characters is a bit table to the regular expressions; one of two planes is a list.
    found = [chr(code) for code in range(first, end) if unicodedata.combining(chr(code))]
    return re.compile(f"[{''.join(found)}]")


def normalize_lines(lines: Sequence[str], *, lower: bool = False, keep_accents: bool = False) -> list[str]:
    """`normalize` of every line, many at once: only lines that can change are looked at one by one."""
    text = "\n".join(("", *lines, ""))
    if text.count("\n") != len(lines) + 1:  # a newline inside a line is whitespace
        return [normalize(line, lower=lower, keep_accents=keep_accents) for line in lines]
    irregular = _irregular_lines(text, keep_accents=keep_accents)
    # No rule looks across a newline, and none makes or takes one: it does not combine and is part of no word.
    text = text.replace("``", '"').replace("''", '"')
    normalized = text.split("\n")[1:-1]
    collapsed = "\n".join(" ".join(lines[index].split()) for index in irregular)
    replaced = _replace(collapsed, keep_accents=keep_accents).split("\n")
    for index, line in zip(irregular, replaced, strict=False):
        normalized[index] = line
    return [line.lower() for line in normalized] if lower else normalized


def _irregular_lines(text: str, *, keep_accents: bool) -> list[int]:
    """Which lines need more than quotes replaced; every line stands between two newlines."""
    units = np.frombuffer(text.encode("utf-16-le", "surrogatepass"), np.uint16)
    is_space, is_gap = units == ord(" "), units <= ord(" ")
    needless = np.flatnonzero(is_space[1:] & is_gap[:-1] | is_space[:-1] & is_gap[1:])
    rare = np.flatnonzero((units < ord(" ")) | (units >= 128))
    newlines = rare[units[rare] == ord("\n")]
    changing = rare[_is_changing(keep_accents)[units[rare]]]
    found = np.unique(np.searchsorted(newlines, np.concatenate([needless, changing]), side="right"))
    return (found - 1).tolist()


@cache
def _is_changing(keep_accents: bool) -> NDArray[np.bool_]:
    """Which UTF-16 code units may be part of what normalisation changes, U+0020 and newline apart [65536]."""

    def changes(character: str) -> bool:
        if character.isspace():
            return character not in " \n"
        if keep_accents:
            return False
        is_surrogate = unicodedata.category(character) == "Cs"
        taken_apart = unicodedata.normalize("NFKD", character) != character
        return is_surrogate or taken_apart or unicodedata.combining(character) > 0

    return np.array([changes(chr(code)) for code in range(PLANE)])


def align(
    text: str, *, lower: bool = False, keep_accents: bool = False
) -> tuple[str, NDArray[np.int32], NDArray[np.int32]]:
    """`normalize(text)`, and where in `text` each of its characters comes from: starts and ends [characters].

    Characters made of one character share its place; what was dropped belongs to the character before it.
    """
    normalized = normalize(text, lower=lower, keep_accents=keep_accents)
    if normalized == text:
        starts = np.arange(len(text), dtype=np.int32)
        return text, starts, starts + 1
    starts, ends = _places(text, lower=lower, keep_accents=keep_accents)
    return normalized, starts, ends


def _places(text: str, *, lower: bool, keep_accents: bool) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    first, last = len(text) - len(text.lstrip()), len(text.rstrip())
    made = np.ones(last, np.int32)  # of each character; of several that change as one, of the first
    made[:first] = 0
    ends = np.arange(1, last + 1, dtype=np.int32)
    dropped = []
    for unit in _changing_units(keep_accents).finditer(text, first, last):
        start, end = unit.span()
        made[start:end] = 0
        made[start] = _made(unit[0], lower, keep_accents)
        ends[start] = end
        if not made[start]:
            dropped.append(start)
    for start in dropped:
        before = start - 1
        while before >= first and not made[before]:
            before -= 1
        if before >= first:
            ends[before] = ends[start]
    return np.repeat(np.arange(last, dtype=np.int32), made), np.repeat(ends, made)


@cache
def _made(unit: str, lower: bool, keep_accents: bool) -> int:
    """How many characters become of one that changes, or of some that change as one."""
    made = " " if unit.isspace() else _replace(unit, keep_accents=keep_accents)
    return len(made.lower() if lower else made)  # lower case never changes length by what stands around


@cache
def _changing_units(keep_accents: bool) -> re.Pattern[str]:
    """What may come out as other than one character that stands for itself; İ is two in lower case."""
    table = _is_changing(keep_accents)
    found = "".join(chr(code) for code in np.flatnonzero(table) if not chr(code).isspace())
    return re.compile(rf"``|''|\s{{2,}}|[^\S ]|[İ{re.escape(found)}]|[\U00010000-\U0010ffff]")
