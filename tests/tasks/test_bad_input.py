"""What a user can mend ends a run of the command with one line: file, line, what was found and what to do."""

import json
import shutil

import pytest

from xlnet import cli
from xlnet.model.checkpoints import save_model
from xlnet.model.config import ModelConfig
from xlnet.tasks import registry

TINY = ModelConfig(vocab_size=500, layers=1, model_dim=16, heads=2, head_dim=8, feedforward_dim=32)
SIZES = ["--layers", "1", "--model-dim", "16", "--heads", "2", "--head-dim", "8", "--feedforward-dim", "32"]
GOOD = "text\tlabel\na fine film\tgood\na poor film\tbad\n"
PASSAGE = {"article": "a", "questions": ["q"], "options": [["x", "y"]], "answers": ["A"]}
FILES = {  # what is in the folder of each case
    "train.tsv": GOOD,
    "no-label.tsv": "text\tlabel\na\tgood\nb\t\n",
    "no-text.tsv": "text\tlabel\na\tgood\n  \tbad\n",
    "other-label.tsv": "text\tlabel\na\tgood\nb\tmeh\n",
    "wide.tsv": "text\tlabel\na\tgood\nb\tc\tbad\n",
    "broken.jsonl": '{"text": "a", "label": "x"}\n{"text": "b", "label"\n',
    "keys.jsonl": '{"text": "a", "label": "x"}\n{"txt": "b", "label": "y"}\n',
    "sst.tsv": "sentence\tlabel\ngood\t1\nbad\t2\n",
    "race/high/1.txt": json.dumps(PASSAGE | {"answers": ["C"]}),
    "good-race/high/1.txt": json.dumps(PASSAGE),
    "aclImdb/pos/1_9.txt": "good",
    "eng.train": "EU NNP I-ORG\nrejects VBZ\n",
    "tags.train": "EU B-ORG\nrejects O\n\nPeter PERSON\n",
}
CASES = {
    "a missing column": (
        ["--train", "train.tsv", "--text-column", "body"],
        r"train.tsv:1: no column 'body'; found: 'tex",
    ),
    "a missing label": (["--train", "no-label.tsv"], "no-label.tsv:3: column 'label' is empty; fill it or remove"),
    "an empty text": (["--train", "no-text.tsv"], "no-text.tsv:3: column 'text' is empty; fill it or remove the row"),
    "an unknown label": (
        ["--train", "train.tsv", "--dev", "other-label.tsv"],
        "other-label.tsv:3: the label 'meh' is unknown to the model; it knows 'bad', 'good'; correct the row, or",
    ),
    "another width": (["--train", "wide.tsv"], "wide.tsv:3: the row has 3 columns, the first row has 2; look for"),
    "no number": (["--train", "train.tsv", "--task", "regression"], "train.tsv:2: the label 'good' is not a number"),
    "broken JSON": (["--train", "broken.jsonl"], "broken.jsonl:2: not JSON: "),
    "a missing key": (["--train", "keys.jsonl"], "keys.jsonl:2: no key 'text'; found: 'txt', 'label'"),
    "an unknown task": (["--train", "train.tsv", "--task", "stsb"], "task is 'stsb', wanted is one of"),
    "the file of another task": (["--train", "sst.tsv", "--task", "sts-b"], "sst.tsv:1: no column 'sentence1'; found"),
    "a label of no class": (
        ["--train", "sst.tsv", "--task", "sst-2"],
        "sst.tsv:3: the label '2' is unknown to the mod",
    ),
    "a folder lacks a class": (
        ["--train", "aclImdb", "--task", "imdb"],
        "aclImdb has no folder 'neg'; wanted are neg a",
    ),
    "a folder for a file": (["--train", "aclImdb", "--task", "rte"], "aclImdb is a folder; rte is read from one file"),
    "an answer without option": (
        ["--train", "race", "--task", "multiple-choice"],
        'race/high/1.txt: question 1: the answer is "C", wanted is one of A, B',
    ),
    "a file for a folder": (["--train", "train.tsv", "--task", "multiple-choice"], "train.tsv is no folder with files"),
    "a word without a label": (
        ["--train", "eng.train", "--task", "token-classification"],
        "eng.train:2: the row has 2 columns, the first row has 3; write one word a line, with a label in every row",
    ),
    "a label of no scheme": (
        ["--train", "tags.train", "--task", "token-classification"],
        "tags.train:4: the label 'PERSON' is neither O nor part of an entity, such as B-PER, as others are",
    ),
    "nothing there": (["--train", "gone.tsv"], "gone.tsv does not exist"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The files, in the working directory."""
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("xlnet.frameworks.load", lambda: None)
    return tmp_path


def refused(capsys, *words: str) -> str:
    """What a run says that ends in the user's error: one line, and no output."""
    assert cli.main([*words, "--output", "out"]) == 2
    told = capsys.readouterr()
    assert told.err.startswith("error: ")
    assert told.err.count("\n") == 1
    return told.err


@pytest.mark.parametrize("case", CASES)
def test_fine_tuning_tells_what_is_wrong_in_a_file_in_one_line(folder, vocabulary, capsys, case):
    words, message = CASES[case]
    assert message in refused(capsys, "finetune", *words, "--vocabulary", vocabulary, *SIZES)
    assert not (folder / "out").exists()


@pytest.fixture(scope="module")
def saved(tmp_path_factory, vocabulary):
    """Makes a model directory with random weights, by its head."""

    def save(head):
        model = registry.from_head(head, where="head").model(TINY)
        place = str(tmp_path_factory.mktemp("saved") / "model")
        text = {"lower": False, "keep_accents": False}
        save_model(place, model, config=TINY, vocabulary=vocabulary, text=text, head=head, provenance={})
        return place

    summary = {"summary": "last", "projection": True}
    columns = {"text": "text", "pair": None, "label": "label", "header": None}
    return {
        "sentences": save(
            {"task": "classification", "sequence_length": 8, "classes": ["bad", "good"], "columns": columns} | summary
        ),
        "choice": save({"task": "multiple-choice", "sequence_length": 8, "option_length": 4} | summary),
        "words": save(
            {
                "task": "token-classification",
                "sequence_length": 8,
                "classes": ["O", "B-X", "I-X"],
                "columns": {"word": "0", "label": "-1"},
            }
        ),
    }


@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        (
            "sentences",
            "other-label.tsv",
            "other-label.tsv:3: the label 'meh' is unknown to the model; it knows 'bad', 'go",
        ),
        ("sentences", "sst.tsv", "sst.tsv:1: no column 'text'; found: 'sentence', 'label'"),
        ("sentences", "good-race", "good-race is a folder, a file is wanted"),
        ("choice", "train.tsv", "train.tsv is no folder with files; give RACE's folder, such as RACE/train"),
        ("choice", "race", 'race/high/1.txt: question 1: the answer is "C"'),
        ("words", "tags.train", "tags.train:4: the label 'PERSON' is neither O nor part of an entity"),
        ("words", "eng.train", "eng.train:2: the row has 2 columns, the first row has 3"),
    ],
)
def test_evaluation_tells_of_files_that_do_not_fit_the_model(folder, saved, capsys, model, data, message):
    assert message in refused(capsys, "evaluate", "--model", saved[model], "--data", data)
    assert not (folder / "out").exists()


def test_a_checkpoint_of_another_size_or_vocabulary_is_refused(folder, saved, vocabulary, golden, capsys):
    start = ["finetune", "--train", "train.tsv", "--sequence-length", "8"]
    told = refused(capsys, *start, "--init", str(golden("tiny_a")), "--vocabulary", vocabulary)
    assert f"the vocabulary {vocabulary} has 500 pieces, the model 2000; give the vocabulary that belongs to" in told
    other = str(golden("spiece.model"))
    told = refused(capsys, *start, "--init", saved["sentences"], "--vocabulary", other)
    assert "was trained with" in told
    shutil.copytree(saved["sentences"], "other")
    content = json.loads((folder / "other/config.json").read_text())
    content["model"]["feedforward_dim"] = 64
    (folder / "other/config.json").write_text(json.dumps(content))
    told = refused(capsys, *start, "--init", "other")
    assert "layer_1/kernel has shape [16, 32] in other, the model wants [16, 64]; use the configuration that" in told
    told = refused(capsys, *start, "--init", saved["sentences"], "--layers", "2")
    assert f"--layers is of a model from scratch, {saved['sentences']} brings its own sizes; leave it out" in told
    assert "gone" in refused(capsys, *start, "--init", "gone")
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("text", {"lower": "x"}, "lower is 'x'"),
        ("head", {"classes": [1, 2]}, "classes is [1, 2]"),
        ("head", {"sequence_length": True}, "sequence_length is True"),
        ("head", {"sequence_length": -1}, "sequence_length is -1"),
        ("head", {"columns": {"txt": "text"}}, "columns is {'txt': 'text'}"),
        ("head", {"data_set": "sst-9"}, "data_set is 'sst-9'"),
        ("head", {"summary": "best"}, "summary is 'best'"),
        ("model", {"layers": "x"}, "layers is 'x'"),
    ],
)
def test_a_damaged_description_of_a_model_is_named(folder, saved, capsys, part, changes, message):
    shutil.copytree(saved["sentences"], "damaged")
    content = json.loads((folder / "damaged/config.json").read_text())
    content[part] |= changes
    (folder / "damaged/config.json").write_text(json.dumps(content))
    assert message in refused(
        capsys, "predict", "--input", "train.tsv", "--model", "damaged", "--output-format", "jsonl"
    )
