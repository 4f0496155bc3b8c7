import numpy as np
import pytest

from xlnet import storage
from xlnet.corpus import records
from xlnet.corpus.manifest import Manifest
from xlnet.errors import UserError
from xlnet.training.data import check_shards, training_batches, validation_batches


@pytest.fixture(scope="module")
def manifest(small_data):
    return Manifest.read(small_data)


@pytest.fixture(scope="module")
def stored(small_data, manifest):
    return [list(records.read_features(storage.join(small_data, shard.file))) for shard in manifest.shards]


def arrays(dataset):
    return [{name: value.numpy() for name, value in batch.items()} for batch in dataset]


def test_slots_read_shards_side_by_side_rows_forward_then_backward(small_data, manifest, stored):
    batches = arrays(training_batches(small_data, manifest, batch_size=4, steps=60, seed=0))
    assert len(batches) == 60
    by_input = {record["input"].tobytes(): (s, r) for s, shard in enumerate(stored) for r, record in enumerate(shard)}
    before: dict[int, tuple[int, int]] = {}
    for batch in batches:
        for row in range(4):
            shard, number = by_input[batch["pieces"][row].astype(np.int64).tobytes()]
            assert number % 2 == row % 2, "forward rows stand at even, backward rows at odd places"
            record = stored[shard][number]
            np.testing.assert_array_equal(batch["order"][row], record["order"])
            np.testing.assert_array_equal(batch["segments"][row], record["seg_id"])
            np.testing.assert_array_equal(batch["is_target"][row], record["is_masked"].astype(bool))
            assert batch["reset"][row] == (number < 2), "memories are empty where a stream begins, and only there"
            if not batch["reset"][row]:
                assert (shard, number) == (before[row][0], before[row][1] + 2)
            before[row] = shard, number


def test_a_run_that_starts_later_sees_the_same_batches(small_data, manifest):
    whole = arrays(training_batches(small_data, manifest, batch_size=4, steps=12, seed=7))
    rest = arrays(training_batches(small_data, manifest, batch_size=4, steps=12, seed=7, start=5))
    for one, other in zip(whole[5:], rest, strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def test_validation_sees_every_record_once(small_data, manifest, stored):
    dataset, rows = validation_batches(small_data, manifest)
    assert rows == 12
    seen = [
        row.astype(np.int64).tobytes()
        for batch in arrays(dataset)
        for row, is_target in zip(batch["pieces"], batch["is_target"], strict=True)
        if is_target.any()
    ]
    assert sorted(seen) == sorted(record["input"].tobytes() for shard in stored for record in shard)


def test_orders_on_the_fly_are_permutations_of_each_half_and_differ_by_step(small_data, manifest):
    batches = arrays(training_batches(small_data, manifest, batch_size=4, steps=3, seed=1, orders="on-the-fly"))
    for batch in batches:
        for half in (batch["order"][:, :16], batch["order"][:, 16:]):
            np.testing.assert_array_equal(np.sort(half, axis=1), np.tile(np.arange(16), (4, 1)))
    assert (batches[0]["order"] != batches[1]["order"]).any()
    again = arrays(training_batches(small_data, manifest, batch_size=4, steps=3, seed=1, orders="on-the-fly"))
    np.testing.assert_array_equal(batches[2]["order"], again[2]["order"])


def test_more_rows_than_shards_are_refused(small_data, manifest):
    with pytest.raises(UserError, match="reads 8 shards side by side, the data have 6"):
        training_batches(small_data, manifest, batch_size=16, steps=3, seed=0)
    with pytest.raises(UserError, match="even number of rows"):
        training_batches(small_data, manifest, batch_size=3, steps=3, seed=0)


def test_a_cut_shard_is_named(small_data, manifest, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(small_data, copy)
    shard = copy / manifest.shards[2].file
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(UserError, match=rf"{manifest.shards[2].file} has \d+ bytes, the manifest says"):
        check_shards(str(copy), manifest)
