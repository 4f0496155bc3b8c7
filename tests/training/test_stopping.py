"""SIGTERM, a full disk, and steps that are not finite, in whole runs of a tiny model."""

import dataclasses
import importlib.util
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from keras import ops

from xlnet import cli, frameworks
from xlnet.errors import UserError
from xlnet.model.config import ModelConfig
from xlnet.training import guard, held_out, loop, metrics_log, pretrainer, resume, running
from xlnet.training.pretraining import pretrain
from xlnet.training.settings import PretrainingSettings
from xlnet.training.stopping import StoppedError, on_termination

MODEL = ModelConfig(layers=1, model_dim=8, heads=1, head_dim=8, feedforward_dim=8, initializer_stddev=0.1)
SETTINGS = PretrainingSettings(
    batch_size=2,
    steps=10,
    memory_length=8,
    learning_rate=3e-3,
    warmup_steps=4,
    log_interval=4,
    checkpoint_interval=4,
    keep_checkpoints=20,
    jit_compile=False,
)


def load(name: str):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


same = load("test_killing")


def run(data: str, output: Path, *, validation: str | None = None, **changed) -> dict:
    settings = dataclasses.replace(SETTINGS, **changed)
    return pretrain(data=data, output=str(output), settings=settings, model=MODEL, validation=validation)


@pytest.fixture(scope="module")
def whole(small_data, tmp_path_factory) -> Path:
    """A run that was left alone, with a checkpoint at every step."""
    output = tmp_path_factory.mktemp("runs") / "whole"
    run(small_data, output, log_interval=1, checkpoint_interval=1)
    return output


@pytest.mark.slow
def test_from_a_checkpoint_of_every_step_the_whole_tail_is_the_same(whole, small_data, tmp_path):
    names = [f"step-{step:08d}" for step in range(1, 11)]
    assert sorted(path.name for path in (whole / "checkpoints").iterdir()) == names
    for number, name in enumerate(names[:-1], start=1):
        again = tmp_path / name
        (again / "checkpoints").mkdir(parents=True)
        (again / "run.json").write_bytes((whole / "run.json").read_bytes())
        (again / "checkpoints" / name).symlink_to(whole / "checkpoints" / name)
        (again / "metrics.jsonl").write_bytes((whole / "metrics.jsonl").read_bytes())
        run(small_data, again, log_interval=1, checkpoint_interval=1)
        for later in names[number:]:
            same.same_state(whole, again, checkpoint=later)
        assert same.metrics(whole) == same.metrics(again)


def terminated_at(step: int, monkeypatch) -> None:
    """A SIGTERM as the step's batch is about to be trained on."""
    begin = loop.Loop._begin

    def and_terminate(self) -> None:
        begin(self)
        function, taken = self.trainer.train_function, [self.trainer.optimizer.position]

        def counted(*given):
            taken[0] += 1
            if taken[0] == step:
                os.kill(os.getpid(), signal.SIGTERM)
            return function(*given)

        self.trainer.train_function = counted

    monkeypatch.setattr(loop.Loop, "_begin", and_terminate)


def test_sigterm_in_the_middle_of_an_interval_loses_nothing(small_data, tmp_path, monkeypatch):
    run(small_data, tmp_path / "whole")
    with monkeypatch.context() as patched:
        terminated_at(6, patched)
        with pytest.raises(StoppedError, match="stopped at step 6 of 10, saved; the same command goes on"):
            run(small_data, tmp_path / "stopped")
    assert resume.find(str(tmp_path / "stopped" / "checkpoints"))[-1].step == 6
    run(small_data, tmp_path / "stopped")
    same.same_state(tmp_path / "whole", tmp_path / "stopped", checkpoint="step-00000010")
    assert same.metrics(tmp_path / "whole") == same.metrics(tmp_path / "stopped")


def terminated_while_measuring(step: int, monkeypatch) -> list[int]:
    """A SIGTERM after the first held-out batch of a step -> the batches that were measured from there on."""
    validate, look, seen, at = loop.Loop._validate, held_out._GivingUp.on_test_batch_end, [], []

    def and_tell(self, step):
        at.append(step)
        validate(self, step)

    def and_terminate(self, batch, logs=None):
        if at[-1] == step:
            seen.append(batch)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)  # this is not the thread that signals come to
        look(self, batch, logs)

    monkeypatch.setattr(loop.Loop, "_validate", and_tell)
    monkeypatch.setattr(held_out._GivingUp, "on_test_batch_end", and_terminate)
    return seen


@pytest.mark.parametrize("step", [4, 10])
def test_sigterm_while_the_held_out_loss_is_measured_waits_for_one_batch_of_it(
    small_data, held_out_data, tmp_path, monkeypatch, step
):
    given = {"validation": held_out_data, "validation_interval": 4}
    run(small_data, tmp_path / "whole", **given)
    with monkeypatch.context() as patched:
        seen = terminated_while_measuring(step, patched)
        with pytest.raises(StoppedError, match=f"stopped at step {step} of 10, saved; the same command goes on"):
            run(small_data, tmp_path / "stopped", **given)
    assert 1 <= len(seen) <= 3  # they are told of a little late
    assert resume.find(str(tmp_path / "stopped" / "checkpoints"))[-1].step == step
    lines = same.metrics(tmp_path / "stopped")
    assert [line["step"] for line in lines if "validation_loss" in line] == [at for at in (4, 8, 10) if at < step]
    run(small_data, tmp_path / "stopped", **given)
    same.same_state(tmp_path / "whole", tmp_path / "stopped", checkpoint="step-00000010")
    assert same.metrics(tmp_path / "whole") == same.metrics(tmp_path / "stopped")


def test_what_handled_sigterm_before_does_so_again_after_a_run():
    before, asked = signal.getsignal(signal.SIGTERM), []
    with on_termination(lambda: asked.append(1)):
        signal.raise_signal(signal.SIGTERM)
    assert (asked, signal.getsignal(signal.SIGTERM)) == ([1], before)


@pytest.mark.parametrize("verb", ["pretrain --data d", "finetune --train t --init m"])
def test_the_command_that_has_not_begun_to_train_exits_with_come_again_too(verb, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(frameworks, "load", lambda: os.kill(os.getpid(), signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    assert cli.main([*verb.split(), "--output", str(tmp_path / "run")]) == 75
    assert capsys.readouterr().err == "stopped before the first step, nothing is lost; the same command goes on\n"
    assert signal.getsignal(signal.SIGTERM) is before
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_command_exits_with_come_again_and_one_line(small_data, tmp_path):
    words = {"data": small_data, "output": str(tmp_path / "run"), "batch_size": 2, "steps": 100000, "memory_length": 8}
    words |= {"layers": 1, "model_dim": 8, "heads": 1, "head_dim": 8, "feedforward_dim": 8, "log_interval": 1}
    flags = [part for name, value in words.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    command = [sys.executable, "-m", "xlnet.cli", "pretrain", *flags, "--no-jit-compile"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ}) as process:
        written, deadline = tmp_path / "run" / "metrics.jsonl", time.monotonic() + 120
        while not (written.exists() and written.stat().st_size) and time.monotonic() < deadline:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        process.terminate()
        told = process.communicate(timeout=60)[1].strip().splitlines()[-1]
    assert process.returncode == 75
    assert told.startswith("stopped at step ")
    assert len(resume.find(str(tmp_path / "run" / "checkpoints"))) == 1


def test_a_disk_that_fills_up_keeps_the_checkpoint_before(whole, small_data, tmp_path):
    held = {"a": np.zeros(4, np.float32)}
    resume.save(str(tmp_path), 1, variables=held, settings={}, keep=resume.Keep(1))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(
            UserError, match=r"step-00000002 cannot be written .* newest one is .*step-00000001"
        ) as told:
            resume.save(str(tmp_path), 2, variables={"a": np.zeros(9999, np.float32)}, settings={}, keep=resume.Keep(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(told.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000001"]


def test_a_disk_without_room_for_metrics_ends_the_run_which_goes_on(whole, small_data, tmp_path, monkeypatch):
    write, limits = metrics_log.MetricsLog.write, resource.getrlimit(resource.RLIMIT_FSIZE)

    def full_at_7(log, step, values):
        if step == 7:
            resource.setrlimit(resource.RLIMIT_FSIZE, (log.path.stat().st_size, limits[1]))
        write(log, step, values)

    often = {"log_interval": 1, "checkpoint_interval": 1}
    try:
        with monkeypatch.context() as patched:
            patched.setattr(metrics_log.MetricsLog, "write", full_at_7)
            with pytest.raises(UserError, match=r"cannot write .*metrics.jsonl: file too large; make room"):
                run(small_data, tmp_path / "run", **often)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert resume.find(str(tmp_path / "run" / "checkpoints"))[-1].step == 6
    run(small_data, tmp_path / "run", **often)
    same.same_state(whole, tmp_path / "run", checkpoint="step-00000010")
    assert same.metrics(whole) == same.metrics(tmp_path / "run")


def poisoned(monkeypatch, *, first: int, last: int, factor: float = np.nan) -> None:
    """Makes the loss of some steps not a number, or so many times what it is."""
    count = pretrainer.Pretrainer.target_count

    def never(self, batch):
        step = self.optimizer._position()
        is_poisoned = (step >= first) & (step <= last)
        return count(self, batch) / ops.where(is_poisoned, factor, 1.0)

    monkeypatch.setattr(pretrainer.Pretrainer, "target_count", never)


def test_a_batch_that_is_not_finite_is_skipped_counted_and_saved(small_data, tmp_path, monkeypatch, capfd):
    poisoned(monkeypatch, first=5, last=6)
    summary = run(small_data, tmp_path / "run")
    assert np.isfinite(summary["loss"])
    assert summary["skipped"] == 2
    assert sorted(path.name for path in (tmp_path / "run" / "skipped").iterdir()) == [
        "step-00000005.npz",
        "step-00000006.npz",
    ]
    batch = np.load(tmp_path / "run" / "skipped" / "step-00000005.npz")
    assert batch["pieces"].shape == (2, 32)
    assert "2 steps were skipped (step 5: loss nan, step 6: loss nan)" in capfd.readouterr().out
    lines = same.metrics(tmp_path / "run")
    assert [line.get("skipped") for line in lines] == [None, 2, 2]


def test_too_many_in_a_row_stop_the_run_with_the_position(small_data, tmp_path, monkeypatch):
    poisoned(monkeypatch, first=5, last=99)
    with pytest.raises(UserError, match=r"3 steps in a row .* the last one is step 7: loss nan") as told:
        run(small_data, tmp_path / "run", steps=20, most_skipped_steps=3)
    assert "\n" not in str(told.value)
    assert [found.step for found in resume.find(str(tmp_path / "run" / "checkpoints"))] == [4]


def test_a_run_whose_last_steps_were_skipped_publishes_nothing(small_data, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        poisoned(patched, first=8, last=9)
        with pytest.raises(UserError, match=r"2 steps in a row at the end of the run .* the last one is step 9: loss"):
            run(small_data, tmp_path / "run")
        poisoned(patched, first=0, last=9)
        with pytest.raises(UserError, match="of 2 steps none was finite, so no model is published; begin anew"):
            run(small_data, tmp_path / "none", steps=2, most_skipped_steps=3)
    assert [found.step for found in resume.find(str(tmp_path / "run" / "checkpoints"))] == [4, 8]
    assert not (tmp_path / "run" / "model").exists()
    poisoned(monkeypatch, first=9, last=9)
    assert run(small_data, tmp_path / "run")["skipped"] == 1


def test_a_held_out_loss_that_is_not_finite_ends_the_run_without_a_model(small_data, tmp_path, monkeypatch):
    measured = {"validation_loss": np.nan, "validation_loss_by_position": [0.0] * 8}
    monkeypatch.setattr(held_out.HeldOut, "measure", lambda self, **_: measured)
    for _ in range(2):  # from the start, and from the checkpoint of the last step
        with pytest.raises(UserError, match="the held-out loss is nan after the last step, so no model is published;"):
            run(small_data, tmp_path / "run", validation=small_data)
    assert not {"model", "summary.json"} & {path.name for path in (tmp_path / "run").iterdir()}
    assert [line["validation_loss"] for line in same.metrics(tmp_path / "run") if "validation_loss" in line] == [
        None
    ] * 2
    assert run(small_data, tmp_path / "run")["steps"] == 10


def test_no_loss_is_told_of_an_interval_without_a_sound_step(small_data, tmp_path, monkeypatch):
    poisoned(monkeypatch, first=4, last=7)
    run(small_data, tmp_path / "run")
    lines = same.metrics(tmp_path / "run")
    assert [("loss" in line, line.get("skipped")) for line in lines] == [(True, None), (False, 4), (True, 4)]


def test_overflows_of_float16_and_the_scale_are_told(small_data, tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "FIRST_SCALE", 2.0**40)
    run(small_data, tmp_path / "run", precision="float16", steps=40, log_interval=8)
    lines = same.metrics(tmp_path / "run")
    overflows = [line["overflows"] for line in lines]
    assert overflows[0] == 8
    assert overflows[-1] < 40
    assert [line["loss_scale"] for line in lines] == [2.0 ** (40 - count) for count in overflows]
    assert ["loss" in line for line in lines][0:5:4] == [False, True]


def test_a_spike_is_skipped_and_a_run_stopped_after_it_goes_on_to_the_same_bits(small_data, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "SPAN", 4)
    poisoned(monkeypatch, first=5, last=5, factor=100.0)
    summary = run(small_data, tmp_path / "whole")
    assert summary["skipped"] == 1
    spike = np.load(tmp_path / "whole" / "skipped" / "step-00000005.npz")["loss"]
    assert spike > 50
    with monkeypatch.context() as patched:
        terminated_at(7, patched)
        with pytest.raises(StoppedError, match="stopped at step 7"):
            run(small_data, tmp_path / "stopped")
    run(small_data, tmp_path / "stopped")
    same.same_state(tmp_path / "whole", tmp_path / "stopped", checkpoint="step-00000010")
    assert same.metrics(tmp_path / "whole") == same.metrics(tmp_path / "stopped")


def test_spikes_that_do_not_end_stop_the_run_which_goes_on_where_they_are_allowed(small_data, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "SPAN", 4)
    poisoned(monkeypatch, first=6, last=99, factor=100.0)
    with pytest.raises(UserError, match=r"2 steps in a row .* a spike .* the last one is step 7: loss \d"):
        run(small_data, tmp_path / "run", most_skipped_steps=2)
    assert [found.step for found in resume.find(str(tmp_path / "run" / "checkpoints"))] == [4]
    assert run(small_data, tmp_path / "run", spike_deviations=0)["steps"] == 10


def test_the_batch_in_parts_must_be_whole_streams(small_data, tmp_path):
    with pytest.raises(
        UserError, match="batch_size is 2, wanted is a multiple of 4: accumulation_steps is 2, each needs"
    ):
        run(small_data, tmp_path / "run", accumulation_steps=2)


def test_what_may_change_may_change(whole, small_data, tmp_path):
    again = tmp_path / "again"
    (again / "checkpoints").mkdir(parents=True)
    (again / "run.json").write_bytes((whole / "run.json").read_bytes())
    (again / "checkpoints" / "step-00000008").symlink_to(whole / "checkpoints" / "step-00000008")
    changed = {"log_interval": 5, "checkpoint_interval": 3, "keep_checkpoints": 2, "keep_interval": 4}
    run(small_data, again, most_skipped_steps=4, **changed)
    same.same_state(whole, again, checkpoint="step-00000010")
    assert json.loads((again / "summary.json").read_text())["settings"]["log_interval"] == 5
