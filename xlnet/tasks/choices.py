"""Questions with options to arrays of features: a row for each option, `<pad>... passage <sep> question <sep> <cls>`.

The layout is that of the reference's run_race.py, convert_single_example, but for its fault: there the pieces of an
option stay in the passage, which the options after it then see.
"""

from itertools import chain

import numpy as np
from numpy.typing import NDArray

from xlnet.errors import UserError
from xlnet.tasks.features import SEGMENT_PAD, SHORTEST, LineEncoder, firsts, laid_out
from xlnet.tasks.race import Questions


def features(
    tokenizer: LineEncoder, questions: Questions, *, sequence_length: int, option_length: int
) -> tuple[dict[str, NDArray[np.int32]], NDArray[np.bool_]]:
    """Arrays `pieces`, `segments` and `padding` (1 = padding), [n, options, sequence_length] each, of n questions; and
    which of them have lost pieces [n].

    Of a question with its option the last `option_length` pieces are kept, and of the passage the first that fit
    beside it. `options` is the most that one question has; a row that is all padding stands for none. Raises
    UserError when sequence_length is below 8.
    """
    if sequence_length < SHORTEST:
        raise UserError(f"sequence_length is {sequence_length}, wanted is at least {SHORTEST} pieces")
    counts = np.array([len(options) for options in questions.options])
    ids_a, length_a = tokenizer.encode_lines(questions.passages)
    ids_b, length_b = tokenizer.encode_lines(list(chain.from_iterable(map(questions.filled, range(len(questions))))))
    passage = np.repeat(np.array(questions.passage), counts)
    kept_b = np.minimum(length_b, min(option_length, sequence_length - 3))
    kept_a = np.minimum(length_a[passage], sequence_length - 3 - kept_b)
    a = (ids_a, firsts(length_a)[passage], kept_a)
    rows = laid_out(
        a, (ids_b, firsts(length_b) + length_b - kept_b, kept_b), special=3, sequence_length=sequence_length
    )
    is_there = np.arange(counts.max()) < counts[:, None]
    is_cut = (kept_a < length_a[passage]) | (kept_b < length_b)
    return {
        name: _by_question(values, is_there, filling={"padding": 1, "segments": SEGMENT_PAD}.get(name, 0))
        for name, values in rows.items()
    }, np.logical_or.reduceat(is_cut, firsts(counts))


def _by_question(rows: NDArray[np.int32], is_there: NDArray[np.bool_], *, filling: int) -> NDArray[np.int32]:
    """The rows of all options, [options of all, length], as [n, options, length]."""
    found = np.full((*is_there.shape, rows.shape[1]), filling, np.int32)
    found[is_there] = rows
    return found
