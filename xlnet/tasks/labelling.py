"""Sentences of words to arrays of features, and labels back from their pieces to the words.

A row is `<pad>... words <sep> <cls>`, as of a single text. A word is labelled at its first piece, as in Hugging Face's
examples and BERT's NER (Devlin et al. 2019, section 5.3). A sentence that is longer than a row is cut between words
into rows; no word is lost.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xlnet.corpus.characters import UNSPACED, kinds
from xlnet.errors import UserError
from xlnet.special_pieces import UNK
from xlnet.tasks.conll import Sentences
from xlnet.tasks.features import SHORTEST, firsts, laid_out
from xlnet.text import SPACE, Tokenizer

IGNORED = -1  # the target of pieces that do not begin a word


@dataclass(frozen=True)
class Rows:
    """Features of sentences, and where each word's first piece is."""

    inputs: dict[str, NDArray[np.int32]]  # `pieces`, `segments`, `padding` (1 = padding), [rows, length] each
    row: NDArray[np.integer]  # [words]
    column: NDArray[np.integer]  # [words]

    def targets(self, numbers: NDArray[np.integer]) -> NDArray[np.int32]:
        """Class numbers of words [words] at their pieces, [rows, length], and -1 elsewhere."""
        found = np.full(self.inputs["pieces"].shape, IGNORED, np.int32)
        found[self.row, self.column] = numbers
        return found

    def of_words(self, values: NDArray) -> NDArray:
        """What was answered at the words' first pieces: [rows, length, ...] to [words, ...]."""
        return values[self.row, self.column]


def features(tokenizer: Tokenizer, sentences: Sentences, *, sequence_length: int) -> Rows:
    """The rows of all sentences, in order. Raises UserError when sequence_length is below 8.

    A word of which the tokenizer leaves nothing is `<unk>`; of one longer than a row the first pieces are kept.
    """
    if sequence_length < SHORTEST:
        raise UserError(f"sequence_length is {sequence_length}, wanted is at least {SHORTEST} pieces")
    room = sequence_length - 2
    ids, lengths = _encoded(tokenizer, sentences, room=room)
    breaks = _breaks(lengths, np.array(sentences.lengths), room=room)
    first = firsts(lengths)
    kept = np.add.reduceat(lengths, breaks)
    nothing = np.zeros(len(breaks), np.int64)
    inputs = laid_out(
        (ids, first[breaks], kept), (ids[:0], nothing, nothing), special=2, sequence_length=sequence_length
    )
    row = np.repeat(np.arange(len(breaks)), np.diff(np.append(breaks, len(lengths))))
    return Rows(inputs, row, (room - kept - first[breaks])[row] + first)


def _encoded(
    tokenizer: Tokenizer, sentences: Sentences, *, room: int
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Ids of all words, and how many each has: from 1 to `room`.

    Words of scripts that set no spaces have no piece of their own for a word's beginning: in running text, which the
    model was trained on, there is none between them.
    """
    ids, lengths = tokenizer.encode_lines(sentences.words)
    ids, lengths = np.insert(ids, firsts(lengths)[lengths == 0], UNK), np.maximum(lengths, 1)
    begin = firsts(lengths)
    is_lone = (lengths > 1) & np.isin(ids[begin], [id for id in np.unique(ids[begin]) if tokenizer.piece(id) == SPACE])
    is_lone &= _are_unspaced(sentences.words)
    ids, lengths = np.delete(ids, begin[is_lone]), lengths - is_lone
    within = np.arange(len(ids)) - np.repeat(firsts(lengths), lengths)
    return ids[within < room], np.minimum(lengths, room)


def _are_unspaced(words: list[str]) -> NDArray[np.bool_]:
    if all(map(str.isascii, words)):  # without the table, which takes a second to make
        return np.zeros(len(words), bool)
    return kinds()[[ord(word[0]) for word in words]] == UNSPACED


def _breaks(lengths: NDArray[np.integer], words: NDArray[np.integer], *, room: int) -> NDArray[np.integer]:
    """The first word of each row: a sentence begins one, and a word that no longer fits."""
    ends = np.cumsum(lengths)
    found = []
    for begin, end in zip(firsts(words), np.cumsum(words), strict=True):
        while begin < end:
            found.append(begin)
            begin = min(end, np.searchsorted(ends, ends[begin] - lengths[begin] + room, side="right"))
    return np.array(found)
