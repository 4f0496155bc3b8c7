"""From a model that was made by hand back to its text, and from there to the model again."""

import json
import shlex
import shutil

import pytest

from xlnet import lineage, storage
from xlnet.cli import main
from xlnet.errors import UserError

pytestmark = pytest.mark.usefixtures("at_once")
CORPUS = "--sequence-length 32 --reuse-length 16 --permutation-size 16 --predictions 6 --shards 2"
SIZES = "--layers 1 --model-dim 16 --heads 2 --head-dim 8 --feedforward-dim 32"
PRETRAINING = f"--batch-size 4 --steps 2 --memory-length 8 --warmup-steps 0 --no-jit-compile {SIZES}"
FINETUNING = "--sequence-length 16 --batch-size 8 --steps 2 --learning-rate 1e-2 --no-jit-compile --header"


def go(verb, flags, *texts, **paths):
    named = [word for name, path in paths.items() for word in (f"--{name}", str(path))]
    assert main([verb, *texts, *flags.split(), *named]) == 0


@pytest.fixture(scope="module")
def folders(at_once, text, vocabulary, inputs, tmp_path_factory):
    """What the verbs leave: a data set that grew, and on it runs of each kind, some begun from others."""
    folder = tmp_path_factory.mktemp("my runs")
    train = shutil.copy(inputs["task_train"], folder / "my train.tsv")
    data = folder / "data"
    go("preprocess", CORPUS, f"z={text[0]}:2", vocabulary=vocabulary, output=data)
    added = f"{CORPUS} --passes 2 --add"
    go("preprocess", added, f"z={text[0]}:2", f"z={text[2]}:2", f"a={text[1]}", vocabulary=vocabulary, output=data)
    go("pretrain", PRETRAINING, data=data, output=folder / "base")
    go("pretrain", f"{PRETRAINING} --seed 1", data=data, init=folder / "base/model", output=folder / "continued")
    go("finetune", FINETUNING, train=train, init=folder / "continued/model", output=folder / "first")
    go("finetune", f"{FINETUNING} --seed 1", train=train, init=folder / "first/model", output=folder / "second")
    go("finetune", f"{FINETUNING} --fresh", train=train, init=folder / "base/model", output=folder / "fresh")
    scratch = f"{FINETUNING} {SIZES} --attention-dropout 0.3"
    go("finetune", scratch, train=train, dev=train, vocabulary=vocabulary, output=folder / "scratch")
    go("export", "", model=folder / "second/model", output=folder / "exported")
    return folder


@pytest.mark.parametrize("place", ["second/model", "second", "exported", "exported/1"])
def test_a_model_leads_through_its_stages_to_the_text(folders, place):
    found = lineage.trace(str(folders / place))
    manifest = storage.read_json(f"{folders}/data/manifest.json")
    assert found["weights_sha256"] == storage.sha256(f"{folders}/second/model/model.safetensors")
    assert found["vocabulary_sha256"] == manifest["vocabulary"]["sha256"]
    kinds = ("pretraining", "pretraining", "finetuning", "finetuning")
    runs = [f"{folders}/{name}/model" for name in ("base", "continued", "first", "second")]
    assert [(stage["stage"], stage["folder"]) for stage in found["stages"]] == list(zip(kinds, runs, strict=True))
    assert [stage["init"] for stage in found["stages"]] == [None, *runs[:-1]]
    for stage in found["stages"][:2]:
        assert stage["data_set"]["inputs"] == manifest["inputs"]


@pytest.mark.parametrize("name", ["second", "fresh", "scratch"])
def test_the_commands_make_the_weights_again(folders, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = lineage.trace(str(folders / name))
    for command in found["rerun"]:
        assert main(shlex.split(command)[1:]) == 0
    last = storage.join("rerun", storage.list_folder("rerun")[-1], "model")
    assert lineage.trace(last)["weights_sha256"] == found["weights_sha256"]
    made, again = (lineage.trace(model)["stages"][-1] for model in (str(folders / name), last))
    for what in ("stage", "model", "settings"):
        assert made[what] == again[what]


def test_a_data_set_that_grew_has_a_command_for_each_part(folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    commands = lineage.trace(str(folders / "base"))["rerun"][:-1]
    assert ["--add" in command for command in commands] == [False, True]
    for command in commands:
        assert main(shlex.split(command)[1:]) == 0
    made, again = (
        storage.read_json(f"{folder}/manifest.json") for folder in (folders / "data", "rerun/1-pretraining-data")
    )
    for what in ("shards", "inputs", "counts", "by_source"):
        assert made[what] == again[what]


def test_the_rerun_of_a_data_set_of_one_part_names_its_patterns(folders, small_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    go("pretrain", PRETRAINING, data=small_data, output="run")
    command = lineage.trace("run")["rerun"][0]
    pattern = storage.read_json(f"{small_data}/manifest.json")["sources"][0]["patterns"][0]
    assert f"text={pattern}:1.0" in shlex.split(command)
    assert main(shlex.split(command)[1:]) == 0
    shards = [
        storage.read_json(f"{folder}/manifest.json")["shards"] for folder in (small_data, "rerun/1-pretraining-data")
    ]
    assert shards[0] == shards[1]


def test_a_model_without_its_run_is_begun_from_as_it_is(folders, inputs, tmp_path):
    shutil.copytree(folders / "continued/model", tmp_path / "taken")
    assert lineage.trace(str(tmp_path / "taken"))["rerun"] == []
    go("finetune", FINETUNING, train=inputs["task_train"], init=tmp_path / "taken", output=tmp_path / "run")
    (command,) = lineage.trace(str(tmp_path / "run"))["rerun"]
    assert f"--init {tmp_path}/taken " in command


def test_the_verb_tells_it_as_a_table_and_as_json(folders, capsys):
    assert main(["lineage", str(folders / "second")]) == 0
    table = capsys.readouterr().out
    for row in ("stage 1: pretraining", "stage 4: finetuning", "rerun 8"):
        assert row in table
    assert main(["lineage", str(folders / "second"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == lineage.trace(str(folders / "second"))


@pytest.mark.parametrize(
    ("run", "file", "name", "value"),
    [
        ("first", "model/config.json", "provenance", 5),
        ("first", "model/config.json", "provenance", {"stage": "finetuning", "init": 5}),
        ("base", "summary.json", "data", [1]),
        ("base", "summary.json", "settings", "x"),
    ],
)
def test_a_damaged_record_is_one_line(folders, tmp_path, capsys, run, file, name, value):
    shutil.copytree(folders / run, tmp_path / run)
    content = storage.read_json(f"{tmp_path}/{run}/{file}") | {name: value}
    storage.publish_json(f"{tmp_path}/{run}/{file}", content)
    assert main(["lineage", str(tmp_path / run)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: the record of {tmp_path / run} is damaged (")


def test_what_is_gone_or_lies_elsewhere_is_named(folders, inputs, tmp_path):
    with pytest.raises(UserError, match="is no model, export, run or pushed version"):
        lineage.trace(str(folders))
    shutil.copytree(folders / "base", tmp_path / "base")
    summary = storage.read_json(f"{tmp_path}/base/summary.json")
    storage.publish_json(f"{tmp_path}/base/summary.json", summary | {"manifest_sha256": "other"})
    with pytest.raises(UserError, match="was made anew since"):
        lineage.trace(str(tmp_path / "base"))
    yesterday, today = tmp_path / "yesterday", tmp_path / "today"
    shutil.copytree(folders / "first", yesterday)
    go("finetune", FINETUNING, train=inputs["task_train"], init=yesterday / "model", output=today)
    go("export", "", model=today / "model", output=tmp_path / "exported")
    shutil.rmtree(yesterday)
    today.rename(yesterday)
    with pytest.raises(UserError, match=r"was begun from another model that lay there"):
        lineage.trace(str(yesterday))
    with pytest.raises(UserError, match=r"was exported from .*today/model, which is gone"):
        lineage.trace(str(tmp_path / "exported"))
