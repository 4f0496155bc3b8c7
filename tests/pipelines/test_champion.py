"""Which models are pushed, and that a push is whole or none."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from pipelines import champion, pushing
from xlnet import lineage, storage
from xlnet.errors import UserError


def difference(better, worse):
    told = {"metric": "accuracy", "examples": 100, "first": 0.8, "second": 0.7, "difference": 0.1}
    return told | {"low": 0.05, "high": 0.15, "p_better": better, "p_worse": worse}


BETTER, WORSE, EQUAL = difference(0.001, 0.999), difference(0.999, 0.001), difference(0.4, 0.6)


@pytest.mark.parametrize(
    ("comparisons", "is_better", "reason"),
    [
        ({"a": None}, True, "there is no champion to compare with"),
        ({"a": BETTER}, True, "better in a, worse in none"),
        ({"a": EQUAL}, False, "better in no task beyond chance"),
        ({"a": BETTER, "b": WORSE}, False, "worse in b"),
        ({"a": BETTER, "b": EQUAL, "c": None}, True, "better in a, worse in none"),
        ({"a": EQUAL, "b": None}, False, "better in no task beyond chance"),
        ({"a": difference(0.05, 0.95)}, True, "better in a, worse in none"),
        ({"a": difference(0.06, 0.94)}, False, "better in no task beyond chance"),
    ],
)
def test_a_challenger_wins_where_it_is_better_in_one_task_and_worse_in_none(comparisons, is_better, reason):
    assert champion.verdict(comparisons, confidence=0.95) == (is_better, reason)


def artifact(path, task="verbs"):
    return SimpleNamespace(path=str(path), metadata={"task": task})


@pytest.fixture
def made(small_data, tmp_path, text):
    """What the steps of a run leave, but for the weights, which are a few bytes."""

    def make(name, compared, weights=b"weights"):
        folder = tmp_path / name
        for run in ("pretrained", "finetuned"):
            (folder / run / "model").mkdir(parents=True)
            (folder / run / "model/model.safetensors").write_bytes(weights + run.encode())
            (folder / run / "model/config.json").write_text("{}")
            summary = {"settings": {"steps": 6}, "data": small_data, "train": "t.tsv"}
            (folder / run / "summary.json").write_text(json.dumps(summary))
        (folder / "export/1").mkdir(parents=True)
        (folder / "export/1/saved_model.pb").write_bytes(b"graph")
        (folder / "evaluation").mkdir()
        (folder / "evaluation/evaluation.json").write_text(json.dumps({"metrics": {"accuracy": 0.8}}))
        (folder / "comparison").mkdir()
        (folder / "comparison/comparison.json").write_text(json.dumps(compared))
        names = ("finetuned", "evaluation", "export", "comparison")
        return pushing.Made(
            name, small_data, str(folder / "pretrained"), *([artifact(folder / name)] for name in names)
        )

    return make


@pytest.fixture
def decide(tmp_path, text):
    (tmp_path / "train.tsv").write_text("text\tlabel\na\tb\n")
    (tmp_path / "dev.tsv").write_text("text\tlabel\nc\td\n")
    parameters = {
        "corpus": [str(text[0])],
        "heldout": [str(text[1])],
        "tasks": [{"name": "verbs", "train": str(tmp_path / "train.tsv"), "dev": str(tmp_path / "dev.tsv")}],
        "config": "vocabulary: {size: 400}\n",
        "confidence": 0.95,
    }
    store = str(tmp_path / "store")

    def decide(run, made, before=""):
        return pushing.decide(store, run, made, champion=before, confidence=0.95, parameters=parameters)

    decide.store, decide.parameters = store, parameters
    return decide


def content(folder):
    return {path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file()}


def test_the_first_run_is_pushed_whole_with_its_lineage(made, decide):
    decision = decide("first", made("first", None))
    assert decision.is_pushed
    found = champion.find(decide.store)
    assert (found.name, found.folder) == ("first", decision.version)
    assert found.inputs == "first"  # as they were when the run began: what came since is new to the next
    assert content(found.folder) == {
        "lineage.json",
        "parameters.yaml",
        "pretrained/config.json",
        "pretrained/model.safetensors",
        "tasks/verbs/evaluation/evaluation.json",
        "tasks/verbs/export/1/saved_model.pb",
        "tasks/verbs/model/config.json",
        "tasks/verbs/model/model.safetensors",
    }
    assert yaml.safe_load(Path(found.folder, "parameters.yaml").read_text()) == decide.parameters
    assert "Pushed" in decision.page()


def test_a_challenger_that_is_worse_is_not_pushed(made, decide):
    first = decide("first", made("first", None)).version
    decision = decide("second", made("second", WORSE), first)
    assert not decision.is_pushed
    assert champion.find(decide.store).name == "first"
    assert storage.list_folder(f"{decide.store}/versions") == ["first"]
    told = storage.read_json(f"{decide.store}/runs/second/decision.json")
    assert (told["is_pushed"], told["reason"]) == (False, "worse in verbs")
    assert "Not pushed" in decision.page()


def test_a_challenger_that_is_better_takes_its_place_and_the_old_one_stays(made, decide):
    first = decide("first", made("first", None)).version
    decide("second", made("second", BETTER), first)
    assert champion.find(decide.store).name == "second"
    assert storage.read_json(f"{decide.store}/champion.json")["previous"] == "first"
    assert storage.list_folder(f"{decide.store}/versions") == ["first", "second"]


def test_a_push_that_was_interrupted_before_its_last_word_is_finished_by_a_retry(made, decide, monkeypatch):
    result = made("first", None)
    replace = storage.replace
    monkeypatch.setattr(storage, "replace", lambda *words: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        decide("first", result)
    assert champion.find(decide.store) is None  # nobody takes it for the champion
    monkeypatch.setattr(storage, "replace", replace)
    assert decide("first", result).is_pushed
    before = Path(decide.store, "champion.json").read_bytes()
    assert decide("first", result).is_pushed  # and once more
    assert Path(decide.store, "champion.json").read_bytes() == before


def test_half_a_version_is_cleared_and_written_anew(made, decide):
    half = Path(decide.store, "versions/first/tasks/other")
    half.mkdir(parents=True)
    (half / "left-over").write_text("x")
    version = decide("first", made("first", None)).version
    assert "tasks/other/left-over" not in content(version)


def test_who_was_compared_with_another_champion_is_refused(made, decide):
    decide("first", made("first", None))
    with pytest.raises(UserError, match="the champion was none when this run began and is first now; run again"):
        decide("second", made("second", None))
    assert champion.find(decide.store).name == "first"


def test_two_pushes_at_one_moment_leave_one_champion(made, decide, monkeypatch):
    replace = storage.replace

    def another_first(path, content, version):
        replace(path, b'{"version": "other", "inputs": ""}', version)
        return replace(path, content, version)

    monkeypatch.setattr(storage, "replace", another_first)
    with pytest.raises(UserError, match="another run has pushed"):
        decide("first", made("first", None))
    assert storage.read_json(f"{decide.store}/champion.json")["version"] == "other"


def test_a_champion_that_is_not_whole_is_named(decide):
    Path(decide.store).mkdir()
    Path(decide.store, "champion.json").write_text('{"version": "gone", "inputs": ""}')
    with pytest.raises(UserError, match="names gone, which is not whole"):
        champion.find(decide.store)
    Path(decide.store, "champion.json").write_text('{"version": "../../etc", "inputs": ""}')
    with pytest.raises(UserError, match=r"version is '\.\./\.\./etc'"):
        champion.find(decide.store)


def rerun(version):
    name = version.rpartition("/")[2]
    return f"xlnet pipeline run --parameters {version}/parameters.yaml --store rerun/store --output rerun/{name}"


def test_a_version_that_went_on_from_another_is_made_anew_after_it(made, decide):
    first = decide("first", made("first", None)).version
    decide.parameters["goes_on"] = True
    second = decide("second", made("second", BETTER), first).version
    decide.parameters["goes_on"] = False
    third = decide("third", made("third", BETTER), second).version
    assert lineage.trace(second)["rerun"] == [rerun(first), rerun(second)]
    assert lineage.trace(third)["rerun"] == [rerun(third)]


def test_the_lineage_leads_from_a_pushed_model_to_its_text(made, decide, small_data, text):
    version = decide("first", made("first", None)).version
    manifest = storage.read_json(f"{small_data}/manifest.json")
    for place in ("", "/pretrained", "/tasks/verbs/model", "/tasks/verbs/export", "/tasks/verbs/export/1"):
        found = lineage.trace(version + place)
        assert found["data"]["inputs"] == manifest["inputs"]
        assert found["vocabulary_sha256"] == manifest["vocabulary"]["sha256"]
        assert found["rerun"] == [rerun(version)]
        assert found["code"]["xlnet"]
    assert lineage.trace(f"{version}/tasks/verbs/export")["weights_sha256"] == storage.sha256(
        f"{version}/tasks/verbs/model/model.safetensors"
    )


def test_a_model_that_was_changed_after_its_push_has_no_lineage(made, decide):
    version = decide("first", made("first", None)).version
    Path(version, "tasks/verbs/model/model.safetensors").write_bytes(b"other")
    with pytest.raises(UserError, match="is not what was pushed"):
        lineage.trace(f"{version}/tasks/verbs/model")
    assert lineage.trace(f"{version}/pretrained")


@pytest.mark.parametrize("run", ["nightly 2026-11-25T00:00", "../../etc/passwd", "a/b", ""])
def test_a_run_s_name_never_leads_out_of_the_store(run):
    name = champion.folder_name(run)
    assert champion.NAME.fullmatch(name)
    assert ".." not in name
    assert name != champion.folder_name(f"{run} ")
