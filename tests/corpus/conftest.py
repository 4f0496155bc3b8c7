"""Fixtures of the tests of text and records."""

import numpy as np
import pytest

from xlnet.corpus.streams import Stream
from xlnet.special_pieces import EOD


@pytest.fixture(scope="session")
def text_stream():
    """A stream of a text: a sentence a line, an empty line between documents, <eod> after each."""

    def make(tokenizer, text):
        pieces, lengths = [], []
        for document in text.strip().split("\n\n"):
            ids, counts = tokenizer.encode_lines(document.split("\n"))
            counts = counts[counts > 0]
            counts[-1] += 1
            pieces.append(np.append(ids, EOD))
            lengths.append(counts)
        return Stream(np.concatenate(pieces), np.cumsum(np.concatenate(lengths))[:-1])

    return make
