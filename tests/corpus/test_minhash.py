"""Signatures against true similarities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlnet.corpus import minhash


def shingles(words: list[str]) -> set[tuple[str, ...]]:
    return {tuple(words[start : start + 5]) for start in range(max(1, len(words) - 4))}


def jaccard(one: list[str], other: list[str]) -> float:
    first, second = shingles(one), shingles(other)
    return len(first & second) / len(first | second)


def draw(count: int, seed: int) -> list[str]:
    return [f"w{number}" for number in np.random.Generator(np.random.Philox(seed)).integers(5000, size=count)]


def changed(words: list[str], share: float, seed: int) -> list[str]:
    generator = np.random.Generator(np.random.Philox(seed))
    return [f"x{generator.integers(10**9)}" if generator.random() < share else word for word in words]


def same_band(one: list[str], other: list[str]) -> bool:
    found = minhash.bands([one, other])
    return bool((found[0] == found[1]).any())


def test_signatures_agree_as_far_as_texts_do():
    errors = []
    for seed in range(150):
        one = draw(400, seed)
        other = changed(one, 0.3 * seed / 150, seed + 1000)
        found = minhash.signatures([[" ".join(one)], [" ".join(other)]])
        true = jaccard(one, other)
        expected = np.sqrt(true * (1 - true) / 112) or 1e-9
        errors.append(((found[0] == found[1]).mean() - true) / max(expected, 1e-9) if true < 1 else 0.0)
    assert abs(np.mean(errors)) < 0.25  # in standard deviations: 3 of the mean's own
    assert 0.8 < np.std(errors) < 1.2


def test_bands_agree_with_the_probability_that_is_claimed():
    found: dict[float, list[bool]] = {0.5: [], 0.7: [], 0.8: [], 0.9: []}
    for level, hits in found.items():
        for seed in range(300):
            # Two sets of n shingles that share m have the similarity m / (2 n - m); a text's last words change few.
            shared = round(2 * 300 * level / (1 + level))
            start, end, rest = draw(shared + 4, seed), draw(300 - shared, seed + 7000), draw(300 - shared, seed + 9000)
            one, other = [*start, *end], [*start, *rest]
            assert jaccard(one, other) == pytest.approx(level, abs=0.02)
            hits.append(same_band([" ".join(one)], [" ".join(other)]))
    for level, hits in found.items():
        expected = 1 - (1 - level**8) ** 14
        assert np.mean(hits) == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 300) + 0.03)


def test_many_different_texts_share_no_band():
    documents = [[" ".join(draw(60, seed))] for seed in range(3000)]
    found = minhash.bands(documents)
    assert [len(np.unique(column)) for column in found.T] == [3000] * 14
    assert len(np.unique(found)) == found.size  # a band's hash says which band it is


SENTENCE = "It was the best of times, it was the worst of times; it was the age of wisdom – the age of foolishness"
SAME = [
    ["IT WAS the best of times it was the worst of times", "it was the age of wisdom the age of foolishness<eop>"],
    [f"“{SENTENCE}!”<eop>"],
    [SENTENCE.replace(" ", "\u00a0 ")],
]


@pytest.mark.parametrize("lines", SAME)
def test_case_punctuation_and_lines_do_not_count(lines):
    assert (minhash.bands([[SENTENCE]]) == minhash.bands([lines])).all()


def test_chinese_is_compared_by_characters():
    text = "滚滚长江东逝水，浪花淘尽英雄。是非成败转头空。青山依旧在，几度夕阳红。白发渔樵江渚上，惯看秋月春风。" * 3
    near = text[:-10] + "一壶浊酒喜相逢"
    assert same_band([text], [near])
    assert not same_band([text], ["古今多少事，都付笑谈中。" * 12])
    found = minhash.signatures([["一二三四五六"], ["一，二三 四五六"], ["六五四三二一"]])
    assert (found[0] == found[1]).all()
    assert not (found[0] == found[2]).any()


def test_the_order_of_words_counts():
    assert not same_band(["a b c d e f g h"], ["h g f e d c b a"])


@pytest.mark.parametrize(("one", "other"), [("a b", "a c"), ("", "!"), ("***", "---"), ("a b c d", "a b c d e")])
def test_short_texts_are_compared_whole(one, other):
    assert same_band([one], [one])
    assert not same_band([one], [other])


@given(
    st.lists(
        st.lists(st.sampled_from([*"aB1 .好,é", "word ", "<eop>"]), max_size=30).map("".join), min_size=1, max_size=8
    ),
    st.sampled_from([1, 3, 7]),
)
def test_neither_neighbours_nor_blocks_show(texts, block):
    alone = np.concatenate([minhash.bands([[text]]) for text in texts])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(minhash, "CACHED", block)
        assert (minhash.bands([[text] for text in texts]) == alone).all()


def test_a_long_text_is_hashed_in_parts(monkeypatch):
    words = draw(3000, 1)
    whole = minhash.signatures([[" ".join(words)], [" ".join(words[:1500])]])
    monkeypatch.setattr(minhash, "TEXT", 1000)
    minhash._powers.cache_clear()
    parts = minhash.signatures([[" ".join(words)], [" ".join(words[:1500])]])
    minhash._powers.cache_clear()
    assert (whole == parts).mean() > 0.9  # but for the words that are cut


def test_nothing_is_without_bands():
    assert minhash.bands([]).shape == (0, 14)
