"""The steps' functions, called as such; that they run as steps is tested with whole pipelines."""

import json
from pathlib import Path

import pytest
import yaml
from kfp import dsl

from components import step
from components.compare.component import compare
from components.find_champion.component import find_champion
from components.finetune.component import finetune
from components.pretrain.component import pretrain
from components.summarize.component import summarize
from components.train_vocabulary.component import train_vocabulary
from xlnet import cli, storage
from xlnet.errors import UserError

TASK = {"name": "verbs", "train": "train.tsv", "dev": "dev.tsv"}
CONFIG = "finetuning: {steps: 6}\npretraining: {steps: 4}\n"


def output(kind, path):
    return kind(name=path.name, uri=str(path))


@pytest.fixture
def verbs(monkeypatch):
    """The words of every verb that a step runs; a function may stand in for what they do."""
    said = []

    def main(words):
        said.append(words)
        preset = words[words.index("--config") + 1] if "--config" in words else None
        verbs.presets.append(preset and yaml.safe_load(Path(preset).read_text()))
        return verbs.does(words[words.index("--output") + 1]) or 0

    def verbs():
        return said

    verbs.does, verbs.presets = lambda folder: None, []
    monkeypatch.setattr(cli, "main", main)
    return verbs


def evaluation(folder, right):
    Path(folder).mkdir(parents=True)
    text = {"text": "x", "truth": "a", "probabilities": [0.9, 0.1]}
    lines = [text | {"predicted": "a" if row < right else "b"} for row in range(100)]
    Path(folder, "predictions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    described = {"task": "classification", "examples": 100, "data_sha256": "d", "metrics": {"accuracy": right / 100}}
    Path(folder, "evaluation.json").write_text(json.dumps(described))


def test_a_challenger_is_compared_with_the_champion_on_its_own_examples(verbs, tmp_path):
    (tmp_path / "champion/tasks/verbs/model").mkdir(parents=True)
    evaluation(tmp_path / "challenger", 90)
    verbs.does = lambda folder: evaluation(folder, 60)
    made, metrics = output(dsl.Artifact, tmp_path / "made"), output(dsl.Metrics, tmp_path / "metrics")
    challenger, page = output(dsl.Artifact, tmp_path / "challenger"), output(dsl.HTML, tmp_path / "page.html")
    compare.python_func(TASK, str(tmp_path / "champion"), challenger, made, metrics, page)
    ((verb, *words),) = verbs()
    assert (verb, words[:4]) == ("evaluate", ["--model", f"{tmp_path}/champion/tasks/verbs/model", "--data", "dev.tsv"])
    told = storage.read_json(str(tmp_path / "made/comparison.json"))
    assert (told["first"], told["second"]) == (0.9, 0.6)
    assert metrics.metadata["difference"] == pytest.approx(0.3)
    assert made.metadata == {"task": "verbs", "champion": str(tmp_path / "champion")}
    assert "Where they differ" in Path(page.path).read_text()


@pytest.mark.parametrize("champion", ["", "store/versions/first"])
def test_a_task_that_no_champion_knows_is_compared_with_nothing(verbs, tmp_path, champion):
    evaluation(tmp_path / "challenger", 90)
    made, metrics = output(dsl.Artifact, tmp_path / "made"), output(dsl.Metrics, tmp_path / "metrics")
    page = output(dsl.HTML, tmp_path / "page.html")
    compare.python_func(TASK, champion, output(dsl.Artifact, tmp_path / "challenger"), made, metrics, page)
    assert storage.read_json(str(tmp_path / "made/comparison.json")) is None
    assert "Where they differ" not in Path(page.path).read_text()
    assert verbs() == []


def test_a_task_s_settings_stand_over_the_preset_s(verbs, tmp_path):
    verbs.does = lambda folder: storage.publish_json(f"{folder}/summary.json", {"accuracy": 0.5, "epochs": 2})
    made, metrics = output(dsl.Model, tmp_path / "made"), output(dsl.Metrics, tmp_path / "metrics")
    task = TASK | {"settings": {"learning_rate": 0.01}}
    finetune.python_func(task, CONFIG, "gs://b/work/pretrained-1", made, metrics, from_scratch=True)
    assert verbs.presets[0]["finetuning"] == {"steps": 6, "learning_rate": 0.01}
    words = verbs()[0]
    assert words[words.index("--init") + 1] == "gs://b/work/pretrained-1/model"
    assert words[-1] == "--fresh"
    assert metrics.metadata == {"accuracy": 0.5, "epochs": 2}
    assert made.metadata["task"] == "verbs"


def test_runs_of_the_same_inputs_lie_at_the_same_place_and_others_elsewhere(verbs, tmp_path):
    for name, content in (("data", "a"), ("other", "b")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(content)

    def place(data="data", config=CONFIG, init=""):
        made, metrics = output(dsl.Model, tmp_path / "made"), output(dsl.Metrics, tmp_path / "metrics")
        verbs.does = lambda folder: storage.publish_json(f"{folder}/summary.json", {"steps": 4, "parameters": 9})
        folders = [str(tmp_path / data), str(tmp_path / "data")]
        found = pretrain.python_func(config, *folders, made, metrics, init=init, work=str(tmp_path / "work"))
        assert made.uri == found
        return found

    assert place() == place()
    assert place().startswith(f"{tmp_path}/work/made-")
    assert len({place(), place(data="other"), place(init="m"), place(config=CONFIG.replace("4", "5"))}) == 4
    assert place(config=CONFIG.replace("6", "7")) == place()  # the fine-tuning's settings are not pretraining's


def test_a_run_that_had_finished_before_its_step_was_tried_again_is_taken_as_it_is(verbs, tmp_path):
    (tmp_path / "manifest.json").write_text("a")
    verbs.does = lambda folder: storage.publish_json(f"{folder}/summary.json", {"steps": 4, "parameters": 9})
    for _ in range(2):
        made, metrics = output(dsl.Model, tmp_path / "made"), output(dsl.Metrics, tmp_path / "metrics")
        pretrain.python_func(CONFIG, str(tmp_path), str(tmp_path), made, metrics, work=str(tmp_path / "work"))
        assert made.metadata["steps"] == 4
    assert len(verbs()) == 1


def test_a_verb_that_fails_ends_the_step_with_its_code(verbs, tmp_path):
    verbs.does = lambda folder: 2
    with pytest.raises(SystemExit) as ended:
        finetune.python_func(TASK, CONFIG, "p", output(dsl.Model, tmp_path / "a"), output(dsl.Metrics, tmp_path / "b"))
    assert ended.value.code == 2


def test_a_place_that_only_kubeflow_can_reach_is_refused():
    with pytest.raises(UserError, match="give the pipeline a work on gs://"):
        step.location(dsl.Model(name="m", uri="minio://mlpipeline/v2/m"), "")
    assert step.location(dsl.Model(name="m", uri="gs://b/m"), "") == "gs://b/m"


def test_a_vocabulary_that_is_given_is_taken_as_it_is(vocabulary, tmp_path):
    made = output(dsl.Artifact, tmp_path / "made")
    train_vocabulary.python_func(["nothing.txt"], CONFIG, made, reuse=vocabulary)
    assert Path(made.path).read_bytes() == Path(vocabulary).read_bytes()
    assert made.metadata["sha256"] == storage.sha256(vocabulary)
    (tmp_path / "broken").write_text("no vocabulary")
    with pytest.raises(SystemExit):
        train_vocabulary.python_func(["nothing.txt"], CONFIG, made, reuse=str(tmp_path / "broken"))


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_run_takes_weights_and_vocabulary_from_the_champion_where_it_goes_on(tmp_path, goes_on):
    store = str(tmp_path)
    assert find_champion.python_func(store, goes_on, "own.model") == ("", "", "own.model")
    storage.publish_json(f"{store}/champion.json", {"version": "first", "inputs": "d"})
    storage.publish_json(f"{store}/versions/first/lineage.json", {})
    folder = f"{store}/versions/first"
    wanted = (folder, f"{folder}/pretrained", f"{folder}/pretrained/spiece.model") if goes_on else (folder, "", "own")
    assert find_champion.python_func(store, goes_on, "own") == wanted


def test_the_summary_is_written_for_a_run_with_any_name(tmp_path, monkeypatch):
    status = dsl.PipelineTaskFinalStatus("CANCELLED", "job", "run", None, None)
    made = output(dsl.Markdown, tmp_path / "made")
    summarize.python_func(status, str(tmp_path / "store"), "Nightly <1> / 2026", "title", made)
    (folder,) = (tmp_path / "store/runs").iterdir()
    assert storage.read_json(str(folder / "summary.json"))["run"] == "Nightly <1> / 2026"
    assert "Nightly &lt;1&gt;" in Path(made.path).read_text()
