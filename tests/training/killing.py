"""A process that starts a tiny run again and again, each time in a child that is killed; see test_killing.py.

Frameworks are imported once, before the forks, and nothing of them runs in the parent.
"""

import dataclasses
import functools
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import keras

from xlnet.model.config import ModelConfig
from xlnet.training import resume
from xlnet.training.metrics_log import MetricsLog
from xlnet.training.pretrainer import Pretrainer
from xlnet.training.pretraining import pretrain
from xlnet.training.settings import PretrainingSettings

STEPS = 36  # for many more kills than there are, on any machine: a life is one to three steps
IS_JAX = keras.backend.backend() == "jax"  # which takes half a minute for a step that is not compiled
MODEL = ModelConfig(layers=1, model_dim=8, heads=1, head_dim=8, feedforward_dim=8, initializer_stddev=0.1)
SETTINGS = PretrainingSettings(
    batch_size=2,
    steps=STEPS,
    memory_length=8,
    learning_rate=3e-3,
    warmup_steps=4,
    log_interval=1,
    checkpoint_interval=2,
    keep_checkpoints=2,
    jit_compile=IS_JAX,
)

if not IS_JAX:
    Pretrainer.compile = functools.partialmethod(Pretrainer.compile, run_eagerly=True)  # a life begins at once


def run(data: str, output: str, **changed) -> None:
    pretrain(data=data, output=output, settings=dataclasses.replace(SETTINGS, **changed), model=MODEL)


def in_child(action) -> int:
    """Runs it in a child that never returns -> its exit status as os.waitpid tells it."""
    child = os.fork()
    if not child:
        try:
            action()
        finally:
            sys.stdout.flush()
            os._exit(1 if sys.exc_info()[0] else 0)
    return os.waitpid(child, 0)[1]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_while_writing(draws: random.Random):
    """Half of a checkpoint's file is written, then the process dies."""
    save_file, countdown = resume.save_file, [draws.randint(1, 2)]

    def half(arrays, path):
        save_file(arrays, path)
        countdown[0] -= 1
        if not countdown[0]:
            os.truncate(path, os.path.getsize(path) // 2)
            die()

    resume.save_file = half


def killed_while_training(draws: random.Random):
    """Some time after a line of metrics was written, the process dies, wherever it is."""
    write, countdown = MetricsLog.write, [draws.randint(1, 2)]

    def and_die(self, step, values):
        write(self, step, values)
        countdown[0] -= 1
        if not countdown[0]:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)  # its default ends a process as SIGKILL does, at once
            signal.setitimer(signal.ITIMER_REAL, draws.uniform(1e-4, 0.02))

    MetricsLog.write = and_die


def kill_until_done(data: str, output: str, *, seed: int, kills: int) -> int:
    """Starts the run until one child lives to its end, and kills no more than `kills` -> how many were killed."""
    draws, killed = random.Random(seed), 0
    while killed <= kills:
        kill, number = draws.choice([killed_while_writing, killed_while_training]), draws.random()

        def life(kill=kill, number=number, spared=killed == kills) -> None:
            if not spared:
                kill(random.Random(number))
            run(data, output)

        status = in_child(life)
        if not os.WIFSIGNALED(status):
            if status:
                raise SystemExit("the run failed")
            return killed
        killed += 1
    raise SystemExit("the run does not get on")


def lives(data: str, output: str, **changed) -> None:
    """One life after the other, each told by its process, until one comes to its end: whoever listens may kill it."""

    def life() -> None:
        print(os.getpid(), flush=True)
        run(data, output, **changed)

    while os.WIFSIGNALED(status := in_child(life)):
        pass
    raise SystemExit(bool(status))


def main(data: str, folder: str, kills: str) -> None:
    began = time.monotonic()
    whole, broken = (str(Path(folder) / name) for name in ("whole", "broken"))
    assert in_child(lambda: run(data, whole)) == 0
    killed = kill_until_done(data, broken, seed=7, kills=int(kills))
    print(json.dumps({"killed": killed, "seconds": round(time.monotonic() - began, 1)}))


if __name__ == "__main__":
    if sys.argv[1] == "lives":
        lives(*sys.argv[2:4], **json.loads(sys.argv[4]))
    main(*sys.argv[1:])
