"""The retraining pipeline with every step a container, on real text: `make test-images`."""

import contextlib
import io
import json
import re
import subprocess
import threading
import time
from pathlib import Path

import pytest
import yaml

from pipelines import champion
from xlnet import storage
from xlnet.cli import main

pytestmark = pytest.mark.slow

STEPS = {"pretraining": 200, "finetuning": 60}
CACHED = {"train-vocabulary", "preprocess", "preprocess-2", "pretrain", "finetune.0", "evaluate.0", "export.0"}


class Runs:
    """Runs of the pipeline on one store and one cache."""

    def __init__(self, folder, image, parameters) -> None:
        self.folder, self.image, self.parameters = folder, image, parameters
        self.store = str(folder / "store")

    def run(self, name, **changed) -> str:
        """What a person sees of a run that ends well."""
        told = self.parameters | {"store": self.store} | changed
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(told))
        words = ["--parameters", str(path), "--output", str(self.folder / name), "--cache", str(self.folder / "cache")]
        terminal = io.StringIO()
        with contextlib.redirect_stdout(terminal), contextlib.redirect_stderr(terminal):
            code = main(["pipeline", "run", *words, "--runner", "docker", "--image", self.image])
        assert code == 0, terminal.getvalue()[-3000:]
        return terminal.getvalue()

    def summary(self, name) -> dict:
        return storage.read_json(f"{self.store}/runs/{name}/summary.json")


def containers(step) -> list[str]:
    """The names of those of a step that run now."""
    words = ["docker", "ps", "--filter", f"name=xlnet-{step}-", "--format", "{{.Names}}"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()


def kill_when_it_trains(step, work, times, killed) -> None:
    """Kill a step's container `times` times, each time once it has left another checkpoint, as a node that is lost."""
    late, seen = time.monotonic() + 600, 0
    while len(killed) < times and time.monotonic() < late:
        checkpoints = len(list(work.glob("**/checkpoints/step-*/state.safetensors")))
        if checkpoints > seen and (found := containers(step)):
            seen = checkpoints
            if subprocess.run(["docker", "kill", *found], capture_output=True, check=False).returncode == 0:
                killed += found
        time.sleep(0.02)


@pytest.fixture(scope="module")
def runs(images, inputs, tmp_path_factory):
    task = {"name": "verbs", "train": inputs["task_train"], "dev": inputs["task_dev"]}
    told = {name: inputs[name] for name in ("corpus", "heldout", "config")} | {"tasks": [task], "title": "Tiny"}
    return Runs(tmp_path_factory.mktemp("retraining"), images["xlnet-pipelines"], told)


@pytest.fixture(scope="module")
def first(runs):
    """What a person saw of the first run, whose pretraining was killed twice, and the containers that were killed."""
    killed: list[str] = []
    killer = threading.Thread(target=kill_when_it_trains, args=("pretrain", runs.folder / "store/work", 2, killed))
    killer.start()
    seen = runs.run("first", config=with_steps(runs.parameters["config"], **STEPS))
    killer.join()
    return seen, killed


def with_steps(path, **steps) -> str:
    """A preset's file beside another, with other numbers of steps and a checkpoint every 20."""
    told = yaml.safe_load(Path(path).read_text())
    for section, count in steps.items():
        told[section]["steps"] = count
    told["pretraining"] |= {"checkpoint_interval": 20, "validation_interval": 200}
    changed = Path(path).with_name(f"preset-{'-'.join(map(str, steps.values()))}.yaml")
    changed.write_text(yaml.safe_dump(told))
    return str(changed)


def test_a_step_that_is_killed_twice_goes_on_where_it_was_and_the_run_ends_well(runs, first):
    seen, killed = first
    assert len(killed) == 2
    assert re.findall(r"attempt (\d) of \d failed: exit code 137", seen) == ["1", "2"]
    assert champion.find(runs.store).name == "first"
    (metrics,) = runs.folder.glob("store/work/pretrained-*/metrics.jsonl")
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    steps = [line["step"] for line in lines if "loss" in line]
    assert steps == sorted(set(steps))
    assert steps[-1] == 200


def test_the_same_again_takes_what_it_can_from_the_cache_and_pushes_nothing(runs, first):
    seen = runs.run("second", config=with_steps(runs.parameters["config"], **STEPS))
    assert f"taken from the cache  {len(CACHED)}" in re.sub(" {2,}", "  ", seen)
    made = {path.parent.name for path in runs.folder.glob("second/steps/*/executor_output.json")}
    assert not made & CACHED
    told = runs.summary("second")
    assert (told["state"], told["decision"]["is_pushed"], told["champion"]) == ("SUCCEEDED", False, "first")


def test_a_challenger_that_is_worse_is_not_pushed(runs, first):
    runs.run("third", config=with_steps(runs.parameters["config"], pretraining=2, finetuning=1))
    told = runs.summary("third")
    assert (told["state"], told["decision"]["is_pushed"], told["champion"]) == ("SUCCEEDED", False, "first")
    assert champion.find(runs.store).name == "first"
