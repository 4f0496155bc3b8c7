"""What a corpus holds: sums of parts, transport, and the characters a vocabulary has not."""

from hypothesis import given
from hypothesis import strategies as st

from xlnet.census import Census

texts = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=5)


def counted(sentences: list[str], *reasons: str) -> Census:
    census = Census(documents=1, sentences=len(sentences))
    census.count_text(sentences)
    for reason in reasons:
        census.reject(reason)
    return census


@given(first=texts, second=texts)
def test_parts_add_up(first, second):
    total = counted(first, "broken JSON", "too long")
    total.add(counted(second, "too long"))
    assert total.amounts() | {"documents": 1} == counted(first + second).amounts()
    assert total.documents == 2
    assert total.dead_letters == {"broken JSON": 1, "too long": 2}
    joined = "".join(first + second)
    assert (total.characters, total.text_bytes) == (len(joined), len(joined.encode()))
    assert total.alphabet() == {character: joined.count(character) for character in sorted(set(joined))}


@given(sentences=texts)
def test_a_census_survives_transport(sentences):
    census = counted(sentences, "no text field")
    again = Census.from_bytes(census.to_bytes())
    assert again.amounts() == census.amounts()
    assert again.alphabet() == census.alphabet()
    assert again.dead_letters == {"no text field": 1}


def test_what_is_outside_comes_by_frequency():
    census = counted(["abcabcaxyz<eop>", "ab"])
    assert census.outside(lambda character: character in "xyz") == {"a": 4, "b": 3, "c": 2}
    report = census.report(lambda character: character in "abc")
    assert (report["characters_outside"], report["distinct_characters_outside"]) == (3, 3)
    assert report["most_frequent_outside"] == {"x": 1, "y": 1, "z": 1}
    assert (report["distinct_characters"], report["characters"]) == (6, 17)
