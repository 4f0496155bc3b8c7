"""No secret gets out, nothing from outside is run, and no file is trusted to be what it says."""

import ast
import contextlib
import io
import re
from pathlib import Path

import pytest
import yaml

from pipelines import kubeflow, local, notice, parameters
from pipelines.retraining import build
from xlnet import storage
from xlnet.errors import UserError

ROOT = Path(local.__file__).resolve().parent.parent
SOURCES = [path for folder in ("xlnet", "pipelines", "components", "demo") for path in (ROOT / folder).rglob("*.py")]
SECRET = "planted-secret-0123456789"
HOSTILE = "x'; touch hacked; $(touch hacked) `touch hacked` <script>alert(1)</script>"


@pytest.fixture(scope="module")
def pipeline():
    return build()


@pytest.fixture(scope="module")
def red(pipeline, tmp_path_factory):
    """The folder of a whole run that was given a wrong task, with secrets in its environment, and what was shown."""
    folder = tmp_path_factory.mktemp("red")
    (folder / "corpus.txt").write_text("A line.\n")
    (folder / "heldout.txt").write_text("Another line.\n")
    (folder / "preset.yaml").write_text("vocabulary: {size: 400}\n")
    task = {"name": "verbs", "train": str(folder / "missing.tsv"), "dev": str(folder / "dev.tsv")}
    told = {"corpus": [str(folder / "corpus.txt")], "heldout": [str(folder / "heldout.txt")], "tasks": [task]}
    told |= {"config": str(folder / "preset.yaml"), "store": str(folder / "store"), "title": HOSTILE}
    (folder / "parameters.yaml").write_text(yaml.safe_dump(told))
    shown = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(shown):
        patch.setenv(notice.WEBHOOK, f"http://localhost:1/{SECRET}")
        patch.setenv(kubeflow.TOKEN, SECRET)
        patch.setattr(local, "WAIT", 0.0)
        patch.chdir(folder)
        with pytest.raises(UserError) as caught:
            local.retrain(str(folder / "run"), parameters.read("parameters.yaml"))
    return folder, str(caught.value), shown.getvalue()


@pytest.mark.slow
def test_a_run_that_fails_is_red_and_its_summary_says_why(red):
    folder, error, shown = red
    assert re.fullmatch(r"step 'check-inputs' failed: no file matches '[^']*missing.tsv'; .*", error)
    summary = storage.read_json(str(folder / "store/runs/run/summary.json"))
    assert (summary["state"], summary["decision"], summary["champion"]) == ("FAILED", None, None)
    assert "missing.tsv" in summary["error"]
    assert [line for line in shown.splitlines() if not line.startswith(" ")] == ["check-inputs", "summarize"]
    assert not storage.exists(str(folder / "store/champion.json"))


@pytest.mark.slow
def test_no_secret_is_in_what_a_run_leaves_or_says(red):
    folder, error, shown = red
    left = [path for path in folder.rglob("*") if path.is_file()]
    assert len(left) >= 8
    assert "the webhook was not told" in (folder / "run/run.log").read_text()
    for text in (error, shown, *(path.read_text(errors="replace") for path in left)):
        assert SECRET not in text


@pytest.mark.slow
def test_what_a_parameter_says_is_data_and_never_run(red):
    folder, _, _ = red
    assert not list(folder.rglob("hacked"))
    assert not (Path.cwd() / "hacked").exists()
    assert storage.read_json(str(folder / "store/runs/run/summary.json"))["title"] == HOSTILE
    page = (folder / "run/steps/summarize/summary").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


LIKE_SECRETS = re.compile(
    r"AIza[0-9A-Za-z_-]{35}|ya29\.[0-9A-Za-z_-]+|-----BEGIN [A-Z ]*PRIVATE KEY|hooks\.slack\.com/services/T"
    r"|gh[pousr]_\w{30}"
)


def test_no_file_of_the_repository_looks_like_a_secret():
    kinds = {".py", ".yaml", ".yml", ".md", ".toml", ".tf", ".txt", ".json", ".Dockerfile", ""}
    hidden = {".git", ".venv", ".venv-bench", "demo-run"}
    for path in ROOT.rglob("*"):
        inside = path.relative_to(ROOT)
        if path.suffix in kinds and path.is_file() and not hidden & set(inside.parts) and path != Path(__file__):
            found = LIKE_SECRETS.search(path.read_text(errors="replace"))
            assert found is None, f"{inside}: {found and found[0][:12]}"


def calls(tree):
    """The calls of a file: (dotted name, call)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


FORBIDDEN = ("eval", "exec", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "shutil.unpack_archive")
UNSAFE = ("pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve")


def faults(path):
    """What of a file could run or unpack what came from outside."""
    tree = ast.parse(path.read_text())
    for name, call in calls(tree):
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        if name in FORBIDDEN or name.endswith((".extractall", ".extract")):
            yield name
        if given.get("shell") == "True" or given.get("allow_pickle") == "True":
            yield ast.unparse(call)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from {name.partition(".")[0] for name in names} & set(UNSAFE)


def test_nothing_runs_a_shell_unpickles_or_unpacks():
    """Models are safetensors, arrays are read without pickle, and no archive is unpacked anywhere."""
    assert len(SOURCES) > 150
    assert {str(path): found for path in SOURCES if (found := list(faults(path)))} == {}
