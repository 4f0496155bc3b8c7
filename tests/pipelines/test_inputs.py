"""What a run is given: refused before it costs anything, and told apart by content."""

import pytest

from pipelines import inputs, parameters
from xlnet.cli import main
from xlnet.errors import UserError


@pytest.fixture
def given(tmp_path):
    for name in ("a", "b", "held"):
        (tmp_path / f"{name}.txt").write_text(f"A line of {name}.\n")
    (tmp_path / "train.tsv").write_text("text\tlabel\na\tb\n")
    (tmp_path / "dev.tsv").write_text("text\tlabel\nc\td\n")
    task = {"name": "verbs", "train": str(tmp_path / "train.tsv"), "dev": str(tmp_path / "dev.tsv")}
    return {
        "corpus": [str(tmp_path / "a.txt"), str(tmp_path / "b.txt")],
        "heldout": [str(tmp_path / "held.txt")],
        "tasks": [task],
        "config": "vocabulary: {size: 400}\n",
        "store": str(tmp_path / "store"),
    }


def test_the_digest_follows_contents_and_settings_not_names(given, tmp_path):
    first = inputs.check(**given)
    assert first.is_new
    (tmp_path / "a.txt").rename(tmp_path / "moved.txt")
    moved = inputs.check(**given | {"corpus": [str(tmp_path / "[bm]*.txt")]})
    assert (moved.corpus, moved.heldout) == (first.corpus, first.heldout)
    (tmp_path / "moved.txt").write_text("A line of c.\n")  # as long as it was
    changed = inputs.check(**given | {"corpus": [str(tmp_path / "[bm]*.txt")]})
    assert changed.corpus != first.corpus
    assert changed.digest != first.digest
    other = inputs.check(**given | {"corpus": [str(tmp_path / "[bm]*.txt")], "config": "vocabulary: {size: 500}\n"})
    assert (other.corpus, other.digest != changed.digest) == (changed.corpus, True)


def test_tasks_come_out_with_a_digest_of_their_files(given, tmp_path):
    (task,) = inputs.check(**given).tasks
    assert task["train"] == given["tasks"][0]["train"]
    (tmp_path / "dev.tsv").write_text("text\tlabel\nc\te\n")
    (changed,) = inputs.check(**given).tasks
    assert changed["digest"] != task["digest"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heldout": "a.txt"}, "in the corpus and in the held-out text"),
        ({"corpus": "missing.txt"}, "no file matches"),
        ({"corpus": "latin.txt"}, "latin.txt is not UTF-8 text"),
        ({"corpus": "../x/../../etc/*"}, "wanted is a path without '..'"),
        ({"task": {"name": "../x"}}, "a task's name is '../x'"),
        ({"task": {"name": "a; rm -rf /"}}, "a task's name is 'a; rm -rf /'"),
        ({"task": {"dev": "train.tsv"}}, "measured on what it learns from"),
        ({"task": {"test": "x"}}, "a task has 'test'"),
        ({"task": {"train": "http://169.254.169.254/token"}}, "only gs:// and local paths are read"),
        ({"task": {"train": None}}, "a task has no 'train'"),
        ({"tasks": []}, "no task is given"),
        ({"config": "vocabulry: {}"}, "unknown section 'vocabulry'"),
        ({"store": "gs://bucket/a/../b"}, "wanted is a path without '..'"),
        ({"store": "s3://bucket/a"}, "only gs:// and local paths are read"),
    ],
)
def test_what_cannot_be_is_one_line(given, tmp_path, change, message):
    (tmp_path / "latin.txt").write_bytes("Müller\n".encode("latin-1"))
    for name, value in change.items():
        if name == "task":
            task = {key: str(tmp_path / text) if text == "train.tsv" else text for key, text in value.items()}
            given["tasks"] = [given["tasks"][0] | task]
        elif name in ("corpus", "heldout"):
            given[name] = [f"{tmp_path}/{value}"]
        else:
            given[name] = value
    with pytest.raises(UserError) as caught:
        inputs.check(**given)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_tasks_of_one_name_are_refused(given):
    given["tasks"] = given["tasks"] * 2
    with pytest.raises(UserError, match="two tasks are called 'verbs'"):
        inputs.check(**given)


def test_the_page_shows_names_as_text(given, tmp_path):
    given["tasks"][0]["name"] = "v_e_r_b_s"
    page = inputs.check(**given).page(is_wanted=False)
    assert "| task v\\_e\\_r\\_b\\_s | 2 |" in page
    assert "nothing is to be done" in page


def test_parameters_of_a_file_are_absolute_and_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "preset.yaml").write_text("vocabulary: {size: 400}\n")
    (tmp_path / "p.yaml").write_text(
        "corpus: [a.txt, 'books=b/*.txt:2', 'gs://b/c.txt']\nheldout: [h.txt]\nconfig: preset.yaml\nstore: s\n"
        "tasks: [{name: x, train: t.tsv, dev: 'gs://b/d.tsv'}]\n"
    )
    found = parameters.read(str(tmp_path / "p.yaml"), title="T")
    assert found == {
        "corpus": [f"{tmp_path}/a.txt", f"books={tmp_path}/b/*.txt:2", "gs://b/c.txt"],
        "heldout": [f"{tmp_path}/h.txt"],
        "config": "vocabulary: {size: 400}\n",
        "store": f"{tmp_path}/s",
        "tasks": [{"name": "x", "train": f"{tmp_path}/t.tsv", "dev": "gs://b/d.tsv"}],
        "title": "T",
    }


@pytest.mark.parametrize(("text", "message"), [("corpus: [a]", "has no 'heldout'"), ("corpus: a", "has no 'heldout'")])
def test_parameters_that_are_missing_are_named(tmp_path, text, message):
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        parameters.read(str(tmp_path / "p.yaml"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--corpus", "a"], "--heldout is missing; give it, or --parameters"),
        (["--parameters", "p.yaml", "--corpus", "a"], "--corpus goes without --parameters"),
        (["--store", "s"], "--store goes with --parameters"),
    ],
)
def test_flags_of_a_run_that_do_not_go_together_are_one_line(tmp_path, capsys, words, told):
    assert main(["pipeline", "run", *words, "--output", str(tmp_path / "run")]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
