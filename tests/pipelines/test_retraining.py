"""The retraining pipeline as a cluster runs it, on this machine: every step a process, on real text."""

import contextlib
import io
import json
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from pipelines import champion
from xlnet import lineage, storage
from xlnet.cli import main

pytestmark = pytest.mark.slow

STEPS = {"check-inputs", "find-champion", "train-vocabulary", "preprocess", "preprocess-2", "pretrain", "finetune.0"}
STEPS |= {"evaluate.0", "compare.0", "export.0", "report-tasks", "push", "summarize"}


@pytest.fixture(scope="module")
def first(inputs, tmp_path_factory):
    """The folder of a first run, its parameters' file, and what a person saw."""
    folder = tmp_path_factory.mktemp("retraining")
    task = {"name": "verbs", "train": inputs["task_train"], "dev": inputs["task_dev"]}
    told = {name: inputs[name] for name in ("corpus", "heldout", "config")}
    told |= {"tasks": [task], "store": str(folder / "store"), "title": "Tiny"}
    (folder / "parameters.yaml").write_text(yaml.safe_dump(told))
    terminal = io.StringIO()
    words = ["--parameters", str(folder / "parameters.yaml"), "--output", str(folder / "first"), "--parallel", "2"]
    with contextlib.redirect_stdout(terminal), contextlib.redirect_stderr(terminal):
        assert main(["pipeline", "run", *words]) == 0
    return folder, terminal.getvalue()


def test_every_step_runs_once_and_a_person_sees_it(first):
    _, terminal = first
    begun = Counter(re.findall(r"(?m)^(\S+): begins$", terminal))
    assert begun == Counter(STEPS)
    assert {name for name in re.findall(r"(?m)^(\S+): done in ", terminal)} == STEPS
    assert "there is no champion to compare with" in terminal


def test_the_first_run_is_the_champion_and_its_summary_says_so(first):
    folder, _ = first
    found = champion.find(str(folder / "store"))
    assert found.name == "first"
    summary = storage.read_json(str(folder / "store/runs/first/summary.json"))
    assert (summary["state"], summary["decision"]["is_pushed"], summary["champion"]) == ("SUCCEEDED", True, "first")
    assert "Tiny" in (folder / "store/runs/first/report.html").read_text()


def test_what_was_pushed_answers_and_leads_back_to_its_text(first, inputs):
    folder, _ = first
    version = Path(champion.find(str(folder / "store")).folder)
    card = storage.read_json(str(version / "tasks/verbs/export/1/model-card.json"))
    files = version / "tasks/verbs/export/1"
    assert {name: storage.sha256(str(files / name)) for name in card["files"]} == card["files"]
    found = lineage.trace(str(version / "tasks/verbs/export"))
    assert [entry["path"] for entry in found["data"]["inputs"]] == sorted(inputs["corpus"])
    assert found["vocabulary_sha256"] == card["vocabulary_sha256"]
    assert found["parameters"]["tasks"][0]["name"] == "verbs"
    assert yaml.safe_load((version / "parameters.yaml").read_text())["confidence"] == 0.95


def test_results_tell_kubeflow_s_page_what_they_are(first):
    folder, _ = first
    told = json.loads((folder / "first/steps/pretrain/executor_output.json").read_text())
    metadata = told["artifacts"]["pretrained"]["artifacts"][0]["metadata"]
    assert {"steps", "parameters", "manifest_sha256"} <= set(metadata)
    assert "validation_loss" in told["artifacts"]["metrics"]["artifacts"][0]["metadata"]
    told = json.loads((folder / "first/steps/evaluate.0/executor_output.json").read_text())
    assert told["artifacts"]["confusion"]["artifacts"][0]["metadata"]["confusionMatrix"]


def test_a_run_of_what_the_champion_was_made_of_does_nothing_where_that_is_asked_for(first, capsys):
    folder, _ = first
    told = yaml.safe_load((folder / "parameters.yaml").read_text()) | {"skip_unchanged": True}
    (folder / "again.yaml").write_text(yaml.safe_dump(told))
    words = ["--parameters", str(folder / "again.yaml"), "--output", str(folder / "second")]
    assert main(["pipeline", "run", *words]) == 0
    assert {path.name for path in (folder / "second/steps").iterdir()} == {"check-inputs", "summarize"}
    assert "nothing is new" in capsys.readouterr().out
    assert champion.find(str(folder / "store")).name == "first"
