"""What a run says of itself: operations, waiting, time by kind over restarts."""

import json
import resource
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from benchmarks.step import Sizes, products
from xlnet.errors import UserError
from xlnet.model import flops
from xlnet.model.config import ModelConfig
from xlnet.training.clock import Clock
from xlnet.training.data_wait import DataWait
from xlnet.training.metrics_log import MetricsLog


def test_the_operations_of_base_and_large_are_about_six_a_weight_and_piece():
    """The usual rule, of which two streams, memories, and attention take more."""
    base = ModelConfig()
    found = flops.of_step(base, rows=2, length=512, memory=0, predictions=None) / (2 * 512)
    dense = base.layers * (4 * 768 * 768 + 2 * 768 * 3072) + 768 * 32000
    assert 1.0 < found / (6 * dense) < 1.35
    with_memory = flops.of_step(base, rows=2, length=512, memory=384, predictions=85) / (2 * 512)
    assert with_memory > flops.of_step(base, rows=2, length=512, memory=0, predictions=85) / (2 * 512)


def test_the_benchmarks_count_the_same_operations():
    sizes = Sizes()
    config = ModelConfig(
        layers=sizes.layers, model_dim=512, heads=8, head_dim=64, feedforward_dim=2048, vocab_size=8000
    )
    assert products(sizes) == flops.of_step(config, rows=4, length=512, memory=384, predictions=85, boundary=256)


def test_what_no_position_of_a_half_can_see_is_not_counted():
    """Once a layer but for the last: 256 x 256 pairs, for contents, values and distances."""
    config = ModelConfig(layers=2, heads=2, head_dim=8)
    whole, halved = (
        flops.of_step(config, rows=3, length=512, memory=384, predictions=85, boundary=boundary)
        for boundary in (0, 256)
    )
    assert whole - halved == 2 * 3 * 3 * 16 * 256 * (3 * 256)


def test_the_operations_double_with_the_rows():
    config = ModelConfig(layers=1)
    one, two, three = (flops.of_step(config, rows=rows, length=64, memory=32, predictions=8) for rows in (2, 4, 6))
    assert three - two == two - one


def test_a_slow_source_is_waited_for_and_a_fast_one_is_not():
    slow, fast = DataWait(), DataWait()
    batches = tf.data.Dataset.range(5).map(lambda n: {"pieces": tf.fill([2, 3], n)})
    late = batches.map(lambda batch: tf.numpy_function(_after(0.1), [batch["pieces"]], tf.int64))
    found = [np.asarray(batch).tolist() for batch in slow.measured(late)]
    assert found == [[[n] * 3] * 2 for n in range(5)]
    assert 0.5 <= slow.seconds < 5
    for batch in fast.measured(batches.prefetch(5)):
        time.sleep(0.1)
        assert batch["pieces"].shape == (2, 3)
    assert fast.seconds < slow.seconds


def _after(seconds):
    def give(values):
        time.sleep(seconds)
        return values

    return give


def test_time_by_kind_goes_on_over_restarts_and_tells_what_was_done_twice(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    clock = Clock()
    now[0] += 2
    for kind, seconds in {"training": 5, "checkpoint": 1}.items():
        with clock.spending(kind):
            now[0] += seconds
    at_checkpoint = clock.seconds()
    assert at_checkpoint == {"seconds": 8, "training_seconds": 5, "checkpoint_seconds": 1}
    again = Clock()
    again.go_on(at_checkpoint, reached=20.0)
    with again.spending("training"):
        now[0] += 3
    assert again.seconds() == {
        "seconds": 23,
        "training_seconds": 8,
        "checkpoint_seconds": 1,
        "repeated_seconds": 12,
    }
    third = Clock()
    third.go_on(again.seconds(), reached=23.0)
    assert third.seconds()["repeated_seconds"] == 12


@pytest.mark.parametrize("name", ["seconds", "training_seconds"])
def test_what_tells_of_time_is_told_apart(name):
    from xlnet.training.run_metrics import is_time

    assert is_time(name)
    assert not is_time("loss")


def test_damaged_lines_are_left_out_when_a_run_goes_on(tmp_path):
    lines = [
        b'{"step": 1}',
        b'{"step": "x"}',
        b'{"step": 2, "seconds": "x"}',
        b'{"step": 2, "training_seconds": [1]}',
        b"\xff",
        b'{"step": 3, "seconds": 4.5}',
        b'{"st',
    ]
    (tmp_path / "metrics.jsonl").write_bytes(b"\n".join(lines))
    log = MetricsLog(str(tmp_path), resume_at=3)
    assert ([line["step"] for line in log.lines], log.reached) == ([1, 3], 4.5)


def test_what_every_life_spent_is_counted_however_many_were_killed(tmp_path, monkeypatch):
    """Three start up for 3 s; the first reaches step 4, from a checkpoint at step 2, and the second writes nothing."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def life(resume_at: int, *steps: int) -> Clock:
        clock = Clock()
        now[0] += 3
        log = MetricsLog(str(tmp_path), resume_at=resume_at, begun=clock.begun)
        clock.go_on(log.last, reached=log.reached)
        for step in steps:
            now[0] += 10
            log.write(step, {"loss": 1.0} | clock.seconds())
        return clock

    life(0, 1, 2, 3, 4)
    life(2)
    found = life(2, 3).seconds()
    assert found == {"seconds": 43 + 3 + 3 + 10, "repeated_seconds": 20 + 3}
    assert life(3).seconds() == found | {"seconds": 59 + 3}


def test_tensorboard_shows_each_step_once_after_restarts(tmp_path):
    for resume_at, steps in ((0, (1, 2, 3)), (0, (1, 2, 3, 4)), (2, (3, 4, 5)), (4, (5, 6))):
        log = MetricsLog(str(tmp_path), resume_at=resume_at)
        for step in steps:
            log.write(step, {"loss": resume_at + step / 8, "by_position": [step, 0.5]})
    shown = EventAccumulator(str(tmp_path / "tensorboard"))
    shown.Reload()
    expected = {1: 0.125, 2: 0.25, 3: 2.375, 4: 2.5, 5: 4.625, 6: 4.75}
    losses = [(event.step, float(tf.make_ndarray(event.tensor_proto))) for event in shown.Tensors("loss")]
    assert losses == [*expected.items()]
    assert len(shown.Tensors("by_position/1")) == 6
    assert [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [*expected]


def test_what_is_not_finite_is_null(tmp_path):
    log = MetricsLog(str(tmp_path))
    log.write(1, {"loss": float("nan"), "by_position": [1.5, float("inf")]})
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1, "loss": null, "by_position": [1.5, null]}\n'
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": NaN}\n')
    assert MetricsLog(str(tmp_path), resume_at=1).lines == [{"step": 1, "loss": None}]


@pytest.mark.parametrize("name", ["metrics.jsonl", "tensorboard"])
def test_a_disk_without_room_for_metrics_is_one_line(tmp_path, name):
    log = MetricsLog(str(tmp_path))
    log.write(1, {"loss": 1.0})
    fullest = log.path if name == "metrics.jsonl" else Path(log.events.path)
    with fullest.open("ab") as stream:
        stream.write(b"\n" * 2000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (fullest.stat().st_size, limits[1]))
    try:
        with pytest.raises(UserError, match=rf"^cannot write .*{name}.*: file too large; make room or choose [a-z ]*$"):
            log.write(2, {"loss": 1.0})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert MetricsLog(str(tmp_path), resume_at=1).last == {"step": 1, "loss": 1.0}


def test_a_file_in_the_place_of_tensorboards_folder_is_one_line(tmp_path):
    (tmp_path / "tensorboard").write_text("mine")
    with pytest.raises(UserError, match=r"cannot write .*tensorboard: a file is in the way"):
        MetricsLog(str(tmp_path))
