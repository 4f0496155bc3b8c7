import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlnet.corpus import orders, records, tfrecords
from xlnet.special_pieces import CLS, SEP


def reference_features(record, order, *, reuse_length, predictions=None):
    """What the reference's input pipeline makes of a record (`data_utils.py`, parser), with a given order."""
    pieces, is_functional = record["input"], np.isin(record["input"], [SEP, CLS])
    is_target = record["is_masked"].astype(bool) & ~is_functional
    sees = orders.visible(order, is_target, is_functional, reuse_length=reuse_length)
    features = {"perm_mask": (~sees).astype(np.float32), "input_k": pieces, "input_q": is_target.astype(np.float32)}
    # The target of a position is the piece itself: in each half, the one that follows the position before.
    halves = [slice(None, reuse_length), slice(reuse_length, None)]
    target = np.concatenate([np.r_[pieces[h][:1], record["target"][h][:-1]] for h in halves])
    if predictions is None:
        return features | {"target": target, "target_mask": is_target.astype(np.float32)}
    positions = np.flatnonzero(is_target)
    mapping = np.zeros((predictions, pieces.size), np.float32)
    mapping[np.arange(positions.size), positions] = 1
    return features | {
        "target": np.r_[target[positions], np.zeros(predictions - positions.size, int)],
        "target_mask": (np.arange(predictions) < positions.size).astype(np.float32),
        "target_mapping": mapping,
    }


def chunked(permutation, length):
    """The order that the reference makes of a permutation of its chunks' rows."""
    size = permutation.size
    index = np.empty(length, int)
    for chunk in range(length // size):
        for row in range(size):
            index[chunk * size + row] = chunk * size + permutation[row]
    return index


LOCAL = [
    "local_perm_a",
    "local_perm_b_chunks",
    "local_perm_c_func_masked",
    "local_perm_d_allmasked",
    "local_perm_e_nomask",
]


@pytest.mark.parametrize("case", LOCAL)
def test_what_is_seen_in_one_half_equals_the_reference(golden, case):
    with np.load(golden("perm.npz")) as arrays:
        recorded = {name.split("/")[1]: arrays[name] for name in arrays if name.startswith(f"{case}/")}
    length = recorded["inputs"].size
    np.testing.assert_array_equal(chunked(recorded["row_permutation"], length), recorded["index"])
    record = {"input": recorded["inputs"], "target": recorded["targets"], "is_masked": recorded["is_masked"]}
    made = reference_features(record, recorded["index"], reuse_length=length)
    np.testing.assert_array_equal(made["perm_mask"], recorded["perm_mask"])
    np.testing.assert_array_equal(made["target_mask"], recorded["target_mask"])
    np.testing.assert_array_equal(made["input_k"], recorded["inputs_k"])
    np.testing.assert_array_equal(made["input_q"], recorded["inputs_q"])
    np.testing.assert_array_equal(np.r_[record["input"][:1], record["target"][:-1]], recorded["new_targets"])


@pytest.mark.parametrize("case", ["parser_np10", "parser_np9_ps8", "parser_none"])
def test_a_record_becomes_the_reference_s_features(golden, case):
    settings = json.loads(golden("perm_cases.json").read_text())[case]
    with np.load(golden("perm.npz")) as arrays:
        recorded = {name.removeprefix(f"{case}/"): arrays[name] for name in arrays if name.startswith(f"{case}/")}
    record = records.decode(recorded["serialized_example"].tobytes())
    for name in ("input", "target", "seg_id", "is_masked", "label"):
        np.testing.assert_array_equal(record[name], recorded[f"record/{name}"])
    order = np.concatenate([chunked(recorded[f"row_permutation_{half}"], 16) for half in (0, 1)])
    made = reference_features(record, order, reuse_length=16, predictions=settings["num_predict"])
    for name, values in made.items():
        np.testing.assert_array_equal(values, recorded[f"parsed/{name}"], err_msg=name)


@pytest.mark.parametrize("case", ["cased", "uncased_uni"])
def test_records_of_the_original_become_its_batches(golden, case):
    settings = json.loads(golden("input_batches_cases.json").read_text())[case]
    info = json.loads(golden(settings["record_info"]).read_text())
    rows = [records.decode(record) for record in tfrecords.read(str(golden(info["filenames"][0])))]
    assert len(rows) == settings["num_batch"] * settings["bsz_per_host"]
    with np.load(golden("input_batches.npz")) as arrays:
        half = chunked(arrays[f"{case}/row_permutation"], settings["reuse_len"])
        for batch in range(3):
            for row in range(8):
                record = rows[batch * 8 + row]
                made = reference_features(
                    record, np.tile(half, 2), reuse_length=32, predictions=settings["num_predict"]
                )
                for name, values in (made | {"seg_id": record["seg_id"], "label": record["label"]}).items():
                    np.testing.assert_array_equal(values, arrays[f"{case}/batch{batch}/{name}"][row], err_msg=name)


def drawn(is_ordered, *, seed=0, reuse, size, slots=None):
    generator = np.random.Generator(np.random.Philox(seed))
    slots = int(is_ordered.sum(axis=1).max()) if slots is None else slots
    return orders.draw(generator, is_ordered, reuse_length=reuse, permutation_size=size, slots=slots)


LENGTHS = [(16, 8, 8), (16, 8, 2), (24, 8, 4), (12, 4, 1), (24, 8, 8)]


@given(st.integers(0, 2**32), st.sampled_from(LENGTHS), st.integers(0, 4))
def test_an_order_ranks_each_half_chunk_after_chunk(seed, lengths, spare):
    length, reuse, size = lengths
    is_ordered = np.random.default_rng(seed).random((5, length)) < 0.6
    slots = int(is_ordered.sum(axis=1).max()) + spare
    ranks = drawn(is_ordered, seed=seed, reuse=reuse, size=size, slots=slots)
    assert ranks.shape == (5, slots)
    order = orders.dense(ranks, is_ordered)
    assert not order[~is_ordered].any()
    for row in range(5):
        assert not ranks[row, is_ordered[row].sum() :].any()
        for start, stop in ((0, reuse), (reuse, length)):
            places = np.flatnonzero(is_ordered[row, start:stop]) + start
            assert sorted(order[row, places].tolist()) == list(range(places.size))
            chunks = places[np.argsort(order[row, places])] // size
            assert (np.diff(chunks) >= 0).all(), "a chunk is predicted after the one before"


@given(st.integers(0, 2**32), st.sampled_from(LENGTHS[1:4]))
def test_chunks_of_a_half_share_one_permutation(seed, lengths):
    """With every position in the order, each chunk's ranks are those of the first one, further on."""
    length, reuse, size = lengths
    ranks = drawn(np.ones((5, length), bool), seed=seed, reuse=reuse, size=size)
    for start, stop in ((0, reuse), (reuse, length)):
        chunks = ranks[:, start:stop].reshape(5, -1, size)
        expected = np.arange(stop - start).reshape(-1, size)
        np.testing.assert_array_equal(np.sort(chunks, axis=2), np.broadcast_to(expected, chunks.shape))
        np.testing.assert_array_equal(chunks - expected[:, :1], np.broadcast_to(chunks[:, :1], chunks.shape))


@given(st.integers(0, 2**32), st.sampled_from(LENGTHS[1:4]))
def test_what_is_no_context_is_ordered_as_the_whole_permutation_would(seed, lengths):
    """Ranks of some positions are those of all, squeezed together: the same draws, where chunks share them."""
    length, reuse, size = lengths
    is_ordered = np.random.default_rng(seed).random((5, length)) < 0.5
    some = orders.dense(drawn(is_ordered, seed=seed, reuse=reuse, size=size, slots=length), is_ordered)
    whole = drawn(np.ones((5, length), bool), seed=seed, reuse=reuse, size=size)
    for row in range(5):
        for half in (slice(0, reuse), slice(reuse, length)):
            chosen = is_ordered[row, half]
            expected = np.argsort(np.argsort(whole[row, half][chosen]))
            np.testing.assert_array_equal(some[row, half][chosen], expected)


@pytest.mark.parametrize("size", [8, 4])
def test_every_order_is_as_likely(size):
    is_ordered = np.zeros((24_000, 16), bool)
    is_ordered[:, [0, 1, 3, 8, 10, 11]] = True
    is_ordered[:, 6] = size == 8  # in the same chunk
    ranks = drawn(is_ordered, seed=1, reuse=8, size=size)
    first = int(is_ordered[0, :8].sum())
    for half in (ranks[:, :first], ranks[:, first:]):
        counts = np.unique(half, axis=0, return_counts=True)[1]
        assert counts.size == {3: 6, 4: 24}[half.shape[1]]
        expected = 24_000 / counts.size
        chi_square = ((counts - expected) ** 2 / expected).sum()
        free = counts.size - 1
        assert abs(chi_square - free) < 5 * np.sqrt(2 * free)
    assert abs(np.corrcoef(ranks[:, 0], ranks[:, first])[0, 1]) < 5 / np.sqrt(24_000)  # halves are drawn apart


def test_too_many_positions_for_the_slots_are_refused():
    with pytest.raises(ValueError, match="a window has 6 targets and functional pieces, there is room for 5"):
        drawn(np.ones((1, 6), bool), reuse=3, size=3, slots=5)
