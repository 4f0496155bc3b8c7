"""Normalisation, pieces and offsets, against the reference's records and by property."""

import io
import json
import pickle
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from xlnet import text as text_module
from xlnet.errors import UserError
from xlnet.text import SPACE, Tokenizer, align, normalize, normalize_lines

WORDS = [
    "the", "1,000,", "2,000", "1,", "and", "x²,", "ﬁnal", "ﬁ", "½", "é", "e\u0301", "\u0301", "Ａ１，", "…", "“so”",
    "``", "''", "`", "'", "<eop>", "<cls>", "£3,", "中", "한국", "ΟΔΟΣ", "İ", "ß", "\u00a8", "①,", "٣,", "😀", "▁",
    "\U0001d165", "\u00ad", "\u200b", ",", "9", "a\u0323\u0307b", "ﷺ", "``1,000,",
]  # fmt: skip
SPACES = [" ", "  ", "\t", "\u00a0", "\u3000", "\r", "\u2028", "\x1c", "\n", "", ""]
texts = st.lists(st.sampled_from(WORDS + SPACES) | st.text(max_size=4), max_size=12).map("".join).filter(
    lambda text: not any(unicodedata.category(character) == "Cs" for character in text)
)  # fmt: skip
flags = st.fixed_dictionaries({"lower": st.booleans(), "keep_accents": st.booleans()})


def train_model(sentences: list[str], **options) -> bytes:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(sentences), model_writer=model, minloglevel=2, num_threads=1, **options
    )
    return model.getvalue()


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A small vocabulary with pieces that end a number with a comma."""
    numbers = [f"the year {n} and 1,000, then 2,000, or {n}, and {n}, so" for n in range(400)]
    words = ["the final sentence and “so” on é ß, it said", "a <eop> b £ 3", "1,000,000, 1,000, 2,000,"]
    path = tmp_path_factory.mktemp("model") / "small.model"
    path.write_bytes(train_model(numbers + words * 40, vocab_size=140, user_defined_symbols=["<eop>", "£"]))
    return path


def tokenizer_of(model: Path, flags: dict) -> Tokenizer:
    return Tokenizer(model, **flags)


def test_every_record_of_the_reference(golden):
    tokenizers: dict = {}
    model = golden("spiece.model").read_bytes()
    for record in json.loads(golden("tokenization.json").read_text()):
        flags = {name: record[name] for name in ("lower", "keep_accents")}
        tokenizer = tokenizers.setdefault(tuple(flags.values()), Tokenizer(model, **flags))
        text = record["text"]
        assert normalize(text, remove_space=record["remove_space"], **flags) == record["preprocessed"]
        assert tokenizer.pieces(text) == record["pieces"]
        assert tokenizer.encode(text) == record["ids"]
        assert tokenizer.encode_with_offsets(text)[0].tolist() == record["ids"]
    assert len(tokenizers) >= 3


def test_every_record_of_the_reference_in_one_batch(golden):
    records = json.loads(golden("tokenization.json").read_text())
    records = [record for record in records if not record["lower"] and not record["keep_accents"]]
    ids, counts = Tokenizer(golden("spiece.model")).encode_lines([record["text"] for record in records])
    assert counts.tolist() == [len(record["ids"]) for record in records]
    assert ids.tolist() == [index for record in records for index in record["ids"]]


def test_normalize_says_what_the_reference_says():
    assert normalize(" ``A''\t b\u00a0\n") == '"A" b'
    assert normalize(" a  b ", remove_space=False) == " a  b "
    assert normalize("Ⅷ é ﬁ", lower=True) == "viii e fi"
    assert normalize("é ﬁ", keep_accents=True) == "é ﬁ"
    assert normalize("x\U0001d165") == "x"  # combines, beyond the first plane


def test_all_that_combines_is_dropped():
    combining = [chr(c) for c in range(sys.maxunicode + 1) if unicodedata.combining(chr(c))]
    assert len(combining) > 800
    assert normalize("a" + "".join(combining) + "b") == "ab"


@given(lines=st.lists(texts, max_size=6), flags=flags)
def test_lines_are_normalised_as_one_by_one(lines, flags):
    assert normalize_lines(lines, **flags) == [normalize(line, **flags) for line in lines]


def test_each_character_alone_is_normalised_in_a_batch_as_alone():
    lines = [f"a{chr(c)}b" for c in [*range(0xD800), *range(0xE000, 0x11000), *range(0x1D000, 0x1E000)]]
    assert normalize_lines(lines) == [normalize(line) for line in lines]
    assert normalize_lines(lines, keep_accents=True) == [normalize(line, keep_accents=True) for line in lines]


def by_the_book(tokenizer: Tokenizer, line: str) -> list[int]:
    processor = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.__reduce__()[1][0])
    return [processor.PieceToId(piece) for piece in tokenizer.pieces(line)]


@settings(deadline=None)
@given(lines=st.lists(texts, max_size=6), flags=flags)
def test_a_batch_gives_the_pieces_of_each_line(model, lines, flags):
    tokenizer = tokenizer_of(model, flags)
    ids, counts = tokenizer.encode_lines(lines)
    expected = [by_the_book(tokenizer, line) for line in lines]
    assert counts.tolist() == [len(each) for each in expected]
    assert ids.tolist() == [index for each in expected for index in each]
    assert (ids.dtype, counts.dtype) == (np.int32, np.int32)


def test_blocks_do_not_show(model, monkeypatch):
    lines = [f"the {n}, and 1,000, é" for n in range(10)]
    whole = Tokenizer(model).encode_lines(lines)
    monkeypatch.setattr(text_module, "BLOCK", 3)
    parts = Tokenizer(model).encode_lines(lines)
    assert all(np.array_equal(a, b) for a, b in zip(whole, parts, strict=True))


def test_a_comma_after_a_number_stands_alone(model):
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    tokenizer = Tokenizer(model)
    alone = processor.EncodeAsPieces("1,000, 2,000,")
    assert any(len(piece) > 1 and piece.endswith("0,") for piece in alone)  # else nothing is tested
    pieces = tokenizer.pieces("1,000, 2,000,")
    assert "".join(pieces) == "▁1,000,▁2,000,"
    assert all(piece == "," for piece in pieces if piece.endswith(","))


def test_a_vocabulary_without_a_comma_splits_unknown_numbers():
    model = train_model(["abc abd bcd abab cdcd a b c d"] * 20, vocab_size=12)
    tokenizer = Tokenizer(model)
    assert tokenizer.pieces("ab 12, c")[-4:] == ["12", ",", "▁", "c"]
    assert tokenizer.encode("ab 12, c") == by_the_book(tokenizer, "ab 12, c")
    assert tokenizer.encode("ab 12, c").count(0) == 2


@settings(deadline=None, max_examples=300)
@given(text=texts, flags=flags)
def test_offsets_lead_to_what_the_piece_shows(model, text, flags):
    tokenizer = tokenizer_of(model, flags)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    ids, starts, ends = tokenizer.encode_with_offsets(text)
    assert ids.tolist() == tokenizer.encode(text)
    assert len(ids) == len(starts) == len(ends)
    if not len(ids):
        return
    assert starts.min() >= 0
    assert ends.max() <= len(text)
    assert (starts <= ends).all()
    assert (np.diff(starts) >= 0).all()
    assert (np.diff(ends) >= 0).all()
    for piece, start, end in zip(tokenizer.pieces(text), starts, ends, strict=True):
        surface = piece.replace(SPACE, "")
        assert start < end or surface == ""
        slice_ = processor.Normalize(normalize(text[start:end], **flags)).replace(SPACE, "")
        assert surface.replace("ς", "σ") in slice_.replace("ς", "σ")


PLAIN = st.lists(
    st.sampled_from(
        ["the", "final", " ", "  ", "\t", "\n", "1,000,", "2,", "“so”", "é", "e\u0301", "``", "中", "ＡＢ", "X"]
    )
).map("".join)


@settings(deadline=None, max_examples=200)
@given(text=PLAIN, flags=flags)
def test_where_no_character_is_shared_the_slices_are_the_pieces(model, text, flags):
    tokenizer = tokenizer_of(model, flags)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    _, starts, ends = tokenizer.encode_with_offsets(text)
    slices = [text[start:end] for start, end in zip(starts, ends, strict=True)]
    shown = [processor.Normalize(normalize(each, **flags)).replace(SPACE, "") for each in slices]
    assert shown == [piece.replace(SPACE, "") for piece in tokenizer.pieces(text)]
    assert "".join(slices) == "".join(text.split())


@settings(deadline=None)
@given(text=texts, flags=flags)
def test_alignment_gives_the_normalised_text(text, flags):
    normalized, starts, ends = align(text, **flags)
    assert normalized == normalize(text, **flags)
    assert len(starts) == len(ends) == len(normalized)
    assert (starts < ends).all()


def test_offsets_through_each_kind_of_change(golden):
    tokenizer = Tokenizer(golden("spiece.model"), lower=True)
    text = "  The ﬁne\u00a0 e\u0301tat of ``1,000,'' İs"
    ids, starts, ends = tokenizer.encode_with_offsets(text)
    shown = [(tokenizer.piece(i), text[a:b]) for i, a, b in zip(ids, starts, ends, strict=True)]
    assert shown[0] == ("▁the", "The")
    assert ("▁of", "of") in shown
    assert ('"', "``") in shown
    assert ('"', "''") in shown
    assert (",", ",") in shown
    assert "e\u0301" in [part[:2] for _, part in shown]
    assert "".join(part for _, part in shown).replace("ﬁﬁ", "ﬁ").endswith("İs")


def test_pieces_go_back_to_text(model):
    tokenizer = Tokenizer(model)
    ids = tokenizer.encode_lines(["the final sentence and so on"])[0]
    assert tokenizer.decode(ids) == "the final sentence and so on"
    assert [tokenizer.piece(index) for index in ids] == tokenizer.pieces("the final sentence and so on")


def test_what_begins_a_word(model):
    tokenizer = Tokenizer(model)
    flags = dict(zip(map(tokenizer.piece, range(tokenizer.size)), tokenizer.is_word_start, strict=True))
    assert flags["▁the"]
    assert flags["<unk>"]
    assert flags["<eop>"]
    assert flags[","]
    assert not flags["e"]
    assert not flags["£"]
    assert len(flags) == tokenizer.size == 140


def test_a_pickled_tokenizer_is_the_same(model):
    tokenizer = Tokenizer(model, lower=True)
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy.sha256 == tokenizer.sha256
    assert copy.encode("The FINAL 1,000, é") == tokenizer.encode("The FINAL 1,000, é")


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x00" * 100])
def test_what_is_no_model_is_refused(tmp_path, content):
    path = tmp_path / "x.model"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"x\.model is not a SentencePiece model"):
        Tokenizer(path)
    with pytest.raises(UserError, match="does not exist"):
        Tokenizer(tmp_path / "missing.model")
