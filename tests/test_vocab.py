"""The vocabulary: ids, sampling, and the same bytes for the same text."""

import gzip
import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
import sentencepiece

from xlnet import special_pieces, vocab
from xlnet.errors import UserError
from xlnet.text import Tokenizer
from xlnet.vocab import VocabularySettings

SMALL = VocabularySettings(size=60)
SYLLABLES = ["he", "at", "ra", "ther", "ing", "no", "stan", "lo", "mi", "un", "tor", "es"]
MARKS = ["élan", "1,000,", "(so)", "—", "night.", "£3", "Heat-Ray", "ﬁne"]


def write_corpus(folder: Path, *, files: int = 3, seed: int = 0) -> list[str]:
    generator = np.random.default_rng(seed)
    words = ["".join(generator.choice(SYLLABLES, generator.integers(1, 4))) for _ in range(150)] + MARKS
    paths = []
    for number in range(files):
        lines = [" ".join(generator.choice(words, 8)) for _ in range(60)]
        path = folder / f"part-{number}.txt"
        path.write_text("\n".join(lines[:30]) + "\n\n" + "\n".join(lines[30:]), encoding="utf-8")
        paths.append(str(path))
    return paths


@pytest.fixture
def corpus(tmp_path) -> list[str]:
    return write_corpus(tmp_path)


def trained(files: list[str], folder: Path, name: str = "x.model", settings: VocabularySettings = SMALL) -> bytes:
    vocab.train(files, str(folder / name), settings=settings)
    return (folder / name).read_bytes()


def test_special_pieces_have_their_ids(corpus, tmp_path):
    model = trained(corpus, tmp_path)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    assert [processor.IdToPiece(index) for index in range(9)] == list(special_pieces.SPECIAL_PIECES)
    named = (
        special_pieces.UNK,
        special_pieces.BOS,
        special_pieces.EOS,
        special_pieces.CLS,
        special_pieces.SEP,
        special_pieces.PAD,
        special_pieces.MASK,
        special_pieces.EOD,
        special_pieces.EOP,
    )
    assert named == tuple(range(9))
    assert [processor.IdToPiece(index) for index in range(8, 17)] == ["<eop>", ".", "(", ")", '"', "-", "–", "£", "€"]
    assert [processor.IsControl(index) for index in range(9)] == [False, *[True] * 7, False]
    assert (processor.unk_id(), processor.bos_id(), processor.eos_id(), processor.pad_id()) == (0, 1, 2, 5)
    assert processor.GetPieceSize() == 60
    vocab.check(model)


def test_special_ids_are_those_of_the_recorded_vocabulary(golden):
    model = golden("spiece.model").read_bytes()
    vocab.check(model)
    tokenizer = Tokenizer(model)
    assert tuple(tokenizer.piece(index) for index in range(9)) == special_pieces.SPECIAL_PIECES


def test_control_symbols_never_come_from_text(corpus, tmp_path):
    tokenizer = Tokenizer(trained(corpus, tmp_path))
    ids = tokenizer.encode("<cls> heat <sep> <eod> no <eop>")
    assert ids[-1] == special_pieces.EOP
    assert not {special_pieces.CLS, special_pieces.SEP, special_pieces.EOD, special_pieces.BOS} & set(ids)


def test_the_summary_says_what_was_learned_from(corpus, tmp_path):
    (tmp_path / "bad.txt").write_bytes(b"a\xff\n\n \n\nthe night.\n")
    progress: list[int] = []
    output = str(tmp_path / "x.model")
    summary = vocab.train([*corpus, str(tmp_path / "bad.txt")], output, settings=SMALL, progress=progress.append)
    assert summary["counts"]["documents"] == 7
    assert summary["counts"]["sentences"] == summary["counts"]["sentences_used"] == 181 == progress[-1]
    assert summary["counts"]["dead_letters"] == {"invalid UTF-8": 1}
    assert summary["sha256"] == hashlib.sha256((tmp_path / "x.model").read_bytes()).hexdigest()
    assert summary["settings"]["size"] == 60
    assert json.loads((tmp_path / "x.model.json").read_text()) == summary


def test_the_summary_describes_each_source(corpus, tmp_path):
    (tmp_path / "rare.txt").write_text("heat 猫 ray 猫\n犬\n\nno\n", encoding="utf-8")
    (tmp_path / "bad.txt").write_bytes(b"a\xff\n\nb\xff\n")
    files = [f"few={tmp_path}/rare.txt:0.5", f"many={tmp_path}/part-*.txt", f"few={tmp_path}/bad.txt"]
    covering = VocabularySettings(size=60, character_coverage=0.995)
    few, many = vocab.train(files, str(tmp_path / "x.model"), settings=covering)["sources"]
    assert (few["name"], few["weight"], few["files"]) == ("few", 0.5, 2)
    assert (few["documents"], few["sentences"], few["sentences_used"]) == (2, 3, 3)
    assert (few["characters"], few["text_bytes"]) == (12 + 1 + 2, 12 + 2 * 2 + 3 + 2)
    assert few["dead_letters"] == {"invalid UTF-8": 2}
    assert few["distinct_characters"] == len(set("heat 猫 ray 猫犬no"))
    assert few["characters_outside"] == 3
    assert few["most_frequent_outside"] == {"猫": 2, "犬": 1}
    assert (many["name"], many["weight"], many["files"], many["documents"]) == ("many", 1.0, 3, 6)
    assert not {"猫", "犬"} & set(many["most_frequent_outside"])


def test_a_heavier_source_is_sampled_more(corpus, tmp_path):
    few = VocabularySettings(size=60, sentences=60)
    files = [f"light={corpus[0]}:0.1", f"heavy={corpus[1]}:10"]
    light, heavy = vocab.train(files, str(tmp_path / "x.model"), settings=few)["sources"]
    assert light["sentences"] == heavy["sentences"] == 60 == light["sentences_used"] + heavy["sentences_used"]
    assert heavy["sentences_used"] > 50


def test_the_order_of_the_files_does_not_matter(corpus, tmp_path):
    few = VocabularySettings(size=60, sentences=50)
    for settings in (SMALL, few):
        first = trained(corpus, tmp_path, "a.model", settings)
        assert trained([corpus[2], corpus[0], corpus[1]], tmp_path, "b.model", settings) == first
        assert trained([str(tmp_path / "part-*.txt")], tmp_path, "c.model", settings) == first
    other = VocabularySettings(size=60, sentences=50, seed=1)
    assert trained(corpus, tmp_path, "d.model", other) != first


def test_the_packing_of_the_files_does_not_matter(corpus, tmp_path):
    packed = tmp_path / "packed"
    packed.mkdir()
    for path in map(Path, corpus):
        (packed / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert trained([str(packed / "*.gz")], tmp_path, "a.model") == trained(corpus, tmp_path, "b.model")


def test_text_is_normalised_as_for_preprocessing(corpus, tmp_path):
    plain = Tokenizer(trained(corpus, tmp_path))
    kept = Tokenizer(trained(corpus, tmp_path, settings=VocabularySettings(size=60, lower=True, keep_accents=True)))
    plain_text, kept_text = ["".join(map(each.piece, range(9, 60))) for each in (plain, kept)]
    assert "é" not in plain_text
    assert "é" in kept_text
    assert plain_text != plain_text.lower()
    assert kept_text == kept_text.lower()


def test_a_size_that_the_text_cannot_carry(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("hello world, hello night\n" * 5)
    output = str(tmp_path / "out" / "x.model")
    with pytest.raises(UserError, match=r"500 pieces were asked for, this text can carry \d+ at most") as caught:
        vocab.train([str(path)], output, settings=VocabularySettings(size=500))
    assert not any((tmp_path / "out").iterdir())
    largest = int(str(caught.value).split("carry ")[1].split()[0])
    vocab.train([str(path)], output, settings=VocabularySettings(size=largest))
    assert Tokenizer(output).size == largest


def test_a_size_that_the_characters_alone_exceed(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(" ".join(chr(code) for code in range(0x4E00, 0x4F00)) + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"100 pieces were asked for, the characters of this text alone need 27\d"):
        vocab.train([str(path)], str(tmp_path / "x.model"), settings=VocabularySettings(size=100))


def test_text_without_a_sentence(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xff\n\n \n")
    with pytest.raises(UserError, match=r"hold no sentence to learn from .*invalid UTF-8"):
        vocab.train([str(path)], str(tmp_path / "x.model"), settings=SMALL)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.txt"]
    with pytest.raises(UserError, match="no file matches"):
        vocab.train([str(tmp_path / "*.gz")], str(tmp_path / "x.model"), settings=SMALL)


def test_an_output_that_cannot_be(corpus, tmp_path):
    with pytest.raises(UserError, match=r"is a folder; name a file in it, such as .*/spiece\.model"):
        vocab.train(corpus, str(tmp_path), settings=SMALL)
    with pytest.raises(UserError, match="a file is in the way"):
        vocab.train(corpus, f"{corpus[0]}/x.model", settings=SMALL)
    with pytest.raises(UserError, match="output is '', wanted is a file"):
        vocab.train(corpus, "", settings=SMALL)
    link = tmp_path / "link"
    link.symlink_to(corpus[0])
    with pytest.raises(UserError, match="is a file of the text; name another one"):
        vocab.train(corpus, str(link), settings=SMALL)


def test_training_is_silent(corpus, tmp_path, capfd):
    trained(corpus, tmp_path)
    with pytest.raises(UserError):
        trained(corpus, tmp_path, settings=VocabularySettings(size=5000))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("size", 17),
        ("character_coverage", 0.97),
        ("character_coverage", 1.1),
        ("sentences", 0),
        ("seed", -1),
        ("seed", 1 << 63),
    ],
)
def test_settings_that_cannot_be(setting, value):
    with pytest.raises(UserError, match=rf"{setting}.*{value}"):
        VocabularySettings(**{setting: value})


@pytest.mark.parametrize(
    ("symbols", "message"),
    [(["<sep>", "<cls>"], "<cls> at id 4, id 3 is wanted"), (["<cls>"], "no piece <sep>, id 4 is wanted")],
)
def test_other_special_ids_are_refused(symbols, message):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(["heat ray heat then rather " * 3, "ray rather than heat"] * 9),
        model_writer=model,
        vocab_size=14,
        control_symbols=symbols,
        minloglevel=2,
    )
    with pytest.raises(UserError, match=message):
        vocab.check(model.getvalue())


def test_what_is_no_model_is_refused():
    with pytest.raises(UserError, match="not a SentencePiece model"):
        vocab.check(b"text")


def test_a_long_line_is_learned_from(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("the heat ray came " * 2000 + "x" * 5000 + "\n")
    summary = vocab.train([str(path)], str(tmp_path / "x.model"), settings=VocabularySettings(size=30))
    assert summary["counts"]["left_out"] == 1
    assert summary["counts"]["characters"] > 35_000
    assert "▁heat" in Tokenizer(str(tmp_path / "x.model")).pieces("heat")
