"""What is left out of a corpus, and what is mended."""

import unicodedata

import pytest
from ftfy.badness import is_bad
from hypothesis import given
from hypothesis import strategies as st

from xlnet.corpus import cleaning
from xlnet.corpus.cleaning import CleaningSettings, Removal
from xlnet.corpus.documents import DeadLetter, Document
from xlnet.errors import UserError


def document(*lines: str) -> Document:
    return Document(list(lines), "a.txt", 7)


def reason(settings: CleaningSettings, *lines: str) -> str | None:
    found = cleaning.clean(document(*lines), settings)
    return found.reason if isinstance(found, Removal) else None


def test_nothing_is_done_unasked():
    odd = document("!", "schÃ¶n")
    assert cleaning.clean(odd, CleaningSettings()) is odd


def test_lengths_are_in_characters_of_text():
    settings = CleaningSettings(least_characters=4, most_characters=6)
    assert [reason(settings, "é" * n) for n in range(3, 8)] == ["too short", None, None, None, "too long"]
    assert reason(settings, "ab", "c") == "too short"
    assert reason(settings, "ab<eop>", "cd<eop>") is None
    assert reason(settings, "abc<eop>") == "too short"


def test_a_removal_says_where_and_what():
    found = cleaning.clean(document("x" * 100, "y"), CleaningSettings(most_characters=3))
    assert found == Removal("a.txt", 7, "too long", "x" * 80, 101)


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("abc 1", 0.0),
        ("a - b -", 0.5),
        ("***", 1.0),
        (" \n", 0.0),
        ("“你好。”", 0.6),
        ("हिन्दी", 0.0),
        ("a\u00a0—\u3000é", 1 / 3),
        ("\x00a", 0.5),
        ("😀a", 0.5),
    ],
)
def test_share_of_symbols(text, share, monkeypatch):
    monkeypatch.setattr(cleaning, "BLOCK", 2)
    assert cleaning.symbol_share(text) == pytest.approx(share)


@given(st.text())
def test_share_of_symbols_is_what_python_says_of_each_character(text):
    seen = [character for character in text if not character.isspace()]
    odd = [one for one in seen if not one.isalnum() and unicodedata.category(one)[0] != "M"]
    assert cleaning.symbol_share(text) == pytest.approx(len(odd) / max(1, len(seen)))


def test_documents_of_symbols_are_left_out():
    settings = CleaningSettings(most_symbols=0.5)
    assert reason(settings, "| 1 | 2 |", "--------") == "symbols"
    assert reason(settings, "a -<eop>", "“好”<eop>") == "symbols"
    assert reason(settings, "a -<eop>", "“好a”<eop>") is None


def test_a_wrong_encoding_is_mended_and_nothing_else():
    broken = document("fine “as it is” ﬁne １２ &amp;", "schÃ¶n â€œgutâ€\x9d", "Â\u00a0", "é")
    found = cleaning.clean(broken, CleaningSettings(repair_unicode=True))
    assert isinstance(found, Document)
    assert found.lines == [broken.lines[0], "schön “gut”", "Â\u00a0", "é"]
    assert cleaning.repair_example(broken, found) == DeadLetter("a.txt", 8, "repaired", broken.lines[1])


HEALTHY = [
    "“Yes,” it’s — naïve café…",
    "Straße, œuvre, ½ × 3 °C",
    "他说：“你好！”……",
    "日本語　テスト、한국어",
    "Война и мир",
    "x² ± 1 → ∞",
]


@pytest.mark.parametrize("line", HEALTHY)
def test_healthy_text_stays_the_same_object(line):
    healthy = document(line)
    assert cleaning.clean(healthy, CleaningSettings(repair_unicode=True)) is healthy


@given(st.text(st.characters(max_codepoint=0xFFFF, categories=["L", "N", "P", "S", "Z", "M", "Cc"])))
def test_no_line_is_passed_over_that_the_library_would_mend(text):
    if not cleaning._SUSPECT.search(text):
        assert not is_bad(text)


@given(st.text(st.sampled_from("aZ 1.‘’“”–—…你。！日ｱ１한")))
def test_typographic_text_is_not_suspect(text):
    assert not cleaning._SUSPECT.search(text)
    assert not is_bad(text)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"least_characters": -1}, "least_characters is -1"),
        ({"most_characters": 5, "least_characters": 6}, "most_characters is 5, wanted is 0 .any number. or at least 6"),
        ({"most_characters": -1}, "most_characters is -1"),
        ({"shortest_duplicate": -1}, "shortest_duplicate is -1"),
        ({"most_symbols": 1.5}, "most_symbols is 1.5"),
        ({"most_symbols": float("nan")}, "most_symbols is nan"),
    ],
)
def test_wrong_settings(wrong, message):
    with pytest.raises(UserError, match=message):
        CleaningSettings(**wrong)
