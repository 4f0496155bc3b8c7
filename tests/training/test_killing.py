"""Killed at any moment and started again: nothing is lost, and nothing is other than in a run that was left alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

HERE = Path(__file__).parent
OF_TIME = ("pieces_per_second", "teraflops_per_second", "mfu", "data_wait", "memory_bytes")


def metrics(run: Path) -> list[dict]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [
        {name: value for name, value in line.items() if not (name in OF_TIME or name.endswith("seconds"))}
        for line in lines
    ]


def same_state(one: Path, other: Path, *, checkpoint: str) -> None:
    """Weights, optimizer, memories, random state, bit for bit."""
    arrays = [load_file(run / "checkpoints" / checkpoint / "state.safetensors") for run in (one, other)]
    assert arrays[0].keys() == arrays[1].keys()
    for name, expected in arrays[0].items():
        np.testing.assert_array_equal(arrays[1][name], expected, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "kills"), [("tensorflow", 24), ("jax", 2)])
def test_a_run_that_is_killed_over_and_over_ends_as_one_that_is_not(small_data, tmp_path, backend, kills):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment["KERAS_BACKEND"] = backend
    command = [sys.executable, str(HERE / "killing.py"), small_data, str(tmp_path), str(kills)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert run.returncode == 0, run.stderr[-2000:]
    told = json.loads(run.stdout.splitlines()[-1])
    assert told["killed"] >= min(kills, 20), told
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert metrics(whole) == metrics(broken)
    same_state(whole, broken, checkpoint="step-00000036")
    assert [path.name for path in (broken / "checkpoints").iterdir() if path.name.endswith(".part")] == []
