"""What a run says of itself: operations, waiting, time by kind over restarts."""

import time

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.step import Sizes, products
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
    lines = b'{"step": 1}\n{"step": "x"}\n{"step": 2, "seconds": "x"}\n\xff\n{"step": 3, "seconds": 4.5}\n{"st'
    (tmp_path / "metrics.jsonl").write_bytes(lines)
    log = MetricsLog(str(tmp_path), resume_at=3)
    assert ([line["step"] for line in log.lines], log.reached) == ([1, 3], 4.5)
