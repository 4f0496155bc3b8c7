import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlnet.errors import UserError
from xlnet.tasks.features import features, features_and_cut, kept
from xlnet.text import Tokenizer


def one_at_a_time(length_a, length_b, room):
    while length_a + length_b > room:
        if length_a > length_b:
            length_a -= 1
        else:
            length_b -= 1
    return length_a, length_b


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 70))
def test_cutting_at_once_is_cutting_one_at_a_time(length_a, length_b, room):
    found = kept(np.array([length_a]), np.array([length_b]), room=np.array([room]))
    assert (found[0].item(), found[1].item()) == one_at_a_time(length_a, length_b, room)


def test_truncation_as_recorded(golden):
    cases = json.loads(golden("finetune_features.json").read_text())["truncate_seq_pair"]
    for case in cases:
        found = kept(np.array([case["len_a"]]), np.array([case["len_b"]]), room=np.array([case["max_length"]]))
        assert [part.item() for part in found] == [len(case["kept_a"]), len(case["kept_b"])], case


def test_features_as_recorded(golden):
    cases = json.loads(golden("finetune_features.json").read_text())["classifier"]
    vocabulary = golden("spiece.model")
    compared = 0
    for case in cases:
        if case["note"] == "PaddingInputExample":  # fills up batches of the original; ours are cut from rows
            continue
        tokenizer = Tokenizer(vocabulary, lower=case["lower"])
        pairs = None if case["text_b"] is None else [case["text_b"]]
        found = features(tokenizer, [case["text_a"]], pairs=pairs, sequence_length=case["max_seq_length"])
        assert found["pieces"][0].tolist() == case["input_ids"], case["note"]
        assert found["segments"][0].tolist() == case["segment_ids"], case["note"]
        assert found["padding"][0].tolist() == case["input_mask"], case["note"]
        compared += 1
    assert compared == len(cases) - 1


class Words:
    """A tokenizer of one piece a character, numbered from 10."""

    def encode_lines(self, lines):
        ids = [10 + ord(character) - ord("a") for line in lines for character in line]
        return np.array(ids, np.int32), np.array([len(line) for line in lines], np.int32)


def test_layout_of_singles_and_pairs():
    single = features(Words(), ["ab", "abcdefghij", ""], sequence_length=8)
    assert single["pieces"].tolist() == [
        [0, 0, 0, 0, 10, 11, 4, 3],
        [10, 11, 12, 13, 14, 15, 4, 3],
        [0, 0, 0, 0, 0, 0, 4, 3],
    ]
    assert single["segments"].tolist() == [
        [4, 4, 4, 4, 0, 0, 0, 2],
        [0, 0, 0, 0, 0, 0, 0, 2],
        [4, 4, 4, 4, 4, 4, 0, 2],
    ]
    pair = features(Words(), ["a", "abcdef", "ab"], pairs=["b", "klmnop", ""], sequence_length=8)
    assert pair["pieces"].tolist() == [
        [0, 0, 0, 10, 4, 11, 4, 3],
        [10, 11, 12, 4, 20, 21, 4, 3],
        [0, 0, 0, 0, 10, 11, 4, 3],
    ]
    assert pair["segments"].tolist() == [
        [4, 4, 4, 0, 0, 1, 1, 2],
        [0, 0, 0, 0, 1, 1, 1, 2],
        [4, 4, 4, 4, 0, 0, 0, 2],
    ]
    assert (pair["padding"] == (pair["segments"] == 4)).all()


texts = st.lists(st.text("abcdefgh", max_size=20), min_size=1, max_size=5)


@given(texts, st.data())
def test_rows_do_not_depend_on_each_other(firsts, data):
    seconds = data.draw(st.lists(st.text("klmn", max_size=20), min_size=len(firsts), max_size=len(firsts)))
    together = features(Words(), firsts, pairs=seconds, sequence_length=12)
    for row in range(len(firsts)):
        alone = features(Words(), firsts[row : row + 1], pairs=seconds[row : row + 1], sequence_length=12)
        for name, values in alone.items():
            assert (values[0] == together[name][row]).all()


def test_texts_that_lose_pieces_are_told():
    _, is_cut = features_and_cut(Words(), ["abcdef", "abcdefg", ""], sequence_length=8)
    assert is_cut.tolist() == [False, True, False]
    _, is_cut = features_and_cut(Words(), ["ab", "ab", "abcdefg"], pairs=["klm", "klmn", ""], sequence_length=8)
    assert is_cut.tolist() == [False, True, True]


def test_too_short_a_sequence_is_refused():
    with pytest.raises(UserError, match="sequence_length is 4, wanted is at least 8"):
        features(Words(), ["a"], sequence_length=4)
