"""A pretraining run with its data and its output on `gs://`, killed while it uploads checkpoints."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from xlnet import storage
from xlnet.training import resume

HERE = Path(__file__).parent
CHANGED = {"steps": 10, "checkpoint_interval": 2, "keep_checkpoints": 9}
RUN, CHECKPOINTS = "gs://b/run", "gs://b/run/checkpoints"


def load(name: str):
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


same = load("test_killing")


@pytest.fixture
def service(small_data, storage_service):
    """A bucket `b` with a data set."""
    for path in sorted(path for path in Path(small_data).rglob("*") if path.is_file()):
        storage.publish(f"gs://b/data/{path.relative_to(small_data).as_posix()}", path.read_bytes())
    return storage_service


def lives(data: str, output: str) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, str(HERE / "killing.py"), "lives", data, output, json.dumps(CHANGED)]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def damage(path: str) -> None:
    content = bytearray(storage.read_bytes(path))
    content[len(content) // 2] ^= 1
    storage.publish(path, bytes(content))


def killer(service, process: subprocess.Popen, victims: list[str]):
    """Whoever uploads one of the files dies in the middle of it: it has sent the content, and nothing is stored."""
    alive, insert = [], service.objects.insert

    def and_kill(bucket: str, name: str, *given, **named):
        if victims and name.endswith(victims[0]):
            victims.pop(0)
            if not victims:  # and besides, the newest whole checkpoint loses a bit
                damage(resume.find(CHECKPOINTS)[-2].path + "/state.safetensors")
            os.kill(alive[-1], signal.SIGKILL)
            raise ConnectionAbortedError
        return insert(bucket, name, *given, **named)

    service.objects.insert = and_kill
    for line in process.stdout:
        if line.strip().isdigit():
            alive.append(int(line))
    return alive


@pytest.mark.slow
def test_a_run_on_gs_that_is_killed_while_it_uploads_ends_as_one_that_is_not(service, small_data, tmp_path):
    with lives(small_data, str(tmp_path / "whole")) as whole:
        whole.communicate(timeout=300)
    assert whole.returncode == 0
    with lives("gs://b/data", RUN) as process:
        alive = killer(service, process, ["step-00000004/state.safetensors", "step-00000006/checkpoint.json"])
        told = process.stderr.read()
    assert (process.returncode, len(alive)) == (0, 3), told[-2000:]
    assert f"{CHECKPOINTS}/step-00000006 is passed over: {CHECKPOINTS}/step-00000006/checkpoint.json does not" in told
    assert f"{CHECKPOINTS}/step-00000004 is passed over: its content is not what was written" in told
    for file in storage.match([f"{RUN}/**"]):
        local = tmp_path / "broken" / file.path.removeprefix(f"{RUN}/")
        local.parent.mkdir(parents=True, exist_ok=True)
        local.write_bytes(storage.read_bytes(file.path))
    same.same_state(tmp_path / "whole", tmp_path / "broken", checkpoint="step-00000010")
    assert same.metrics(tmp_path / "whole") == same.metrics(tmp_path / "broken")
    assert (tmp_path / "broken" / "model" / "spiece.model").exists()
    assert list((tmp_path / "broken" / "tensorboard").iterdir())
    assert storage.read_json(f"{RUN}/summary.json")["steps"] == 10
