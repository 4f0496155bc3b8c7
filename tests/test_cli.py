"""Bad input, verb by verb: one line on stderr, exit code 2, nothing left behind."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from xlnet import cli

VERBS = [*cli.VERBS, "pipeline compile", "pipeline run"]
SMALL = ["--sequence-length=32", "--reuse-length=16", "--permutation-size=16", "--predictions=6", "--shards=2"]
MODEL = {
    "format": "xlnet-model/1",
    "model": {"vocab_size": 500, "layers": 1, "model_dim": 8, "heads": 2, "head_dim": 4, "feedforward_dim": 16},
    "text": {"lower": False, "keep_accents": False},
    "vocabulary_sha256": "0" * 64,
    "head": None,
}


@pytest.fixture
def place(tmp_path, text, vocabulary, monkeypatch) -> Path:
    """A folder to work in, with good text, a good vocabulary and much that is bad."""
    shutil.copy(text[0], tmp_path / "good.txt")
    shutil.copy(vocabulary, tmp_path / "good.model")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n" * 9)
    (tmp_path / "nul.txt").write_bytes(b"a\0b\n" * 9)
    (tmp_path / "junk").write_bytes(b"\xff{ junk: [")
    (tmp_path / "unknown.yaml").write_text("vocabulary: {sise: 1}\ncorpus: {sharts: 1}\npretraining: {stebs: 1}\n")
    (tmp_path / "wrong.yaml").write_text("vocabulary: {size: x}\ncorpus: {shards: .inf}\npretraining: {steps: [1]}\n")
    (tmp_path / "train.tsv").write_text("text\tlabel\n" + "".join(f"thing {i}\t{'ab'[i % 2]}\n" for i in range(8)))
    (tmp_path / "cells.tsv").write_text("text\tlabel\na\n")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("kept")
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refused(place, capsys, monkeypatch):
    """Runs the command, which must refuse; returns its line."""
    monkeypatch.setattr("xlnet.frameworks.load", lambda: None)

    def run(words: str) -> str:
        before = {path: path.stat().st_size for path in place.rglob("*")}
        capsys.readouterr()
        try:
            code = cli.main(words.split())
        except SystemExit as stop:  # argparse ends the program itself
            code = stop.code
        *progress, line = capsys.readouterr().err.splitlines()
        assert code == 2, words
        assert line.startswith("error: ")
        assert all(told.startswith(("sample ", "tokenize ", "write ")) for told in progress), progress
        assert {path: path.stat().st_size for path in place.rglob("*")} == before
        return line

    return run


@pytest.mark.parametrize("verb", ["train-vocab --size=300", "preprocess --vocabulary=good.model " + " ".join(SMALL)])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("missing.txt --output=out", "no file matches 'missing.txt'"),
        ("*.nothing --output=out", "no file matches"),
        ("empty --output=out", "empty"),
        ("folder --output=out", "is a folder"),
        ("latin.txt --output=out", "invalid UTF-8"),
        ("nul.txt --output=out", "NUL byte"),
        ("good.txt --output=/proc/none", "cannot write"),
        ("good.txt --output=good.txt/out", "cannot write"),
        ("good.txt --output=" + "x" * 300, "name too long"),
        ("good.txt --output=out --config=missing.yaml", "missing.yaml does not exist"),
        ("good.txt --output=out --config=junk", "junk is not YAML"),
        ("good.txt --output=out --config=unknown.yaml", "did you mean"),
        ("good.txt --output=out --config=wrong.yaml", "wanted is a whole number"),
        ("good.txt --output=out --sead=3", "did you mean '--seed'"),
        ("good.txt --output=out --see=3", "did you mean '--seed'"),
        ("good.txt --output=out --seed=x", "wanted is a whole number"),
        ("good.txt --output=out --seed=-1", "seed is -1"),
        ("good.txt", "--output"),
    ],
)
def test_verbs_that_read_text(refused, verb, words, said):
    if "wrong.yaml" in words or "unknown.yaml" in words:
        verb = verb.replace("--size=300", "")
    assert said in refused(f"{verb.split()[0]} {words} {' '.join(verb.split()[1:])}")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--vocabulary=missing", "does not exist"),
        ("--vocabulary=folder", "is a folder"),
        ("--vocabulary=junk", "is not a SentencePiece model"),
        ("--vocabulary=good.model --workers=0", "workers is 0"),
        ("--vocabulary=good.model --output=full", "already holds something"),
        ("--vocabulary=good.model --predictions=99", "predictions is 99"),
        ("--vocabulary=good.model --prices=empty", "--prices goes with --estimate"),
        ("--vocabulary=good.model --deadline=2", "--deadline goes with --estimate"),
        ("--vocabulary=good.model --estimate --prices=empty", "prices: currency, vcpu_hour"),
    ],
)
def test_preprocess(refused, words, said):
    assert said in refused(f"preprocess good.txt --output=out {' '.join(SMALL)} {words}")


def _edit(change):
    def damage(data: Path) -> None:
        content = json.loads((data / "manifest.json").read_text())
        change(content)
        (data / "manifest.json").write_text(json.dumps(content))

    return damage


def _flip(data: Path) -> None:
    shard = next(path for path in sorted(data.rglob("*.tfrecord")) if path.stat().st_size)
    content = bytearray(shard.read_bytes())
    content[60] ^= 255
    shard.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: (data / "manifest.json").unlink(), "half-written"),
        (lambda data: (data / "manifest.json").write_text("{"), "is not JSON"),
        (_edit(lambda content: content.update(format="other")), "'other'"),
        (_edit(lambda content: content.update(counts={})), "is missing"),
        (_edit(lambda content: content.update(counts=3)), "is damaged"),
        (_edit(lambda content: content.update(vocabulary=None)), "is damaged"),
        (_edit(lambda content: content.update(shards=[])), "names no shard"),
        (_edit(lambda content: content.update(sources=[])), "counts 1 sources of 0"),
        (_edit(lambda content: content["sources"][0].update(weight=None)), "sources: weight is None"),
        (_edit(lambda content: content["by_source"][0].pop("pieces")), "'pieces' is missing"),
        (_edit(lambda content: content["by_source"].append(3)), "by_source: 1 is 3"),
        (_edit(lambda content: content.update(removed="x")), "removed is 'x'"),
        (_edit(lambda content: content.update(dead_letter_reasons={"a": True})), "dead_letter_reasons: a is True"),
        (_edit(lambda content: content["shards"][0]["dropped"].update(tail="x")), "dropped: tail is 'x'"),
        (_edit(lambda content: content.update(libraries=float("inf"))), "libraries is inf"),
        (_edit(lambda content: content["inputs"][0].pop("path")), "'path' is missing"),
        (_edit(lambda content: content["shards"][0].update(file=None)), "file is None"),
        (_edit(lambda content: content["settings"].update(sequence_length=1)), "sequence_length is 1"),
        (lambda data: os.truncate(sorted(data.rglob("*.tfrecord"))[0], 100), "SHA-256"),
        (lambda data: sorted(data.rglob("*.tfrecord"))[0].unlink(), "does not exist"),
        (lambda data: (data / "spiece.model").write_text("x"), "SHA-256"),
        (_flip, "SHA-256"),
    ],
)
def test_damaged_data(refused, place, small_data, damage, said):
    shutil.copytree(small_data, place / "data")
    damage(place / "data")
    assert said in refused("inspect data --verify")
    if said != "SHA-256":
        refused("report --data=data --output=page.html")


def test_inspect(refused, small_data):
    assert "-1 records" in refused(f"inspect {small_data} --records=-1")
    assert "99999" in refused(f"inspect {small_data} --position=99999")
    assert "there is no data set" in refused("inspect missing")


@pytest.mark.parametrize("words", ["inspect data --card=data/manifest.json", "report --data=data --output=train.tsv"])
def test_a_page_takes_the_place_of_pages_alone(refused, place, small_data, words):
    shutil.copytree(small_data, place / "data")
    assert "is there and is no HTML page; name another file, or remove it" in refused(words)
    assert cli.main(["inspect", "data", "--card=card.html"]) == cli.main(["inspect", "data", "--card=card.html"]) == 0


@pytest.mark.parametrize("words", ["pipeline", "pipeline comple", "pretran", "--versoin", "report --data=folder"])
def test_words_that_mean_nothing(refused, words):
    refused(words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--steps=x", "wanted is a whole number"),
        ("--seed=-1", "seed is -1"),
        ("--learning-rate=nan", "learning_rate is nan"),
        ("--weight-decay=-1", "weight_decay is -1"),
        ("--keep-checkpoints=0", "keep_checkpoints is 0"),
        ("--initializer-stddev=nan", "initializer_stddev is nan"),
        ("--batch-size=3", "even number of rows"),
        ("--batch-size=4000", "side by side"),
        ("--output=full", "already holds something"),
        ("--data=folder", "is not a data set"),
        ("--config=unknown.yaml", "did you mean 'steps'"),
    ],
)
def test_pretrain(refused, small_data, words, said):
    assert said in refused(f"pretrain --data={small_data} --output=out {words}")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (None, "does not exist"),
        ([], "is damaged"),
        (MODEL | {"text": {"x": 1}}, "lower is missing"),
        (MODEL | {"head": [1]}, "head is [1]"),
        (MODEL | {"head": {"task": "classification"}}, "sequence_length is missing"),
        (MODEL, "train.tsv has no manifest.json"),
    ],
)
def test_broken_models(refused, place, config, said):
    (place / "model").mkdir()
    if config is not None:
        (place / "model" / "config.json").write_text(json.dumps(config))
    assert said in refused("evaluate --model=model --data=train.tsv --output=out")
    refused("export --model=model --output=out")


@pytest.mark.parametrize("file", ["missing.tsv", "empty", "folder", "latin.txt", "cells.tsv"])
def test_finetune(refused, file):
    refused(f"finetune --train={file} --output=out")


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_loads_no_framework(verb):
    program = (
        "import sys\nfrom xlnet import cli\n"
        "try:\n    cli.main(sys.argv[1:])\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "assert not {'tensorflow', 'keras', 'apache_beam', 'kfp'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *verb.split(), "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"usage: xlnet {verb}".rstrip())
    assert done.stderr == ""


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith("xlnet ")


def test_interrupted(capsys, monkeypatch):
    def interrupt(words):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_dispatch", interrupt)
    assert cli.main([]) == 130
    assert capsys.readouterr().err == "error: interrupted\n"


@pytest.mark.parametrize(
    ("told", "line"),
    [
        (
            "{{function_node __wrapped__Fill_/task:0}} OOM when allocating a tensor [Op:Fill] name:",
            "OOM when allocating a tensor",
        ),
        (
            "Graph execution error:\n\nDetected at node x\nOut of memory: 8 GiB.\n [[{{node x}}]]",
            "Out of memory: 8 GiB.",
        ),
    ],
)
def test_memory_that_is_not_there_is_told_without_names_of_a_framework(monkeypatch, capsys, told, line):
    error = type("ResourceExhaustedError", (Exception,), {})(told)

    def run(parsed: object) -> None:
        raise error

    monkeypatch.setattr(cli, "_dispatch", run)
    assert cli.main(["inspect"]) == 2
    assert capsys.readouterr().err == f"error: not enough memory ({line}); ask for smaller sizes or batches\n"


@pytest.mark.parametrize("name", ["ResourceExhaustedError", "XlaRuntimeError"])
def test_too_little_memory_is_a_line_whatever_the_framework_calls_it(capsys, monkeypatch, name):
    def exhaust(words):
        raise type(name, (Exception,), {})(
            "RESOURCE_EXHAUSTED: 12 GB were asked for\nand more" if name[0] == "X" else "big"
        )

    monkeypatch.setattr(cli, "_dispatch", exhaust)
    assert cli.main([]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: not enough memory (")


def test_attention_that_an_objective_cannot_have_is_refused_where_it_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("xlnet.frameworks.load", lambda: None)
    (tmp_path / "preset.yaml").write_text("model: {attention: bi}\npretraining: {objective: causal}\n")
    words = ["pretrain", "--data", "none", "--output", str(tmp_path / "run")]
    for given in (["--objective", "causal", "--attention", "bi"], ["--config", str(tmp_path / "preset.yaml")]):
        assert cli.main([*words, *given]) == 2
        assert "attention is 'bi', wanted is uni with objective causal" in capsys.readouterr().err
    for given in (["--objective", "causal"], ["--objective", "causal", "--attention", "uni"]):
        assert cli.main([*words, *given]) == 2
        assert "none" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", ["inspect {}", "inspect {} --records 2", "", "--help", "pretrain --help", "--version"]
)
def test_a_full_standard_output_is_one_line(small_data, words):
    command = f"{sys.executable} -m xlnet.cli {words.format(small_data)} >/dev/full"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "error: cannot write to standard output: no space left on device\n")


def test_a_closed_standard_output_is_no_error(small_data):
    done = subprocess.run(f"{sys.executable} -m xlnet.cli inspect {small_data} >&-", shell=True, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_reader_that_goes_early(small_data):
    words = f"{sys.executable} -m xlnet.cli inspect {small_data} --records=400 | head -1"
    done = subprocess.run(words, shell=True, capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_a_full_disk(place, refused):
    small = place / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        line = refused(f"preprocess good.txt --vocabulary=good.model --output=small/data {' '.join(SMALL)}")
        assert "no space left" in line
    finally:
        subprocess.run(["umount", small], check=True)
