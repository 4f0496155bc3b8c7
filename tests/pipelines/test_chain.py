import contextlib
import io
import json
import math
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from pipelines import local
from xlnet import storage
from xlnet.errors import UserError

STEPS = ["train-vocabulary", "preprocess", "preprocess-2", "pretrain", "finetune", "finetune-2", "evaluate"]
STEPS += ["evaluate-2", "export", "report"]
RUNS = ("finetuned", "scratch")


@pytest.fixture(scope="module")
def chain(inputs, tmp_path_factory):
    """The folder of a whole run, what it returned, and what a person saw."""
    output = tmp_path_factory.mktemp("chain") / "run"
    terminal = io.StringIO()
    with contextlib.redirect_stdout(terminal), contextlib.redirect_stderr(terminal):
        told = local.run(str(output), **inputs)
    return output, told, terminal.getvalue()


@pytest.mark.slow
def test_a_run_leaves_every_result_under_a_plain_name(chain):
    output, told, _ = chain
    assert {name for name in local.RESULTS if (output / name).exists()} == set(local.RESULTS)
    assert {name: told[name] for name in local.RESULTS} == {name: str(output / name) for name in local.RESULTS}


@pytest.mark.slow
def test_a_run_keeps_to_the_preset_and_measures_on_the_held_out_text(chain, inputs, preset):
    output, told, _ = chain
    summary = storage.read_json(str(output / "pretrained" / "summary.json"))
    assert summary["steps"] == preset["pretraining"]["steps"]
    assert math.isfinite(summary["validation_loss"])
    assert told["held-out loss (nats a piece)"] == summary["validation_loss"]
    for name, files in (("data", inputs["corpus"]), ("heldout", inputs["heldout"])):
        manifest = storage.read_json(str(output / name / "manifest.json"))
        assert [entry["path"] for entry in manifest["inputs"]] == sorted(files)
        assert manifest["settings"]["sequence_length"] == preset["corpus"]["sequence_length"]


@pytest.mark.slow
@pytest.mark.parametrize("place", ["evaluation", "scratch-evaluation"])
def test_the_confusion_matrix_counts_every_example_once(chain, inputs, place):
    output, _, _ = chain
    evaluation = storage.read_json(str(output / place / "evaluation.json"))
    truth = Counter(line.split("\t")[1] for line in Path(inputs["task_dev"]).read_text().splitlines()[1:])
    assert evaluation["examples"] == truth.total() == 20
    assert dict(zip(evaluation["classes"], map(sum, evaluation["confusion"]), strict=True)) == truth
    assert evaluation["majority"]["accuracy"] == pytest.approx(12 / 20)
    lines = (output / place / "predictions.jsonl").read_text().splitlines()
    right = sum(line["truth"] == line["predicted"] for line in map(json.loads, lines))
    assert evaluation["metrics"]["accuracy"] == pytest.approx(right / 20)


@pytest.mark.slow
def test_only_the_second_fine_tuning_begins_from_scratch(chain):
    output, _, _ = chain
    fresh = [storage.read_json(str(output / name / "summary.json"))["fresh_weights"] for name in RUNS]
    heads = [weight for weight in fresh[1] if not weight.startswith("model/transformer/")]
    assert fresh[0] == heads
    assert len(fresh[1]) > len(heads)


@pytest.mark.slow
def test_the_export_answers_as_the_model_does_and_is_whole(chain):
    output, _, _ = chain
    folder = output / "exported" / "1"
    card = storage.read_json(str(folder / "model-card.json"))
    assert card["texts_checked"] > 0
    assert card["max_abs_difference"] <= card["tolerance"]
    assert {name: storage.sha256(str(folder / name)) for name in card["files"]} == card["files"]


@pytest.mark.slow
def test_the_report_holds_the_figures(chain):
    output, told, _ = chain
    page = re.sub("[\\xa0\\u202f]", " ", (output / "report.html").read_text())
    assert "A tiny run" in page
    assert f"<b>{told['held-out loss (nats a piece)']:.3f}</b><span>loss on held-out text" in page
    assert f"<b>{100 * told['accuracy, pretrained']:.1f} %</b><span>accuracy, pretrained" in page
    assert f"<b>{told['pieces']:,}</b><span>pieces of text" in page


@pytest.mark.slow
def test_a_person_sees_the_steps_and_the_log_holds_every_word(chain):
    output, _, terminal = chain
    lines = terminal.splitlines()
    assert sorted(line for line in lines if not line.startswith(" ")) == sorted(STEPS)
    assert sum(line.startswith("    done in ") for line in lines) == len(STEPS)
    assert not re.search(r"[{}\[\]\x1b]|INFO|WARNING", terminal)
    log = (output / "run.log").read_text()
    assert all(f"'{step}'" in log for step in STEPS)


def test_a_failed_step_is_named_with_its_own_error_and_ends_the_run(inputs, preset, tmp_path, capfd):
    wrong = tmp_path / "preset.yaml"
    wrong.write_text(yaml.safe_dump(preset | {"vocabulary": {"size": 200_000}}))
    with pytest.raises(UserError, match=r"^step 'train-vocabulary' failed: size: 200000 pieces were asked") as caught:
        local.run(str(tmp_path / "run"), **inputs | {"config": str(wrong)})
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    seen = "".join(capfd.readouterr())
    assert "Traceback" not in seen
    assert [line for line in seen.splitlines() if not line.startswith(" ")] == ["train-vocabulary"]
    assert "error: size: 200000" in (tmp_path / "run" / "run.log").read_text()
    assert not list((tmp_path / "run" / "steps").glob("*/preprocess*"))


def test_an_occupied_output_is_refused_before_anything_runs(inputs, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="already holds something"):
        local.run(str(tmp_path), **inputs)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("name", ["corpus", "heldout", "task_train", "task_dev", "config"])
def test_a_missing_input_is_named_before_anything_runs(inputs, tmp_path, name):
    missing = str(tmp_path / "missing.txt")
    wrong = [missing] if isinstance(inputs[name], list) else missing
    with pytest.raises(UserError, match=r"missing\.txt"):
        local.run(str(tmp_path / "run"), **inputs | {name: wrong})
    assert not (tmp_path / "run").exists()
