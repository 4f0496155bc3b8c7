import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlnet.corpus.arrangement import arrange, first_of_equals
from xlnet.corpus.tokenized import TokenizedDocuments, document_key


def documents(names, sources=None):
    """One document of one piece for each name; equal names are equal documents."""
    keys = np.frombuffer(b"".join(document_key([name], seed=0) for name in names), np.uint8).reshape(-1, 16)
    ones = np.ones(len(names), np.int32)
    of = np.zeros(len(names), np.uint16) if sources is None else np.array(sources, np.uint16)
    return TokenizedDocuments(keys, of, ones, ones, ones, np.arange(len(names), dtype=np.uint16))


NAMES = [str(number) for number in range(400)]


def test_a_weight_of_one_is_every_document_once_in_another_order_each_pass():
    orders = [arrange(documents(NAMES), seed=0, pass_index=index, weights=[1.0]) for index in range(2)]
    for order in orders:
        assert sorted(order) == list(range(400))
    assert (orders[0] != orders[1]).mean() > 0.9
    assert (arrange(documents(NAMES), seed=1, pass_index=0, weights=[1.0]) != orders[0]).mean() > 0.9


@pytest.mark.parametrize("weight", [0.25, 0.5, 1.0, 1.5, 2.0, 3.25])
def test_over_the_passes_every_document_stands_as_often_as_it_weighs(weight):
    times = np.zeros(400)
    for index in range(4):
        order = arrange(documents(NAMES), seed=0, pass_index=index, weights=[weight])
        in_pass = np.bincount(order, minlength=400)
        assert set(in_pass) <= {int(np.floor(weight)), int(np.ceil(weight))}
        assert abs(in_pass.mean() - weight) < 0.1
        times += in_pass
    assert set(times) == {4 * weight}


def test_copies_of_a_document_stand_apart():
    order = arrange(documents(NAMES), seed=0, pass_index=0, weights=[2.0])
    assert (order[1:] == order[:-1]).sum() < 10


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 2)), max_size=12), st.randoms())
def test_the_order_of_arrival_does_not_matter(arrived, chance):
    shuffled = chance.sample(arrived, len(arrived))
    results = []
    for each in (arrived, shuffled):
        made = documents([name for name, _ in each], [source for _, source in each])
        order = arrange(made, seed=0, pass_index=1, weights=[1.0, 2.0, 0.5])
        kept = first_of_equals(made)
        results.append(([each[place] for place in order], sorted(np.array(each, object)[kept].tolist())))
    assert results[0] == results[1]
    assert [name for name, _ in results[0][1]] == sorted({name for name, _ in arrived})
    first = {name: min(source for other, source in arrived if other == name) for name, _ in arrived}
    assert dict(results[0][1]) == first
