"""One split of a file on its way to pieces: read, cut into sentences, cleaned; what is taken away is counted.

Whoever reads a split twice gets the same documents in the same order, so a document is known by its number.
"""

from collections.abc import Iterator

from xlnet.corpus import documents
from xlnet.corpus.cleaning import CleaningSettings
from xlnet.corpus.documents import DeadLetter, Document, Split
from xlnet.corpus.settings import CorpusSettings
from xlnet.corpus.tally import Tally


def documents_of(
    split: Split, tally: Tally, *, settings: CorpusSettings, clean: CleaningSettings
) -> Iterator[Document | DeadLetter]:
    """The documents of a split as they are to be, and what cannot be one; the tally counts what was removed."""
    reading = documents.read(split)
    yield from reading
    tally.lines = reading.lines
