"""What kind of character each code point is."""

import functools
import sys
import unicodedata

import numpy as np
from numpy.typing import NDArray

SPACE, SYMBOL, LETTER, UNSPACED = range(4)
_UNSPACED = (  # scripts that set no spaces between words
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x312F),  # Hiragana, Katakana, Bopomofo
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # Chinese
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9D),
    (0x20000, 0x3FFFD),
)


@functools.cache
def kinds() -> NDArray[np.uint8]:
    """The kind of each code point [1,114,112].

    A letter is also a digit, and a mark that is written with a letter (an accent, a vowel sign).
    """
    found = np.full(sys.maxunicode + 1, SYMBOL, np.uint8)
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        if character.isspace():
            found[code] = SPACE
        elif character.isalnum() or unicodedata.category(character)[0] == "M":
            found[code] = LETTER
    for first, last in _UNSPACED:
        part = found[first : last + 1]
        part[part == LETTER] = UNSPACED
    return found


def codes(text: str) -> NDArray[np.uint32]:
    """The code points of a text."""
    return np.frombuffer(text.encode("utf-32-le"), "<u4")
