"""From a model that was made by hand back to its text."""

import json
import shlex

import pytest

from xlnet import lineage, storage
from xlnet.cli import main
from xlnet.errors import UserError


@pytest.fixture
def folders(small_data, tmp_path):
    """What the verbs leave, but for the weights: a pretraining run, a fine-tuned model and its export."""
    manifest_sha256 = storage.sha256(f"{small_data}/manifest.json")
    vocabulary_sha256 = storage.read_json(f"{small_data}/manifest.json")["vocabulary"]["sha256"]
    settings = {"batch_size": 4, "steps": 6, "learning_rate": 0.001, "jit_compile": False, "save_every": None}
    summary = {"settings": settings, "data": small_data, "manifest_sha256": manifest_sha256}
    summary |= {"model": {"layers": 1, "model_dim": 16, "vocab_size": 500}}
    for name, provenance in (
        ("pretrained", {"pretraining": settings, "manifest_sha256": manifest_sha256}),
        (
            "finetuned",
            {
                "stage": "finetuning",
                "init": str(tmp_path / "pretrained/model"),
                "settings": {"epochs": 2},
                "data": {"train": {"path": "my train.tsv"}, "dev": {"path": "dev.tsv"}},
            },
        ),
    ):
        folder = tmp_path / name / "model"
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(name.encode())
        config = {"provenance": provenance, "vocabulary_sha256": vocabulary_sha256}
        (folder / "config.json").write_text(json.dumps(config))
    (tmp_path / "pretrained/summary.json").write_text(json.dumps(summary))
    (tmp_path / "exported/1").mkdir(parents=True)
    card = {"model": str(tmp_path / "finetuned/model")}
    (tmp_path / "exported/1/model-card.json").write_text(json.dumps(card))
    return tmp_path


@pytest.mark.parametrize("place", ["finetuned/model", "finetuned", "exported", "exported/1"])
def test_a_fine_tuned_model_leads_to_the_text_and_the_commands(folders, small_data, place):
    found = lineage.trace(str(folders / place))
    manifest = storage.read_json(f"{small_data}/manifest.json")
    assert found["data"]["inputs"] == manifest["inputs"]
    assert found["weights_sha256"] == storage.sha256(str(folders / "finetuned/model/model.safetensors"))
    assert found["vocabulary_sha256"] == manifest["vocabulary"]["sha256"]
    made, pretrained, finetuned = map(shlex.split, found["rerun"])
    assert made[:2] == ["xlnet", "preprocess"]
    assert {"--sequence-length", "32", "--shards", "6"} <= set(made)
    assert "--no-jit-compile" in pretrained
    assert "--save-every" not in pretrained
    assert pretrained[-4:] == ["--layers", "1", "--model-dim", "16"]
    assert finetuned[finetuned.index("--train") + 1] == "my train.tsv"


def test_the_rerun_of_the_data_set_gives_its_bytes(folders, small_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = lineage.trace(str(folders / "pretrained"))["rerun"][0]
    assert main(shlex.split(command)[1:]) == 0
    shards = [storage.read_json(f"{folder}/manifest.json")["shards"] for folder in (small_data, "rerun/data")]
    assert shards[0] == shards[1]


def test_the_verb_tells_it_as_a_table_and_as_json(folders, capsys):
    assert main(["lineage", str(folders / "finetuned")]) == 0
    assert "rerun 3" in capsys.readouterr().out
    assert main(["lineage", str(folders / "finetuned"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == lineage.trace(str(folders / "finetuned"))


def test_what_is_gone_or_was_made_anew_is_named(folders, small_data):
    with pytest.raises(UserError, match="is no model, export, run or pushed version"):
        lineage.trace(str(folders))
    summary = storage.read_json(str(folders / "pretrained/summary.json"))
    storage.publish_json(str(folders / "pretrained/summary.json"), summary | {"manifest_sha256": "other"})
    with pytest.raises(UserError, match="was made anew since"):
        lineage.trace(str(folders / "pretrained"))
    (folders / "finetuned/model/model.safetensors").unlink()
    with pytest.raises(UserError, match=r"was exported from .*finetuned/model, which is gone"):
        lineage.trace(str(folders / "exported"))
