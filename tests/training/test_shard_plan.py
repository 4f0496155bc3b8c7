import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlnet.errors import UserError
from xlnet.training.shard_plan import plan


def read(stretches):
    return [(s.shard, s.first + i) for s in stretches for i in range(s.count)]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.data())
def test_every_slot_is_busy_at_every_step_and_shards_are_read_in_turn(lengths, data):
    slots = data.draw(st.integers(1, len(lengths)))
    steps = data.draw(st.integers(1, 40))
    slots_read = [read(slot) for slot in plan(lengths, slots=slots, steps=steps, seed=3)]
    assert [len(slot) for slot in slots_read] == [steps] * slots
    for slot in slots_read:
        for (shard, position), (next_shard, next_position) in itertools.pairwise(slot):
            if position + 1 < lengths[shard]:
                assert (next_shard, next_position) == (shard, position + 1)
            else:
                assert next_position == 0


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12), st.data())
def test_one_epoch_reads_every_record_once(lengths, data):
    filled = sum(1 for length in lengths if length)
    if not filled:
        return
    slots = data.draw(st.integers(1, filled))
    found = [step for slot in plan(lengths, slots=slots, steps=None) for step in read(slot)]
    assert sorted(found) == [(shard, i) for shard, length in enumerate(lengths) for i in range(length)]


@given(st.lists(st.integers(1, 9), min_size=3, max_size=9), st.integers(0, 30))
def test_a_run_that_starts_later_reads_the_rest_of_the_same_run(lengths, start):
    whole = plan(lengths, slots=3, steps=30, seed=5)
    rest = plan(lengths, slots=3, steps=30, seed=5, start=start)
    assert [read(slot) for slot in rest] == [read(slot)[start:] for slot in whole]


def test_what_a_long_run_has_read_and_will_read_is_not_kept():
    slots = plan([3] * 6, slots=2, steps=10**6, start=10**6 - 10)
    assert [sum(stretch.count for stretch in slot) for slot in slots] == [10, 10]
    tracemalloc.start()
    plan([3] * 6, slots=2, steps=20_000, start=19_990)
    kept = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert kept < 1 << 17


def test_the_first_epoch_reads_each_shard_once_and_seeds_differ():
    whole = [plan([4] * 6, slots=2, steps=12, seed=seed) for seed in (0, 1)]
    shards = [[s.shard for slot in run for s in slot] for run in whole]
    assert sorted(shards[0]) == sorted(shards[1]) == list(range(6))
    assert shards[0] != shards[1]


def test_too_few_shards_name_both_numbers():
    with pytest.raises(UserError, match="reads 4 shards side by side, the data have 2"):
        plan([3, 0, 2], slots=4, steps=5)
