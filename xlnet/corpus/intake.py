"""One split of a file on its way to pieces: read, cut into sentences, cleaned; what is taken away is counted.

Whoever reads a split twice gets the same documents in the same order, so a document is known by its number.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xlnet.corpus import cleaning, documents, paragraphs
from xlnet.corpus.cleaning import CleaningSettings, Removal
from xlnet.corpus.documents import EXCERPT, DeadLetter, Document, Split
from xlnet.corpus.manifest import REPAIRED
from xlnet.corpus.settings import CorpusSettings
from xlnet.corpus.tally import Removed, Tally

NEAR, PARAGRAPH = "near duplicate", "duplicate paragraph"
WHOLE = (1 << 32) - 1  # in the place of a paragraph's number: the document
Repeats = Mapping[int, Collection[int]]  # by the number of a document: its paragraphs that come elsewhere, or WHOLE


def documents_of(
    split: Split, tally: Tally, *, settings: CorpusSettings, clean: CleaningSettings
) -> Iterator[Document | DeadLetter]:
    """The documents of a split as they are to be, and what cannot be one; the tally counts what was removed."""
    reading = documents.read(split, wrapped=settings.wrapped_lines)
    for item in reading:
        kept = item if isinstance(item, DeadLetter) else _prepared(item, tally, settings=settings, clean=clean)
        if kept is not None:
            yield kept
    tally.lines = reading.lines


def _prepared(
    document: Document, tally: Tally, *, settings: CorpusSettings, clean: CleaningSettings
) -> Document | None:
    if settings.split_sentences:
        from xlnet.corpus import sentences  # its library is loaded where sentences are split

        document = sentences.split_document(document, language=settings.language)
    result = cleaning.clean(document, clean)
    if isinstance(result, Removal):
        example = DeadLetter(result.path, result.line, result.reason, result.excerpt)
        _removed(tally, result.reason).add(example, documents=1, characters=result.characters)
        return None
    if result is not document:
        _removed(tally, REPAIRED).add(cleaning.repair_example(document, result), documents=1)
    return result


def _removed(tally: Tally, reason: str) -> Removed:
    return tally.removed.setdefault(reason, Removed())


def repeats(places: NDArray[np.void]) -> dict[int, set[int]]:
    """What is to be left out of each document of a split, from the places (`duplicates.PLACE`) of all repeats in it."""
    found: dict[int, set[int]] = defaultdict(set)
    for _, document, part in places.tolist():
        found[document].add(part)
    return found


def without_repeats(
    items: Iterator[Document | DeadLetter], found: Repeats, tally: Tally
) -> Iterator[Document | DeadLetter]:
    """What is left of the documents of a split when what comes elsewhere is taken away."""
    number = 0
    for item in items:
        if isinstance(item, DeadLetter):
            yield item
            continue
        kept = _without(item, found[number], tally) if number in found else item
        number += 1
        if kept is not None:
            yield kept


def _without(document: Document, numbers: Collection[int], tally: Tally) -> Document | None:
    before = sum(map(len, document.lines))
    if WHOLE in numbers:
        _removed(tally, NEAR).add(_example(document, NEAR, document.lines[0]), documents=1, characters=before)
        return None
    kept = paragraphs.without(document, numbers)
    after = sum(map(len, kept.lines)) if kept else 0
    first = paragraphs.of(document.lines)[min(numbers)][0]
    amounts: dict[str, Any] = {"paragraphs": len(numbers), "characters": before - after}
    _removed(tally, PARAGRAPH).add(_example(document, PARAGRAPH, first), documents=int(kept is None), **amounts)
    return kept


def _example(document: Document, reason: str, text: str) -> DeadLetter:
    return DeadLetter(document.path, document.line, reason, text[:EXCERPT])
