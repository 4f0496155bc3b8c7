"""Exact match and F1 of Chinese answers by CMRC 2018's official rules, which DRCD is measured by as well.

Source: the evaluation script of CMRC 2018 (Cui et al. 2019), version 5.
"""

import re
from difflib import SequenceMatcher

from xlnet.tasks.span_scoring import overlap_f1
from xlnet.tasks.treebank import words

PUNCTUATION = str.maketrans("", "", "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
CHINESE = re.compile("([\u4e00-\u9fa5])")


def normalized(answer: str) -> str:
    """An answer as it is compared: lower case, without the punctuation that the official script leaves out."""
    return answer.lower().strip().translate(PUNCTUATION)


def segments(answer: str) -> list[str]:
    """What F1 counts: Chinese characters, and words of what stands between them."""
    found: list[str] = []
    for part in filter(None, CHINESE.split(normalized(answer))):
        found += [part] if CHINESE.fullmatch(part) else words(part)
    return found


def exact(gold: str, predicted: str) -> float:
    """1 where the two are the same when normalised."""
    return float(normalized(gold) == normalized(predicted))


def f1(gold: str, predicted: str) -> float:
    """The longest run of segments that both have, over their lengths; 0 where there is none."""
    wanted, given = segments(gold), segments(predicted)
    match = SequenceMatcher(None, wanted, given, autojunk=False).find_longest_match()
    return overlap_f1(match.size, len(wanted), len(given)) if match.size else 0.0
