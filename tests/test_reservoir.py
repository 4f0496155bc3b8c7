"""The sentences of least priority: exactly those, whatever the parts they come in."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlnet.reservoir import Reservoir, Sentences, exponential, sentence_hashes


def made(hashes: list[int], sources: list[int], weights: tuple[float, ...]) -> Sentences:
    """Sentences that are called as their hash and source."""
    texts = [f"{one}-{other}".encode() for one, other in zip(hashes, sources, strict=True)]
    owners, numbers = np.array(sources, np.int32), np.array(hashes, np.uint64)
    priorities = exponential(numbers) / np.array(weights)[owners]
    return Sentences(priorities, numbers, owners, np.array([len(text) for text in texts], np.int32), b"".join(texts))


def sampled(blocks: list[Sentences], size: int) -> list[str]:
    reservoir = Reservoir(size)
    for block in blocks:
        reservoir.add(block)
    return list(reservoir.sample())


few_values = st.integers(1, 12).map(lambda number: number << 58)  # many ties


@given(
    items=st.lists(st.tuples(few_values | st.integers(0, 2**64 - 1), st.integers(0, 2)), max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=6),
    size=st.integers(1, 30),
    shuffle=st.randoms(use_true_random=False),
)
def test_the_sample_is_the_least_whatever_the_parts(items, cuts, size, shuffle):
    weights = (1.0, 1.0, 2.5)
    hashes, sources = [item[0] for item in items], [item[1] for item in items]
    whole = made(hashes, sources, weights)
    least = sorted(range(len(items)), key=lambda n: (whole.priorities[n], hashes[n], sources[n]))[:size]
    expected = [f"{hashes[n]}-{sources[n]}" for n in sorted(least, key=lambda n: (hashes[n], sources[n]))]
    shuffle.shuffle(items)
    edges = [0, *sorted(min(cut, len(items)) for cut in cuts), len(items)]
    parts = [items[a:b] for a, b in pairwise(edges)]
    assert sampled([made([i[0] for i in part], [i[1] for i in part], weights) for part in parts], size) == expected


def test_no_more_is_held_than_a_quarter_above_the_size():
    generator = np.random.default_rng(0)
    reservoir, most = Reservoir(4000), 0
    for _ in range(200):
        reservoir.add(made(generator.integers(0, 2**64 - 1, 500, np.uint64).tolist(), [0] * 500, (1.0,)))
        most = max(most, reservoir.held)
        assert reservoir.held == sum(map(len, reservoir.blocks))
    assert 4000 < most <= 5000
    assert len(reservoir.sample()) == 4000


def test_sentences_survive_transport():
    found = made([5, 2**64 - 1, 0], [0, 2, 1], (1.0, 1.0, 0.5))
    again = Sentences.from_bytes(found.to_bytes())
    for name in ("priorities", "hashes", "sources", "sizes"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    assert list(again) == list(found) == ["5-0", f"{2**64 - 1}-2", "0-1"]
    assert list(again.take(np.array([2, 0]))) == ["0-1", "5-0"]
    assert len(Sentences.from_bytes(Reservoir(3).sample().to_bytes())) == 0


def keys(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64 - 1, (count, 2), np.uint64)


def test_a_sample_is_uniform():
    counts = np.array([1, 7, 0, 2, 10])  # sentences of five documents: 20 in all
    found: Counter[int] = Counter()
    for seed in range(4000):
        hashes = sentence_hashes(keys(5, seed), counts)
        found.update(np.argsort(exponential(hashes))[:7].tolist())
    expected = 4000 * 7 / 20
    assert len(found) == 20
    # chi-square with 19 degrees, 0.1 %; drawn without replacement the sum is smaller by 1 - 7/20
    assert sum((count - expected) ** 2 / expected for count in found.values()) < 44


def test_neighbours_are_drawn_independently():
    together = both = 0
    for seed in range(4000):
        low = exponential(sentence_hashes(keys(1, seed), np.array([2]))) < np.log(2)  # each with probability 1/2
        together += low.all()
        both += low.sum()
    assert abs(both / 8000 - 0.5) < 0.02
    assert abs(together / 4000 - 0.25) < 0.03


def test_weights_are_chances_of_being_first():
    weights = np.array([1.0, 2.0, 0.5, 4.0])
    found = np.zeros(4)
    for seed in range(6000):
        found[np.argmin(exponential(sentence_hashes(keys(1, seed), np.array([4]))) / weights)] += 1
    expected = 6000 * weights / weights.sum()
    assert (np.square(found - expected) / expected).sum() < 16.3  # chi-square, 3 degrees, 0.1 %


def test_variates_are_finite_and_positive():
    variates = exponential(np.array([0, 1, 2**64 - 1], np.uint64))
    assert np.isfinite(variates).all()
    assert (variates > 0).all()
    assert variates[0] == pytest.approx(-np.log(2**-53))
