"""Fine-tuning runs that are killed, asked to stop, end early, average weights, or come in several seeds."""

import dataclasses
import functools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from xlnet import storage
from xlnet.errors import UserError
from xlnet.model.config import ModelConfig
from xlnet.tasks.classification import Classification
from xlnet.tasks.predictor import Predictor
from xlnet.training import finetuning_watch
from xlnet.training.best_weights import BestWeights
from xlnet.training.finetuning import finetune
from xlnet.training.finetuning_seeds import finetune_seeds
from xlnet.training.finetuning_settings import FinetuningSettings
from xlnet.training.stopping import StoppedError

HERE = Path(__file__).parent
WORDS = ["the", "of", "and", "water", "pond", "house", "day", "man", "night", "light", "earth", "summer"]
pytestmark = pytest.mark.usefixtures("at_once")
TINY = ModelConfig(layers=1, model_dim=8, heads=1, head_dim=8, feedforward_dim=8, dropout=0.1, initializer_stddev=0.1)
SETTINGS = FinetuningSettings(
    sequence_length=24, batch_size=8, epochs=3, learning_rate=1e-2, jit_compile=False, length_buckets=2
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, vocabulary) -> Path:
    """Texts of 1 to 15 words, to tell whether they are about water."""
    place = tmp_path_factory.mktemp("texts")
    draw = random.Random(0)
    for name, count in {"train": 33, "dev": 16}.items():
        texts = [" ".join(draw.choices(WORDS, k=draw.randint(1, 15))) for _ in range(count)]
        rows = [f"{text}\t{'yes' if 'water' in text else 'no'}\n" for text in texts]
        (place / f"{name}.tsv").write_text("text\tlabel\n" + "".join(rows))
    shutil.copy(vocabulary, place / "spiece.model")
    return place


def run(folder: Path, output: Path | str, **changed: Any) -> dict[str, Any]:
    return finetune(
        train=str(folder / "train.tsv"),
        dev=str(folder / "dev.tsv"),
        vocabulary=str(folder / "spiece.model"),
        model_config=TINY,
        output=str(output),
        settings=dataclasses.replace(SETTINGS, **changed),
        progress=False,
    )


def metrics(output: Path | str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in storage.read_bytes(storage.join(str(output), "metrics.jsonl")).splitlines()]
    of_time = ("seconds", "examples_per_second")
    return [{name: value for name, value in line.items() if name not in of_time} for line in lines]


def assert_same(one: Path, other: Path) -> None:
    assert metrics(one) == metrics(other)
    weights = [load_file(output / "model" / "model.safetensors") for output in (one, other)]
    assert weights[0].keys() == weights[1].keys()
    for name, expected in weights[0].items():
        np.testing.assert_array_equal(weights[1][name], expected, err_msg=name)


@pytest.mark.slow
def test_a_run_that_is_killed_over_and_over_ends_as_one_that_is_not(folder):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, str(HERE / "finetuning_killing.py"), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1])["killed"] >= 6
    assert_same(folder / "whole", folder / "broken")
    summary = storage.read_json(str(folder / "broken" / "summary.json"))
    assert summary == storage.read_json(str(folder / "whole" / "summary.json")) | {
        name: summary[name] for name in ("seconds", "examples_per_second")
    }
    left = sorted(path.name for path in (folder / "broken").iterdir())
    assert left == ["metrics.jsonl", "model", "run.json", "summary.json", "tensorboard"]


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "whole"
    run(folder, output)
    return output


def test_a_run_on_gs_that_dies_after_a_checkpoint_ends_as_one_that_does_not(
    folder, whole, storage_service, monkeypatch
):
    save = finetuning_watch.RunCheckpoints.save

    def and_die(checkpoints, step):
        save(checkpoints, step)
        if step == 8:
            raise SystemExit("died")

    output = "gs://b/run"
    with monkeypatch.context() as patch:
        patch.setattr(finetuning_watch.RunCheckpoints, "save", and_die)
        with pytest.raises(SystemExit, match="died"):
            run(folder, output, checkpoint_interval=4)
    done = run(folder, output, checkpoint_interval=4)
    assert metrics(output) == metrics(whole)
    assert done["best_step"] == storage.read_json(str(whole / "summary.json"))["best_step"]
    weights = [storage.read_bytes(storage.join(str(place), "model/model.safetensors")) for place in (whole, output)]
    assert weights[0] == weights[1]


def test_nothing_that_another_thread_draws_changes_a_run(folder, whole, tmp_path, monkeypatch):
    """Clients of buckets draw, for how long they wait before they ask again."""
    is_done = threading.Event()

    def draw():
        while not is_done.is_set():
            random.random()

    monkeypatch.setattr(random, "randint", lambda *_: pytest.fail("a seed is drawn from the process's generator"))
    thread = threading.Thread(target=draw)
    thread.start()
    try:
        run(folder, tmp_path / "out")
    finally:
        is_done.set()
        thread.join()
    assert_same(whole, tmp_path / "out")


def test_a_folder_that_another_run_writes_to_is_refused(folder, tmp_path):
    given = {"train": str(folder / "train.tsv"), "init": "none", "settings": SETTINGS}
    for start in (finetune, functools.partial(finetune_seeds, seeds=2)):
        with storage.locked(str(tmp_path)), pytest.raises(UserError, match="another run is writing to"):
            start(output=str(tmp_path), **given)
        assert list(tmp_path.iterdir()) == []
    with storage.locked(str(tmp_path / "seed-0")), pytest.raises(UserError, match=r"another run .* to .*seed-0 \("):
        finetune_seeds(seeds=2, output=str(tmp_path), **given)


def stopped_at(step: int, monkeypatch) -> None:
    """A SIGTERM as the metrics of a step are written."""
    write = finetuning_watch.MetricsLog.write

    def and_term(log, at, values):
        write(log, at, values)
        if at == step:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(finetuning_watch.MetricsLog, "write", and_term)


def test_sigterm_saves_and_the_same_command_goes_on(folder, whole, tmp_path, monkeypatch):
    stopped_at(5, monkeypatch)
    output = tmp_path / "out"
    with pytest.raises(StoppedError, match="stopped at step 5 of 12, saved; the same command goes on"):
        run(folder, output)
    monkeypatch.undo()
    with pytest.raises(UserError, match=r"was made with learning_rate 0\.01, this run has 0\.02; give the same"):
        run(folder, output, learning_rate=0.02)
    run(folder, output, checkpoint_interval=1)
    assert_same(whole, output)
    with pytest.raises(UserError, match="already holds a finished run"):
        run(folder, output)


@pytest.mark.parametrize("step", [8, 12])
def test_sigterm_while_it_measures_leaves_at_once_and_measures_when_it_goes_on(
    folder, whole, tmp_path, monkeypatch, step
):
    evaluate = BestWeights.evaluate

    def and_term(best, at, **given):
        if at == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(best, at, **given)

    for _ in range(2):  # the second life is stopped before it takes a step
        with monkeypatch.context() as patched:
            patched.setattr(BestWeights, "evaluate", and_term)
            with pytest.raises(StoppedError, match=f"stopped at step {step} of 12, saved; the same command goes on"):
                run(folder, tmp_path / "out")
        assert [line["step"] for line in metrics(tmp_path / "out") if "dev_loss" in line] == [*range(4, step, 4)]
    run(folder, tmp_path / "out")
    assert_same(whole, tmp_path / "out")


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-10] ^= 0x40
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (flipped, r"is damaged \(checksums differ\)"),
        (lambda path: os.truncate(path, 20), r"is damaged \(checksums differ\)"),
        (Path.unlink, "does not exist"),
    ],
)
def test_best_weights_that_are_damaged_are_told_before_the_training_goes_on(
    folder, tmp_path, monkeypatch, damage, told
):
    often = {"evaluation_interval": 3, "checkpoint_interval": 1, "keep_checkpoints": 9}
    with monkeypatch.context() as patched:
        stopped_at(5, patched)
        with pytest.raises(StoppedError):
            run(folder, tmp_path, **often)
    damage(tmp_path / "best" / "00000003.safetensors")
    again = r"; remove the checkpoints from step 3 on, to go on from one before, or name another --output$"
    with monkeypatch.context() as patched:
        patched.setattr(finetuning_watch.Watch, "train", lambda watch: pytest.fail("it trains"))
        with pytest.raises(UserError, match=rf"^\S*00000003\.safetensors {told}{again}"):
            run(folder, tmp_path, **often)
    for step in (3, 4, 5):
        shutil.rmtree(tmp_path / "checkpoints" / f"step-{step:08d}")
    assert run(folder, tmp_path, **often)["steps"] == 12


def test_weights_that_are_destroyed_are_not_published(folder, tmp_path):
    with pytest.raises(
        UserError, match=r"^\d+ steps in a row at the end of the run had a loss or gradient that"
    ) as told:
        run(folder, tmp_path, learning_rate=1e30, most_skipped_steps=40)
    assert "spike" not in str(told.value)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("losses", [[np.nan] * 3, [np.nan, 0.5, np.nan]])
def test_dev_losses_that_are_not_finite_are_never_best(folder, tmp_path, monkeypatch, losses):
    measured = iter(zip([0.9, 0.5, 0.9], losses, strict=True))

    def measure(task, examples, features, outputs):
        accuracy, loss = next(measured)
        return {"metrics": {"accuracy": accuracy}, "loss": loss}

    monkeypatch.setattr(Classification, "measure", measure)
    if 0.5 in losses:
        assert run(folder, tmp_path)["best_step"] == 8
    else:
        with pytest.raises(UserError, match="the loss on the dev examples is never finite, so no model is published;"):
            run(folder, tmp_path)
    found = [line["dev_loss"] for line in metrics(tmp_path) if "dev_loss" in line]
    assert found == [None if np.isnan(loss) else loss for loss in losses]


def test_it_ends_when_the_dev_metric_gets_no_better_and_keeps_the_best(folder, tmp_path, monkeypatch):
    accuracies = iter([0.5, 0.8, 0.7, 0.8, 0.9])
    kept = []

    def measure(task, examples, features, outputs):
        return {"metrics": {"accuracy": next(accuracies)}, "loss": 1.0}

    def outputs(predictor, inputs, **options):
        kept.append(predictor.model.get_weights())

    monkeypatch.setattr(Classification, "measure", measure)
    monkeypatch.setattr(Predictor, "outputs", outputs)
    summary = run(folder, tmp_path / "out", epochs=5, patience=2)
    assert (summary["steps"], summary["best_step"], summary["dev_accuracy"]) == (16, 8, 0.8)
    found = [line["dev_accuracy"] for line in metrics(tmp_path / "out") if "dev_accuracy" in line]
    assert found == [0.5, 0.8, 0.7, 0.8]
    monkeypatch.undo()
    found = Predictor.load(str(tmp_path / "out" / "model")).model.get_weights()
    for value, best in zip(found, kept[1], strict=True):
        assert value.dtype.kind != "f" or (value == best).all()


@pytest.mark.parametrize("is_better", [True, False])
def test_the_mean_of_the_best_weights_is_taken_where_it_is_better(folder, tmp_path, monkeypatch, is_better):
    accuracies = iter([0.5, 0.9, 0.8, 0.95 if is_better else 0.85])
    kept = []

    def measure(task, examples, features, outputs):
        return {"metrics": {"accuracy": next(accuracies)}, "loss": 1.0}

    def outputs(predictor, inputs, **options):
        kept.append(predictor.model.logit.get_weights()[0])

    monkeypatch.setattr(Classification, "measure", measure)
    monkeypatch.setattr(Predictor, "outputs", outputs)
    summary = run(folder, tmp_path / "out", averaged=2)
    monkeypatch.undo()
    found = Predictor.load(str(tmp_path / "out" / "model")).model.logit.get_weights()[0]
    assert summary.get("averaged") == (2 if is_better else None)
    np.testing.assert_allclose(found, (kept[1] + kept[2]) / 2 if is_better else kept[1], atol=1e-7)


def test_several_seeds_give_a_table_and_what_is_done_is_not_done_again(folder, tmp_path):
    output = tmp_path / "seeds"
    given: dict[str, Any] = {
        "train": str(folder / "train.tsv"),
        "dev": str(folder / "dev.tsv"),
        "vocabulary": str(folder / "spiece.model"),
        "model_config": TINY,
        "output": str(output),
        "settings": dataclasses.replace(SETTINGS, epochs=1, seed=5),
        "progress": False,
    }
    summary = finetune_seeds(seeds=3, **given)
    runs = [storage.read_json(str(output / f"seed-{seed}" / "summary.json")) for seed in (5, 6, 7)]
    losses = [found["dev_loss"] for found in runs]
    assert len(set(losses)) == 3
    assert summary["seeds"] == [5, 6, 7]
    spread = summary["spread"]["dev_loss"]
    assert spread == {
        "median": np.median(losses),
        "lowest": min(losses),
        "highest": max(losses),
        "deviation": pytest.approx(np.std(losses, ddof=1)),
    }
    best = max(runs, key=lambda found: (found["dev_accuracy"], -found["dev_loss"]))
    assert summary["best"] == f"seed-{best['settings']['seed']}"
    (output / "summary.json").unlink()
    shutil.rmtree(output / "seed-6")
    before = {seed: (output / f"seed-{seed}" / "summary.json").stat().st_mtime_ns for seed in (5, 7)}
    again = finetune_seeds(seeds=3, **given)
    assert again["spread"]["dev_loss"] == spread
    assert before == {seed: (output / f"seed-{seed}" / "summary.json").stat().st_mtime_ns for seed in (5, 7)}
    with pytest.raises(UserError, match="already holds a finished run"):
        finetune_seeds(seeds=3, **given)
    (output / "summary.json").unlink()
    with pytest.raises(UserError, match="seed-5 was made with dev_sha256 '"):
        finetune_seeds(seeds=3, **given | {"dev": str(folder / "train.tsv")})
    with pytest.raises(UserError, match=r"seed-5 was made with model\.heads 1, this run has 2"):
        finetune_seeds(seeds=3, **given | {"model_config": dataclasses.replace(TINY, heads=2)})
    with pytest.raises(UserError, match="seed-5 was made with fresh False, this run has True"):
        finetune_seeds(seeds=3, **given | {"fresh": True})
    with pytest.raises(UserError, match=r"seed is 4294967296, wanted is a number from 0 to 2\^32 - 1"):
        finetune_seeds(seeds=2, **given | {"settings": dataclasses.replace(SETTINGS, seed=2**32 - 1)})


def test_what_needs_dev_examples_says_so(folder, tmp_path):
    for name, value in {"patience": 1, "averaged": 2, "evaluation_interval": 3}.items():
        with pytest.raises(UserError, match="dev is None, wanted is examples to measure on, for patience, averaged"):
            finetune(
                train=str(folder / "train.tsv"),
                output=str(tmp_path / "out"),
                settings=dataclasses.replace(SETTINGS, **{name: value}),
            )
