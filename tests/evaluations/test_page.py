"""The page about an evaluation: its figures, nothing of the texts taken for markup, browsers are content."""

import json
import re
import shutil
from pathlib import Path

import markupsafe
import pytest

from xlnet.cli import main
from xlnet.errors import UserError
from xlnet.evaluations import comparison
from xlnet.evaluations.page import write

HOSTILE = "<script>alert(1)</script><img src=http://127.0.0.1:9/x.png onerror='x()'>"
KINDS = ("classification", "regression", "multiple-choice", "question-answering", "token-classification")


def page_of(tmp_path, **folders) -> str:
    write(str(tmp_path / "page.html"), resamples=100, **folders)
    return (tmp_path / "page.html").read_text()


def change(folder: str, row: int, **changes) -> None:
    path = Path(folder, "predictions.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[row] |= changes
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_task_has_a_page_alone_and_against_another(evaluated, tmp_path, kind):
    first, second = evaluated(kind, skill=0.9), evaluated(kind, skill=0.2, name="other")
    found = comparison.of_evaluations(first, second, resamples=100)
    alone, both = page_of(tmp_path, evaluation=first), page_of(tmp_path, evaluation=first, against=second)
    for page in (alone, both):
        assert f"{found.first:.4f}" in page
        assert 'id="errors"' in page
        assert "by length of the text" in page
    assert f"{found.difference:+.4f}" in both
    assert f"{found.low:+.3f} to {found.high:+.3f}" in both
    assert 'id="apart"' in both
    assert 'id="apart"' not in alone


def test_same_inputs_same_bytes(evaluated, tmp_path):
    folder = evaluated("classification")
    assert page_of(tmp_path, evaluation=folder) == page_of(tmp_path, evaluation=folder)


def test_what_a_kind_does_not_have_is_left_out(evaluated, tmp_path):
    page = page_of(tmp_path, evaluation=evaluated("regression"))
    assert "expected calibration error" not in page
    assert "Mean truth by answer" in page
    assert 'class="heat"' not in page


def test_a_model_that_is_always_right_and_few_examples_have_pages(evaluated, tmp_path):
    assert "There are none." in page_of(tmp_path, evaluation=evaluated("classification", skill=9.0))
    for kind in ("regression", "question-answering"):
        assert "<h1>" in page_of(tmp_path, evaluation=evaluated(kind, count=2, name=f"two-{kind}"))


def test_a_model_that_answers_the_same_number_to_all_has_no_correlation(evaluated, tmp_path):
    folder = evaluated("regression")
    shutil.copytree(folder, tmp_path / "constant")
    path = tmp_path / "constant/predictions.jsonl"
    lines = [json.loads(line) | {"predicted": 2.0} for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    described = json.loads((tmp_path / "constant/evaluation.json").read_text())
    described["metrics"] |= {"pearson": None, "spearman": None}
    (tmp_path / "constant/evaluation.json").write_text(json.dumps(described))
    for one, other in ((folder, tmp_path / "constant"), (tmp_path / "constant", folder)):
        page = page_of(tmp_path, evaluation=str(one), against=str(other))
        assert "nan" not in page
        assert "–" in page


def test_nothing_of_the_inputs_becomes_markup(evaluated, tmp_path):
    for kind in KINDS:
        folder = evaluated(kind, skill=0.0, name=kind)
        line = json.loads(Path(folder, "predictions.jsonl").read_text().splitlines()[0])
        hostile = {name: HOSTILE for name, found in line.items() if isinstance(found, str) and name != "predicted"}
        if kind == "token-classification":
            hostile = {"words": [HOSTILE] * 2, "truth": ["O", "O"], "predicted": ["O", f"B-{HOSTILE}"]}
            hostile["confidences"] = [0.5, 0.5]
        path = Path(folder, "predictions.jsonl")
        path.write_text(
            "".join(json.dumps(json.loads(line) | hostile) + "\n" for line in path.read_text().splitlines())
        )
        page = page_of(tmp_path, evaluation=folder, title=HOSTILE)
        assert "<script" not in page
        assert "<img" not in page
        assert page.count(markupsafe.escape(HOSTILE)) > 5, kind


def test_a_terminal_shows_the_figures(evaluated, tmp_path, capsys):
    first, second = evaluated("classification"), evaluated("classification", name="other", skill=0.2)
    words = ["report", "--evaluation", first, "--against", second, "--output", str(tmp_path / "page.html")]
    assert main(words) == 0
    said = capsys.readouterr().out
    found = comparison.of_evaluations(first, second)
    for figure in (f"{found.first:.4f}", f"{found.difference:+.4f}", "calibration error", "page.html"):
        assert figure in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("report --output page.html", "one of the arguments --data --evaluation is required"),
        ("report --data a --evaluation b --output page.html", "--evaluation: not allowed with argument --data"),
        ("report --data a --against b --output page.html", "--against needs --evaluation"),
        ("report --evaluation a --pretraining b --output page.html", "--pretraining is for a page about a run"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(words, said, capsys):
    with pytest.raises(SystemExit, match="2"):
        raise SystemExit(main(words.split()))
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("changes", [{"majority": 5}, {"majority": {"accuracy": "x"}}, {"cut_examples": "x"}])
def test_what_is_no_figure_in_an_evaluation_is_one_line(evaluated, tmp_path, changes):
    path = Path(evaluated("classification"), "evaluation.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(UserError, match=r"evaluation\.json is damaged \(.*\); run the stage again"):
        page_of(tmp_path, evaluation=str(path.parent))
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("evaluation.json", None, "evaluation.json"),
        ("evaluation.json", '{"objective": "causal"}', "is of a pretrained model"),
        ("evaluation.json", '{"task": "classification"}', "evaluation.json is damaged"),
        ("predictions.jsonl", None, "predictions.jsonl"),
        ("predictions.jsonl", "", "holds 0 answers, 120 were measured"),
        ("predictions.jsonl", "{\n", "predictions.jsonl:1 is not JSON"),
        ("predictions.jsonl", '{"text": "x", "truth": "a"}\n' * 120, "predictions.jsonl:1 has no 'predicted'"),
        (
            "predictions.jsonl",
            '{"text": "x", "truth": "a", "predicted": "a", "probabilities": ["y"]}\n' * 120,
            "predictions.jsonl is damaged",
        ),
    ],
)
def test_missing_or_broken_files_are_named(evaluated, tmp_path, file, content, said):
    folder = evaluated("classification")
    path = Path(folder, file)
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(UserError, match=re.escape(said)) as raised:
        page_of(tmp_path, evaluation=folder)
    assert str(folder) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "page.html").exists()


def test_evaluations_of_other_examples_or_tasks_are_refused(evaluated, tmp_path):
    first, second = evaluated("classification"), evaluated("multiple-choice", name="other")
    with pytest.raises(UserError, match=r"is of classification, .* of multiple-choice"):
        page_of(tmp_path, evaluation=first, against=second)
    shutil.copytree(first, tmp_path / "changed")
    change(str(tmp_path / "changed"), 7, truth="unheard of")
    with pytest.raises(UserError, match=r"predictions\.jsonl:8 has the truth"):
        page_of(tmp_path, evaluation=first, against=str(tmp_path / "changed"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["classification", "question-answering"])
def test_a_browser_opens_it_without_complaint_request_or_overflow(evaluated, browser, tmp_path, kind):
    first, second = evaluated(kind), evaluated(kind, skill=0.2, name="other")
    if kind == "classification":
        change(first, 0, text=f"{HOSTILE} {'x' * 300}", predicted="y" * 80)
    page_of(tmp_path, evaluation=first, against=second, title="z" * 90)
    for width in (1280, 390):
        said, asked, wide = browser.open((tmp_path / "page.html").as_uri(), width=width)
        assert (said, asked) == ([], [])
        assert wide <= width
