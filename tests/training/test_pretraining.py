import json
import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from xlnet import storage
from xlnet.corpus.manifest import Manifest
from xlnet.errors import UserError
from xlnet.model.config import ModelConfig
from xlnet.training import loop
from xlnet.training.pretraining import pretrain
from xlnet.training.settings import PretrainingSettings

MODEL = ModelConfig(layers=2, model_dim=32, heads=2, head_dim=16, feedforward_dim=64, initializer_stddev=0.1)
SETTINGS = PretrainingSettings(
    batch_size=4,
    steps=24,
    memory_length=16,
    learning_rate=3e-3,
    warmup_steps=4,
    log_interval=4,
    validation_interval=12,
    checkpoint_interval=8,
)


def changed(**values) -> PretrainingSettings:
    return PretrainingSettings(**{**SETTINGS.__dict__, **values})


@pytest.fixture(scope="module")
def finished(small_data, held_out_data, tmp_path_factory):
    output = tmp_path_factory.mktemp("runs") / "whole"
    summary = pretrain(data=small_data, validation=held_out_data, output=str(output), settings=SETTINGS, model=MODEL)
    return output, summary


def test_a_run_leaves_what_it_promises(finished, vocabulary):
    output, summary = finished
    assert json.loads((output / "summary.json").read_text()) == summary
    assert summary["backend"] == "tensorflow"
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [4, 8, 12, 16, 20, 24]
    assert [line["step"] for line in lines if "validation_loss" in line] == [12, 24]
    assert sorted(path.name for path in (output / "checkpoints").iterdir()) == [
        "step-00000008",
        "step-00000016",
        "step-00000024",
    ]
    assert (output / "model/spiece.model").read_bytes() == Path(vocabulary).read_bytes()
    assert list((output / "tensorboard").iterdir())
    weights = load_file(output / "model/model.safetensors")
    assert summary["parameters"] == sum(array.size for array in weights.values())


def test_learning_happens(finished):
    output, summary = finished
    losses = [json.loads(line).get("loss") for line in (output / "metrics.jsonl").read_text().splitlines()]
    losses = [loss for loss in losses if loss is not None]
    assert losses[-1] < losses[0] - 0.3
    assert summary["unigram_loss_own"] < summary["unigram_loss"] < np.log(500)


def test_nothing_is_drawn_from_the_process_for_which_others_draw_too(small_data, tmp_path, monkeypatch):
    monkeypatch.setattr(random, "randint", lambda *_: pytest.fail("a seed is drawn from the process's generator"))
    pretrain(data=small_data, output=str(tmp_path / "run"), settings=changed(steps=2), model=MODEL)


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(finished, small_data, held_out_data, tmp_path):
    whole, _ = finished
    stopped = tmp_path / "stopped"
    shutil.copytree(whole, stopped)
    for name in ("summary.json", "model", "checkpoints/step-00000024", "checkpoints/step-00000016"):
        path = stopped / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    pretrain(data=small_data, validation=held_out_data, output=str(stopped), settings=SETTINGS, model=MODEL)
    one, other = (load_file(folder / "model/model.safetensors") for folder in (whole, stopped))
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    steps = [json.loads(line)["step"] for line in (stopped / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(steps), "every step stands in the metrics once, in order"


@pytest.mark.parametrize("steps", [3, 10])
def test_a_run_is_the_same_however_much_of_it_is_laid_out_at_once(
    finished, small_data, held_out_data, tmp_path, monkeypatch, steps
):
    monkeypatch.setattr(loop, "LAID_OUT", steps)
    pretrain(data=small_data, validation=held_out_data, output=str(tmp_path / "run"), settings=SETTINGS, model=MODEL)
    one, other = (folder / "model/model.safetensors" for folder in (finished[0], tmp_path / "run"))
    for name, array in load_file(one).items():
        np.testing.assert_array_equal(array, load_file(other)[name], err_msg=name)
    told = [
        [line["step"] for line in map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())]
        for folder in (finished[0], tmp_path / "run")
    ]
    assert told[0] == told[1]


def test_other_settings_than_the_checkpoints_are_refused(finished, small_data, tmp_path):
    stopped = tmp_path / "stopped"
    shutil.copytree(finished[0], stopped)
    (stopped / "summary.json").unlink()
    with pytest.raises(UserError, match=r"made with learning_rate 0.003, this run has 0.1"):
        pretrain(data=small_data, output=str(stopped), settings=changed(learning_rate=0.1), model=MODEL)
    with pytest.raises(UserError, match=r"made with init None, this run has '.*whole/model'"):
        pretrain(data=small_data, output=str(stopped), init=str(finished[0] / "model"), settings=SETTINGS, model=MODEL)


def test_a_finished_run_and_a_strange_folder_are_refused(finished, small_data, tmp_path):
    with pytest.raises(UserError, match="already holds a finished run"):
        pretrain(data=small_data, output=str(finished[0]), settings=SETTINGS, model=MODEL)
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(UserError, match="already holds something"):
        pretrain(data=small_data, output=str(tmp_path), settings=SETTINGS, model=MODEL)


def test_a_folder_that_another_run_writes_to_is_refused_and_one_that_was_killed_blocks_none(small_data, tmp_path):
    output = tmp_path / "run"
    with (
        storage.locked(str(output)),
        pytest.raises(UserError, match=r"another run is writing to .*run \(process \d+ on"),
    ):
        pretrain(data=small_data, output=str(output), settings=changed(steps=2), model=MODEL)
    assert not output.exists()
    output.mkdir()
    (output / ".lock").write_text("process 1 on another")  # the kernel has let go of it
    assert pretrain(data=small_data, output=str(output), settings=changed(steps=2), model=MODEL)["steps"] == 2
    assert not (output / ".lock").exists()


def test_validation_of_another_shape_is_refused_with_both_values(small_data, text, vocabulary, tmp_path):
    from pipelines.preprocess import run

    settings = Manifest.read(small_data).settings
    other = type(settings)(**{**settings.__dict__, "predictions": 4})
    run([str(text[0])], str(tmp_path / "other"), vocabulary=vocabulary, settings=other)
    with pytest.raises(UserError, match="made with predictions 4, 6 is asked for"):
        pretrain(
            data=small_data,
            validation=str(tmp_path / "other"),
            output=str(tmp_path / "run"),
            settings=SETTINGS,
            model=MODEL,
        )


def test_a_damaged_record_ends_the_run_with_one_line(small_data, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(small_data, copy)
    for shard in Manifest.read(small_data).shards:
        content = bytearray((copy / shard.file).read_bytes())
        content[5000] ^= 0xFF
        (copy / shard.file).write_bytes(content)
    with pytest.raises(UserError, match=r"tfrecord: record \d+ is damaged") as caught:
        pretrain(data=str(copy), output=str(tmp_path / "run"), settings=SETTINGS, model=MODEL)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "counts",
    [np.full(500, -1), np.full(500, np.nan), np.full(500, "a"), np.zeros(3, int), b"\x93NUMPY\x01\x00\x04\x00{'(\n"],
)
def test_damaged_counts_of_pieces_are_named_before_anything_is_trained(small_data, tmp_path, counts):
    copy = tmp_path / "copy"
    shutil.copytree(small_data, copy)
    path = copy / Manifest.read(small_data).piece_counts
    path.write_bytes(counts) if isinstance(counts, bytes) else np.save(path, counts)
    with pytest.raises(UserError, match=r"piece-counts.npy (is damaged|counts \(3,\) pieces)"):
        pretrain(data=str(copy), validation=small_data, output=str(tmp_path / "run"), settings=SETTINGS, model=MODEL)


def test_a_truncated_shard_is_named_before_anything_is_built(small_data, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(small_data, copy)
    shard = Manifest.read(small_data).shards[2]
    (copy / shard.file).write_bytes((copy / shard.file).read_bytes()[:-7])
    with pytest.raises(UserError, match=rf"{shard.file} has {shard.bytes - 7} bytes, the manifest says {shard.bytes}"):
        pretrain(data=str(copy), output=str(tmp_path / "run"), settings=SETTINGS, model=MODEL)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (
            lambda path: path.write_bytes(path.read_bytes().replace(b"e", b"a", 1)),
            r"spiece\.model has the SHA-256 \w{12}, the manifest says \w{12}; it was changed or cut",
        ),
        (lambda path: os.truncate(path, 100), r"spiece\.model has the SHA-256 \w{12}, the manifest says \w{12}"),
        (Path.unlink, r"spiece\.model does not exist"),
    ],
)
def test_a_vocabulary_that_is_not_the_datas_is_named_before_anything_is_built(small_data, tmp_path, damage, told):
    copy = tmp_path / "copy"
    shutil.copytree(small_data, copy)
    damage(copy / "spiece.model")
    with pytest.raises(UserError, match=told):
        pretrain(data=str(copy), output=str(tmp_path / "run"), settings=SETTINGS, model=MODEL)
    with pytest.raises(UserError, match=told):
        pretrain(data=small_data, validation=str(copy), output=str(tmp_path / "run"), settings=SETTINGS, model=MODEL)
    assert not (tmp_path / "run").exists()


def test_a_manifest_that_miscounts_its_vocabulary_is_named(small_data, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(small_data, copy)
    content = json.loads((copy / "manifest.json").read_text())
    content["vocabulary"]["size"] = 40
    (copy / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"is damaged \(it counts 40 pieces in spiece\.model, of 500\)"):
        pretrain(data=str(copy), output=str(tmp_path / "run"), settings=SETTINGS, model=MODEL)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0),
        ("batch_size", -2),
        ("memory_length", -1),
        ("orders", "fixed"),
        ("decay", "x"),
        ("devices", "cpu:9999"),
    ],
)
def test_wrong_settings_are_named(name, value):
    with pytest.raises(UserError, match=f"{name} is {value!r}"):
        changed(**{name: value})
