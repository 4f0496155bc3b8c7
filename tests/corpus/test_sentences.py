"""Sentences of paragraphs, in English and Chinese."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlnet.corpus import sentences
from xlnet.corpus.documents import Document

ENGLISH = [
    "Dr. Smith left the U.S. Army at 5 p.m. on Monday. |It was late.",
    "Left at 8:35 p.m., on 1st May; it was an hour late. |(Mem., get recipe.)",
    "“Is it late?” he asked. |“Yes.” |She left.",
    "“I know it. |You do too,” she said. |“Go!”",
    'He said: "I know it. |You do too." |"No," she said. |"Go."',
    "‘So it is. |Is it?’ |‘It’s Tom’s.’",
    "He came.… |And then… nothing—Who knows?—was there. |Oh! and how?",
    "What is pi? |3.14 or so.",
    "No full stop",
]
CHINESE = [
    "他说：“你好！|我走了。”|然后走了。",
    "「真的嗎？」|她問。|『是的！』|",
    "1999年夺冠。|2001年退役。|全长３．５米．|完了！？|好（对吧。）|行",
    '他道："好。|我去。"|又道："你来！"|完。',
    "「好！」，他說。|完",
    "没有句号",
]


def check(text: str, language: str) -> None:
    expected = [part.strip() for part in text.split("|") if part]
    assert sentences.split(text.replace("|", ""), language) == expected


@pytest.mark.parametrize("text", ENGLISH)
def test_english(text):
    check(text, "en")


@pytest.mark.parametrize("text", CHINESE)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_chinese(text, language):
    check(text, language)


def test_a_paragraph_ends_in_its_mark_once():
    document = Document(["One. Two?", "Three<eop>", "四。五", "<eop>", "Six. <eop>"], "a.txt", 3)
    expected = ["One.", "Two?<eop>", "Three<eop>", "四。", "五<eop>", "<eop>", "Six.<eop>"]
    assert sentences.split_document(document, language="en") == Document(expected, "a.txt", 3)


SIGNS = [
    "a",
    "B",
    " ",
    ". ",
    "? ",
    "…",
    "“",
    "”",
    '"',
    "‘",
    "’",
    "「",
    "」",
    "。",
    "！",
    "．",
    "１",
    "—",
    "Mr.",
    "，",
    ")",
    "\u00a0",
]


@settings(max_examples=500, deadline=None)
@given(signs=st.lists(st.sampled_from(SIGNS), max_size=40), window=st.sampled_from([3, 10, 1 << 13]))
def test_nothing_is_lost_and_no_sentence_is_blank(signs, window):
    text = "".join(signs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sentences, "WINDOW", window)
        found = sentences.split(text, "en")
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(part == part.strip() != "" for part in found)


@pytest.mark.parametrize("text", ["B\u00a0.", "B\u3000. C"])
def test_wide_spaces_do_not_stop_the_library(text):
    assert "".join("".join(sentences.split(text, "en")).split()) == "".join(text.split())


def test_a_panic_of_the_library_leaves_the_text_whole(monkeypatch):
    class PanicException(BaseException):
        pass

    def panic(language, text):
        raise PanicException

    monkeypatch.setattr(sentences, "segment", panic)
    assert sentences.split("One. Two.", "en") == ["One. Two."]


def test_windows_do_not_show():
    text = " ".join(f"This is sentence {number}, said Mr. Smith. “Is it? No.”" for number in range(100))
    whole = sentences.split(text, "en")
    assert len(whole) == 300
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sentences, "WINDOW", 100)
        assert sentences.split(text, "en") == whole


@pytest.mark.parametrize("part", ["你！", "“", "abc ", ".", "((", "「啊？」", "e.g. “b「*?", " "])
def test_no_paragraph_takes_long(part):
    text = part * (400_000 // len(part))
    start = time.process_time()
    sentences.split(text, "zh")
    assert time.process_time() - start < 4  # what grows with the square took 80 s
