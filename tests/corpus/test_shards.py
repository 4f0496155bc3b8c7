from dataclasses import replace

import numpy as np
import pytest

from xlnet.corpus import shards
from xlnet.corpus.settings import CorpusSettings
from xlnet.corpus.shards import Recipe, write_shard
from xlnet.corpus.tokenized import TokenizedDocuments, document_key
from xlnet.special_pieces import EOD

SMALL = CorpusSettings(sequence_length=32, reuse_length=16, permutation_size=16, predictions=4, shards=3)
RECIPE = Recipe(SMALL, np.ones(100, np.bool_), "a" * 64, (1.0,), unique=True)


def documents(names, size=10):
    """A document of so many pieces for each name; equal names are equal documents."""
    keys = np.frombuffer(b"".join(document_key([name], seed=0) for name in names), np.uint8).reshape(-1, 16)
    pieces = np.concatenate([[*[20 + int(name) % 70] * (size - 1), EOD] for name in names]).astype(np.uint16)
    ones = np.ones(len(names), np.int32)
    return TokenizedDocuments(keys, np.zeros(len(names), np.uint16), size * ones, ones, size * ones, pieces)


def write(folder, names, *, recipe=RECIPE, passes=1):
    return write_shard(str(folder), 0, [documents(names)], recipe=recipe, passes=range(passes))


@pytest.mark.parametrize(("count", "most"), [(3, shards.EXAMPLES), (400, 2), (99_999, 1)])
def test_many_shards_give_few_examples_each(count, most, tmp_path):
    names = [str(number % 30) for number in range(60)]
    summary = write(tmp_path, names, recipe=replace(RECIPE, settings=replace(SMALL, shards=count)))
    assert (summary.documents, summary.duplicates, len(summary.examples)) == (60, 30, most)


def test_what_changes_the_bytes_changes_the_name(tmp_path):
    names = [str(number) for number in range(20)]
    made = [
        write(tmp_path, names, passes=2).files,
        write(tmp_path, names[1:]).files,
        write(tmp_path, names, recipe=replace(RECIPE, weights=(2.0,))).files,
        write(tmp_path, names, recipe=replace(RECIPE, vocabulary="b" * 64)).files,
        write(tmp_path, names, recipe=replace(RECIPE, settings=replace(SMALL, span_longest=4))).files,
    ]
    every = [file for files in made for file in files]
    assert len({file.file for file in every}) == len({file.address for file in every}) == len(every) == 6
    again = write(tmp_path, names[::-1], recipe=replace(RECIPE, settings=replace(SMALL, passes=7)), passes=2)
    assert again.files == made[0]
