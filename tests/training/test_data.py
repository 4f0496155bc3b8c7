import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from xlnet import storage
from xlnet.corpus import layouts, orders, records, reference, tfrecords
from xlnet.corpus.manifest import Manifest
from xlnet.corpus.streams import Stream
from xlnet.errors import UserError
from xlnet.special_pieces import CLS, SEP
from xlnet.training import data
from xlnet.training.data import check_rows, check_shards, naming_damage, training_batches, validation_batches


@pytest.fixture(scope="module")
def manifest(small_data):
    return Manifest.read(small_data)


@pytest.fixture(scope="module")
def stored(small_data, manifest):
    return [list(layouts.read(storage.join(small_data, shard.file), manifest.settings)) for shard in manifest.shards]


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


def test_orders_on_the_fly_are_drawn_with_any_seed_that_a_run_may_have(small_data, manifest):
    drawn = [
        arrays(training_batches(small_data, manifest, batch_size=4, steps=1, seed=seed, orders="on-the-fly"))[0][
            "order"
        ]
        for seed in (0, 2**30, 2**32 - 1)
    ]
    assert (drawn[0] != drawn[1]).any()
    assert (drawn[1] != drawn[2]).any()


def test_more_rows_than_shards_are_refused(small_data, manifest):
    with pytest.raises(UserError, match="reads 8 shards side by side, the data have 6"):
        training_batches(small_data, manifest, batch_size=16, steps=3, seed=0)
    with pytest.raises(UserError, match="even number of rows"):
        training_batches(small_data, manifest, batch_size=3, steps=3, seed=0)


def test_a_cut_shard_is_named(small_data, manifest, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(small_data, copy)
    shard = copy / manifest.shards[2].file
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(UserError, match=rf"{manifest.shards[2].file} has \d+ bytes, the manifest says"):
        check_shards(str(copy), manifest)


LAYOUTS = {
    "compact": {},
    "a large vocabulary": {"size": 70_000},
    "one direction": {"bidirectional": False},
    "many targets": {"predictions": 500, "sequence_length": 1200, "reuse_length": 600, "permutation_size": 100},
    "a length that fills no byte": {"sequence_length": 36, "reuse_length": 18, "permutation_size": 9},
    "reference": {"layout": "reference", "reference_rows": 4},
    "reference, cores": {"layout": "reference", "reference_rows": 8, "reference_cores": 2},
    "reference, one direction": {"layout": "reference", "reference_rows": 4, "bidirectional": False},
}


@pytest.fixture(params=LAYOUTS)
def laid_out(request, small_corpus, tmp_path):
    """Shards of a layout, written without a job: their folder, what a manifest would say, the records of each."""
    changes = dict(LAYOUTS[request.param])
    size = changes.pop("size", 200)
    settings = replace(small_corpus, **changes)
    generator = np.random.default_rng(0)
    shards, decoded = [], []
    for number in range(3):
        pieces = generator.integers(9, size, 5000 + 900 * number).astype(np.int32)
        stream = Stream(pieces, np.arange(9, pieces.size, 9))
        path = tmp_path / layouts.file_name(number, 0, settings)
        path.parent.mkdir(exist_ok=True, parents=True)
        with path.open("wb") as target:
            place = {"pass_index": 0, "shard": number, "is_word_start": np.arange(size) % 3 > 0}
            written = layouts.write(target, stream, settings=settings, vocabulary_size=size, **place)
        shards.append(SimpleNamespace(file=layouts.file_name(number, 0, settings), records=written.records))
        decoded.append(list(layouts.read(str(path), settings)))
    return str(tmp_path), SimpleNamespace(settings=settings, shards=shards, vocabulary={"size": size}), decoded


def test_batches_are_the_decoded_records_in_every_layout(laid_out):
    folder, manifest, decoded = laid_out
    rows = data.rows_per_slot(manifest)
    place = {record["input"].tobytes(): (s, n) for s, shard in enumerate(decoded) for n, record in enumerate(shard)}
    before: dict[int, tuple[int, int]] = {}
    for batch in arrays(training_batches(folder, manifest, batch_size=2 * rows, steps=12, seed=0)):
        for row in range(2 * rows):
            shard, number = place[batch["pieces"][row].astype(np.int64).tobytes()]
            record = decoded[shard][number]
            np.testing.assert_array_equal(batch["segments"][row], record["seg_id"])
            np.testing.assert_array_equal(batch["order"][row], record["order"])
            np.testing.assert_array_equal(batch["is_target"][row], record["is_masked"].astype(bool))
            assert batch["reset"][row] == (number < rows)
            if not batch["reset"][row]:
                assert (shard, number) == (before[row][0], before[row][1] + rows), "a row goes on with its own text"
            before[row] = shard, number


def test_rows_alternate_forward_and_backward_in_every_layout(laid_out):
    folder, manifest, _ = laid_out
    settings, rows = manifest.settings, data.rows_per_slot(manifest)
    if not settings.bidirectional:
        assert data.alternating(settings).tolist() == list(range(rows))
        return
    batches = arrays(
        training_batches(folder, manifest, batch_size=rows, steps=manifest.shards[0].records // rows, seed=3)
    )
    first = [batch for batch in batches if not batch["reset"][0]][: len(batches) - 1]
    reused = np.concatenate([batch["pieces"][:, : settings.reuse_length] for batch in first], axis=1)
    for row in range(0, rows, 2):
        text, back = reused[row].tolist(), reused[row + 1, ::-1].tolist()
        assert "".join(map(chr, text[1000:1040])) in "".join(map(chr, back)), "the row beside it reads the same text"


def test_validation_sees_every_record_once_in_every_layout(laid_out):
    folder, manifest, decoded = laid_out
    expected = sorted(record["input"].tobytes() for shard in decoded for record in shard)
    for most in (1, 64):  # one shard after the other, and side by side
        dataset, rows = validation_batches(folder, manifest, most_rows=most)
        batches = arrays(dataset)
        assert rows == data.rows_per_slot(manifest) * (1 if most == 1 else 3)
        seen = [row for batch in batches for row in batch["pieces"][batch["is_target"].any(axis=1)]]
        assert sorted(row.astype(np.int64).tobytes() for row in seen) == expected
        assert sum(int(batch["reset"].all()) for batch in batches) >= (3 if most == 1 else 1)


@pytest.mark.parametrize("case", ["cased", "uncased_uni"])
def test_files_of_the_original_give_its_batches(golden, tmp_path, case):
    """What it made of three batches of its file, with its permutation; here rows alternate forward, backward."""
    folder = tmp_path / case
    shutil.copytree(golden(f"tfrecords/{case}/corpus_info.json").parent, folder)
    shutil.copy(golden("spiece.model"), folder)
    for info in folder.glob("tfrecords/record_info-train-0-1.*"):
        info.unlink()
    manifest = reference.open_data(str(folder))
    settings = json.loads(golden("input_batches_cases.json").read_text())[case]
    batches = arrays(training_batches(str(folder), manifest, batch_size=8, steps=3, seed=0))
    with np.load(golden("input_batches.npz")) as recorded:
        permutation = recorded[f"{case}/row_permutation"]
        size = permutation.size
        half = np.concatenate([chunk * size + permutation for chunk in range(32 // size)])
        for number, batch in enumerate(batches):
            theirs = {
                name: recorded[f"{case}/batch{number}/{name}"][data.alternating(manifest.settings)] for name in NAMES
            }
            np.testing.assert_array_equal(batch["pieces"], theirs["input_k"])
            np.testing.assert_array_equal(batch["segments"], theirs["seg_id"])
            is_functional = np.isin(batch["pieces"], [SEP, CLS])
            is_target = batch["is_target"] & ~is_functional
            np.testing.assert_array_equal(is_target, theirs["input_q"].astype(bool))
            sees = orders.visible(np.tile(half, 2)[None], is_target, is_functional, reuse_length=32)
            np.testing.assert_array_equal(~sees, theirs["perm_mask"].astype(bool))
            targets = np.concatenate([row[chosen] for row, chosen in zip(batch["pieces"], is_target, strict=True)])
            np.testing.assert_array_equal(targets, theirs["target"][theirs["target_mask"].astype(bool)])
            for order in (batch["order"][:, :32], batch["order"][:, 32:]):  # drawn here: the files hold none
                np.testing.assert_array_equal(np.sort(order, axis=1), np.tile(np.arange(32), (8, 1)))
            assert batch["reset"].all() == (number == 0)
    assert settings["bsz_per_host"] == 8
    with pytest.raises(UserError, match="batch_size is 12; these data need a multiple of 8"):
        check_rows(manifest, 12)


NAMES = ("input_k", "input_q", "seg_id", "perm_mask", "target", "target_mask")


def test_a_record_of_another_size_is_named(small_data, manifest, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(small_data, copy)
    other = records.encode({"input": np.zeros((4, 3), int), "is_masked": np.zeros((4, 3), int)})
    for shard in manifest.shards:
        with (copy / shard.file).open("wb") as target:
            tfrecords.write(target, other)
    with pytest.raises(UserError, match="record 0 is no training record"), naming_damage(str(copy), manifest):
        arrays(training_batches(str(copy), manifest, batch_size=4, steps=1, seed=0))
