"""SIGTERM where one run stands in another: the seeds of a fine-tuning."""

import contextlib
import os
import signal
import threading

import pytest

from xlnet import storage
from xlnet.training import finetuning_seeds, run_identity
from xlnet.training.finetuning_settings import FinetuningSettings
from xlnet.training.stopping import StoppedError, before_training, on_termination

pytestmark = pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="signals reach the main thread alone"
)


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def test_who_is_asked_is_who_runs_and_then_the_one_around_it():
    asked = []
    before = signal.getsignal(signal.SIGTERM)
    with on_termination(lambda: asked.append("outer")):
        with on_termination(lambda: asked.append("first")):
            terminate()
            assert asked == ["first"]
        assert asked == ["first", "outer"]
        with on_termination(lambda: asked.append("second")):
            pass
        assert asked == ["first", "outer"]
        terminate()
    assert asked == ["first", "outer", "outer"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_before_training_there_is_nothing_to_save_and_after_it_nothing_to_stop():
    asked = []
    before = signal.getsignal(signal.SIGTERM)
    with (
        pytest.raises(StoppedError, match="stopped before the first step"),
        before_training(),
        contextlib.suppress(Exception),  # as imports of what may be absent do
    ):
        terminate()
    with before_training():
        with on_termination(lambda: asked.append("run")):
            terminate()
        terminate()
    assert asked == ["run"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_run_that_saved_and_left_has_done_what_was_asked():
    asked = []

    def leave():
        with on_termination(lambda: None):
            terminate()
            raise StoppedError("saved")

    with on_termination(lambda: asked.append("outer")), pytest.raises(StoppedError):
        leave()
    assert asked == []


def test_asked_while_a_seed_ends_no_other_begins(tmp_path, monkeypatch):
    begun = []

    def finetune(*, output, settings):
        begun.append(settings.seed)
        with on_termination(lambda: None):
            if len(begun) == 1:
                terminate()  # after its last step: it comes to its end
            done = {"settings": vars(settings), "data": {}, "task": "classification", "best_metric": "loss"}
            run_identity.claim(output, {"seed": settings.seed})
            storage.publish_json(f"{output}/summary.json", done)
            return done

    monkeypatch.setattr(finetuning_seeds, "finetune", finetune)
    monkeypatch.setattr(finetuning_seeds, "_fixed", lambda settings: {"seed": settings.seed})
    given = {"seeds": 3, "output": str(tmp_path), "settings": FinetuningSettings()}
    with pytest.raises(StoppedError, match="stopped between the seeds; the same command goes on"):
        finetuning_seeds.finetune_seeds(**given)
    assert begun == [0]
    assert not (tmp_path / "summary.json").exists()
    assert finetuning_seeds.finetune_seeds(**given)["seeds"] == [0, 1, 2]
    assert begun == [0, 1, 2]
