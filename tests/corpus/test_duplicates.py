"""Which occurrences are not the first, in whatever order and grouping they come."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlnet.corpus import duplicates, paragraphs
from xlnet.corpus.documents import Document


def occur(rows: list[tuple[int, int, int, int, int]]) -> np.ndarray:
    """Occurrences of (hash, key, split, document, part)."""
    parts = [
        duplicates.occurrences(
            np.full((1, 16), digest, np.uint8),
            np.full((1, 16), key, np.uint8),
            split=split,
            documents=np.array([document]),
            parts=np.array([part]),
        )
        for digest, key, split, document, part in rows
    ]
    return duplicates.gather(part.tobytes() for part in parts)


def removed(found: np.ndarray) -> set[tuple[int, ...]]:
    return set(found["place"][duplicates.repeated(found)].tolist())


ROWS = st.lists(st.tuples(*(st.integers(0, most) for most in (3, 3, 2, 2, 2))), unique=True, max_size=30)


@given(ROWS, st.randoms())
def test_all_but_the_first_in_any_order(rows, random):
    found = occur(rows)
    expected = set()
    for digest in {row[0] for row in rows}:
        _, *others = sorted((key, place) for own, key, *place in rows if own == digest)
        expected |= {(digest, *place) for _, place in others}
    got = {(int(one["hash"][0]) % 256, *one["place"].tolist()) for one in found[duplicates.repeated(found)]}
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert got == expected
    assert removed(occur(shuffled)) == removed(found)


@given(ROWS, st.integers(1, 5))
def test_buckets_hold_all_and_split_no_hash(rows, buckets):
    found = occur(rows)
    parts = dict(duplicates.by_bucket(found, buckets=buckets))
    assert all(0 <= bucket < buckets for bucket in parts)
    assert sum(map(len, parts.values())) == len(found)
    together = [place for part in parts.values() for place in part["place"][duplicates.repeated(part)].tolist()]
    assert sorted(together) == sorted(found["place"][duplicates.repeated(found)].tolist())


def test_keys_are_compared_as_bytes():
    keys = np.array([[0] * 7 + [1] + [0] * 8, [1] + [0] * 15], np.uint8)
    found = duplicates.occurrences(
        np.array([7, 7], np.uint64), keys, split=0, documents=np.arange(2), parts=np.zeros(2, int)
    )
    assert duplicates.repeated(found).tolist() == [False, True]
    assert duplicates.repeated(found[::-1]).tolist() == [True, False]


def test_places_go_back_to_their_splits():
    found = occur([(1, 1, 5, 0, 0), (1, 2, 3, 1, 0), (2, 1, 5, 7, 2), (3, 1, 4, 0, 0)])["place"]
    back = {split: places.tolist() for split, places in duplicates.by_split(found)}
    assert back == {3: [(3, 1, 0)], 4: [(4, 0, 0)], 5: [(5, 0, 0), (5, 7, 2)]}
    assert list(duplicates.by_split(found[:0])) == []
    assert (duplicates.gather([found.tobytes()], duplicates.PLACE) == found).all()


TEXT = ["One.", "Two.<eop>", "Three.<eop>", "Four."]


def test_a_paragraph_ends_in_its_mark():
    assert paragraphs.of(TEXT) == [["One.", "Two.<eop>"], ["Three.<eop>"], ["Four."]]
    assert paragraphs.of(["a", "b"]) == [["a"], ["b"]]
    assert paragraphs.of(["a<eop>"]) == [["a<eop>"]]


def test_a_paragraphs_hash_is_its_texts():
    found = paragraphs.hashes(TEXT, seed=3)
    assert found.shape == (3, 16)
    assert len({bytes(row) for row in found}) == 3
    assert (paragraphs.hashes(["x<eop>", *TEXT[:2]], seed=3)[1] == found[0]).all()
    assert (paragraphs.hashes(TEXT, seed=4) != found).any(axis=1).all()
    joined = paragraphs.hashes(["One. Two.<eop>"], seed=3)[0]
    assert (joined != found[0]).any()


def test_a_paragraphs_length_is_its_texts():
    assert paragraphs.lengths(TEXT).tolist() == [8, 6, 5]
    assert paragraphs.lengths(["é", "<eop>"]).tolist() == [1]


@pytest.mark.parametrize(
    ("numbers", "left"),
    [([], TEXT), ([0], TEXT[2:]), ([1], [*TEXT[:2], "Four."]), ([0, 2], ["Three.<eop>"]), ([0, 1, 2], None)],
)
def test_a_document_without_some_paragraphs(numbers, left):
    found = paragraphs.without(Document(TEXT, "a.txt", 4), numbers)
    assert found == (None if left is None else Document(left, "a.txt", 4))


def test_of_documents_with_the_same_text_one_stays_whole():
    """Equal keys, so the place decides, and it decides alike for every paragraph."""
    texts = [TEXT, ["Other.<eop>"], TEXT, TEXT]
    keys = [9, 1, 9, 9]
    parts = []
    for document, (lines, key) in enumerate(zip(texts, keys, strict=True)):
        hashes = paragraphs.hashes(lines, seed=0)
        numbers = np.arange(len(hashes))
        every = np.full((len(numbers), 16), key, np.uint8)
        place = {"split": document % 2, "documents": np.full(len(numbers), document), "parts": numbers}
        parts.append(duplicates.occurrences(hashes, every, **place))
    found = np.concatenate(parts)
    gone: dict[int, set[int]] = {}
    for _, document, part in found["place"][duplicates.repeated(found)].tolist():
        gone.setdefault(document, set()).add(part)
    assert gone == {2: {0, 1, 2}, 3: {0, 1, 2}}
