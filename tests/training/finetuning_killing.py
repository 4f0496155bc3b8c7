"""A process that starts a tiny fine-tuning run in children that are killed; see test_finetuning_runs.py."""

import dataclasses
import functools
import json
import random
import sys
from pathlib import Path

from xlnet.model.config import ModelConfig
from xlnet.training.finetuner import Finetuner
from xlnet.training.finetuning import finetune
from xlnet.training.finetuning_settings import FinetuningSettings

sys.path.insert(0, str(Path(__file__).parent))
import killing

MODEL = ModelConfig(layers=1, model_dim=8, heads=1, head_dim=8, feedforward_dim=8, dropout=0.1, initializer_stddev=0.1)
SETTINGS = FinetuningSettings(
    sequence_length=24,
    batch_size=4,
    epochs=1,
    learning_rate=1e-2,
    averaged=2,
    length_buckets=2,
    evaluation_interval=2,
    checkpoint_interval=1,  # a life ends after two lines of metrics at most
    keep_checkpoints=2,
    jit_compile=False,
)

Finetuner.compile = functools.partialmethod(Finetuner.compile, run_eagerly=True)  # a life begins at once


def run(folder: str, output: str, **changed) -> None:
    finetune(
        train=f"{folder}/train.tsv",
        dev=f"{folder}/dev.tsv",
        vocabulary=f"{folder}/spiece.model",
        model_config=MODEL,
        output=output,
        settings=dataclasses.replace(SETTINGS, **changed),
        progress=False,
    )


def kill_until_done(folder: str, output: str, *, seed: int) -> int:
    """Starts the run until one child lives to its end -> how many were killed."""
    draws, killed = random.Random(seed), 0
    while killed < 40:
        kill, number = draws.choice([killing.killed_while_writing, killing.killed_while_training]), draws.random()

        def life(kill=kill, number=number) -> None:
            kill(random.Random(number))
            run(folder, output)

        status = killing.in_child(life)
        if not killing.os.WIFSIGNALED(status):
            if status:
                raise SystemExit("the run failed")
            return killed
        killed += 1
    raise SystemExit("the run does not get on")


def main(folder: str) -> None:
    whole, broken = (str(Path(folder) / name) for name in ("whole", "broken"))
    assert killing.in_child(lambda: run(folder, whole)) == 0
    print(json.dumps({"killed": kill_until_done(folder, broken, seed=3)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
