import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xlnet.tasks.batching import answered, batches, bucket, buckets


def test_buckets_grow_by_at_most_a_half_and_end_with_the_longest():
    assert buckets(512) == [16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512]
    assert buckets(100) == [16, 24, 32, 48, 64, 96, 100]
    assert buckets(8) == [8]
    assert [bucket(length, longest=100) for length in (0, 16, 17, 97, 100)] == [16, 16, 24, 100, 100]


@given(st.lists(st.integers(0, 200), min_size=1, max_size=40), st.integers(1, 9))
def test_every_row_is_in_one_batch_that_holds_it(lengths, batch_size):
    found = list(batches(np.array(lengths), batch_size=batch_size, longest=200))
    assert sorted(row for batch in found for row in batch.rows[: batch.wanted]) == list(range(len(lengths)))
    for batch in found:
        assert len(batch.rows) == batch_size
        assert max(lengths[row] for row in batch.rows) <= batch.length
        assert batch.length in buckets(200)


def test_answers_come_in_the_order_of_the_rows_and_a_batch_is_not_longer_than_it_must_be():
    lengths = np.array([3, 60, 17, 1, 64])
    padding = (np.arange(64) < 64 - lengths[:, None]).astype(np.int32)
    pieces = np.where(padding == 1, 0, np.arange(1, 6)[:, None]).astype(np.int32)
    shapes = []

    def call(inputs):
        shapes.append(inputs["pieces"].shape)
        return inputs["pieces"].sum(axis=1)[:, None]

    found = answered(call, {"pieces": pieces, "padding": padding}, batch_size=2)
    np.testing.assert_array_equal(found[:, 0], lengths * np.arange(1, 6))
    assert shapes == [(2, 64), (2, 24), (2, 16)]


def test_answers_that_speak_of_positions_are_put_back_and_arrays_without_a_sequence_stay_whole():
    padding = (np.arange(32) < np.array([[30], [3]])).astype(np.int32)
    inputs = {"padding": padding, "place": np.array([[7], [8]])}
    found = answered(
        lambda rows: {"at": rows["padding"].argmin(axis=1), "place": rows["place"]},
        inputs,
        batch_size=1,
        along=["padding"],
        restored=lambda outputs, length: outputs | {"at": outputs["at"] + 32 - length},
    )
    assert (found["at"].tolist(), found["place"].tolist()) == ([30, 3], [[7], [8]])
