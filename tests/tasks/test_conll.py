"""CoNLL files to sentences, sentences to rows, and labels back to words."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlnet import vocab
from xlnet.errors import UserError
from xlnet.special_pieces import CLS, SEP, UNK
from xlnet.tasks import conll, labelling
from xlnet.tasks.conll import Sentences
from xlnet.text import Tokenizer

CONLL_2003 = """-DOCSTART- -X- -X- O

EU NNP B-NP I-ORG
rejects VBZ B-VP O
German JJ B-NP I-MISC
call NN I-NP O
. . O O

-DOCSTART- -X- -X- O

Peter NNP B-NP I-PER
Blackburn NNP I-NP I-PER
"""


def write(path: Path, content: str) -> str:
    path.write_text(content, encoding="utf-8")
    return str(path)


def test_conll_2003_is_read_and_its_labels_come_in_bio2(tmp_path):
    found = conll.read(write(tmp_path / "eng.train", CONLL_2003))
    assert found.words == ["EU", "rejects", "German", "call", ".", "Peter", "Blackburn"]
    assert found.labels == ["B-ORG", "O", "B-MISC", "O", "O", "B-PER", "I-PER"]
    assert (found.lengths, found.lines) == ([5, 2], [3, 4, 5, 6, 7, 11, 12])
    assert conll.classes(found) == ["O", "B-MISC", "I-MISC", "B-ORG", "I-ORG", "B-PER", "I-PER"]
    assert found.of(1, found.words) == ["Peter", "Blackburn"]
    assert found.where(1).endswith("eng.train:11")


def test_any_column_is_read_and_labels_without_entities_stand_for_themselves(tmp_path):
    path = write(tmp_path / "eng.train", CONLL_2003)
    found = conll.read(path, label_column="1")
    assert found.labels == ["NNP", "VBZ", "JJ", "NN", ".", "NNP", "NNP"]
    assert conll.classes(found) == [".", "JJ", "NN", "NNP", "VBZ"]
    assert conll.read(path, label_column="-2").labels[3:5] == ["I-NP", "O"]


def test_files_with_tabs_may_have_comments_and_words_with_spaces(tmp_path):
    rows = "# newdoc\n#\thttp://x [2009]\n1\tNew York\tB-LOC\n2\t#\tO\r\n\n# next\n1\t#1\tB-X\n\n\n"
    found = conll.read(write(tmp_path / "a.tsv", rows), word_column="1")
    assert (found.words, found.lengths, found.lines) == (["New York", "#", "#1"], [2, 1], [3, 4, 7])
    assert found.labels == ["B-LOC", "O", "B-X"]


@pytest.mark.parametrize(
    ("content", "columns", "message"),
    [
        ("EU B-ORG\nrejects\n", {}, r"a\.txt:2: the row has 1 columns, the first row has 2; write one word a line"),
        ("a O\nb B-X\n\nc PERSON\n", {}, r"a\.txt:4: the label 'PERSON' is neither O nor part of an entity"),
        ("a O\n", {"label_column": "5"}, r"a\.txt:1: no column '5'; the file has 2, 0 to 1, -1 is the last"),
        ("a O\n", {"word_column": "word"}, r"a\.txt:1: no column 'word'"),
        ("a\tO\n\tO\n", {}, r"a\.txt:2: column 0 is empty"),
        ("a\tO\nb\t \n", {}, r"a\.txt:2: column -1 is empty"),
        ("\n\n", {}, r"a\.txt holds no words"),
        ("-DOCSTART- O\n\n", {}, r"a\.txt holds no words"),
        ("", {}, r"a\.txt is empty"),
        ("a O\nb\x00 O\n", {}, r"a\.txt:2: a NUL byte"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(tmp_path, content, columns, message):
    with pytest.raises(UserError, match=message):
        conll.read(write(tmp_path / "a.txt", content), **columns)


def test_labels_that_the_model_does_not_know_are_named_with_their_line(tmp_path):
    found = conll.read(write(tmp_path / "a.txt", "a O\nb B-X\n\nc B-Y\n"))
    with pytest.raises(UserError, match=r"a\.txt:4: the label 'B-Y' is unknown to the model; it knows 'O', 'B-X'"):
        conll.targets(found, ["O", "B-X", "I-X"])


def test_objects_with_words_or_text_are_sentences():
    found = conll.parse([{"words": ["New York", "is"]}, {"text": "so big"}], path="-", first_line=7)
    assert (found.words, found.lengths, found.labels) == (["New York", "is", "so", "big"], [2, 2], None)
    assert found.where(1) == "-:8"
    for bad in ({}, {"words": []}, {"words": ["a", 1]}, {"words": ["a", " "]}, {"text": " "}, {"text": 7}):
        with pytest.raises(UserError, match=r"-:8: wanted is `words`, a list of texts, or `text`; found"):
            conll.parse([{"text": "a"}, bad], path="-", first_line=7)


def test_labels_that_are_all_the_same_are_refused(tmp_path):
    found = conll.read(write(tmp_path / "a.txt", "a O\nb O\n"))
    with pytest.raises(UserError, match="every word has the label 'O'; at least two are needed"):
        conll.classes(found)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("vocabulary")
    words = ["abcde", "bad", "cab", "dab", "ace", "我们", "都", "爱", "书"]
    text = "".join(f"{one} {other}\n" for one in words for other in words)
    path = str(folder / "spiece.model")
    write(folder / "text.txt", text * 3)
    vocab.train([str(folder / "text.txt")], path, settings=vocab.VocabularySettings(size=36, character_coverage=1.0))
    return Tokenizer(path)


def sentences(*lines: str) -> Sentences:
    words = [line.split(" ") for line in lines]
    every = [word for line in words for word in line]
    return Sentences("x", every, ["O"] * len(every), list(range(len(every))), [len(line) for line in words])


def test_a_row_is_the_pieces_of_the_text_and_a_label_stands_at_the_first_of_a_word(tokenizer):
    text = "bad cab dabed ace"
    rows = labelling.features(tokenizer, sentences(text), sequence_length=24)
    ids = tokenizer.encode(text)
    found = rows.inputs["pieces"][0].tolist()
    assert found == [0] * (22 - len(ids)) + ids + [SEP, CLS]
    assert rows.inputs["segments"][0].tolist() == [4] * (22 - len(ids)) + [0] * (len(ids) + 1) + [2]
    assert (rows.inputs["padding"] == (rows.inputs["segments"] == 4)).all()
    targets = rows.targets(np.array([5, 6, 7, 8]))[0]
    assert [number for number in targets if number != labelling.IGNORED] == [5, 6, 7, 8]
    assert tokenizer.is_word_start[[found[column] for column in np.flatnonzero(targets >= 0)]].all()


def test_a_word_of_nothing_is_unknown_and_one_longer_than_a_row_is_cut(tokenizer):
    rows = labelling.features(tokenizer, sentences("bad \u200b cab", "abcde" * 9), sequence_length=12)
    assert rows.inputs["pieces"][rows.row[1], rows.column[1]] == UNK
    assert rows.row.tolist() == [0, 0, 0, 1]
    assert rows.inputs["padding"][1].sum() == 0


def test_words_of_scripts_without_spaces_have_no_mark_of_their_beginning(tokenizer):
    rows = labelling.features(tokenizer, sentences("我 们 都 爱 书"), sequence_length=16)
    marked = tokenizer.encode_lines(["我", "们", "都", "爱", "书"])[1].sum()
    assert (rows.inputs["padding"] == 0).sum() - 2 == 5 < marked


words = st.lists(st.text("abcde我书\u200b", min_size=1, max_size=12), min_size=1, max_size=9)


@given(st.lists(words, min_size=1, max_size=4))
def test_every_word_of_sentences_of_any_length_gets_its_own_label_back(tokenizer, lines):
    every = [word for line in lines for word in line]
    given_sentences = Sentences("x", every, ["O"] * len(every), list(range(len(every))), [len(line) for line in lines])
    rows = labelling.features(tokenizer, given_sentences, sequence_length=8)
    targets = rows.targets(np.arange(len(every)))
    assert sorted(targets[targets >= 0]) == list(range(len(every)))
    assert rows.of_words(targets).tolist() == list(range(len(every)))
    assert not rows.of_words(rows.inputs["padding"]).any()
    assert (rows.inputs["pieces"][:, -2:] == [SEP, CLS]).all()
    sentence = np.repeat(np.arange(len(lines)), [len(line) for line in lines])
    assert all(len(set(sentence[rows.row == row])) == 1 for row in range(rows.row.max() + 1))
