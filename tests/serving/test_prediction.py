import dataclasses
import io
import json
import shutil
import sys
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from xlnet import cli
from xlnet.tasks.known import DATA_SETS
from xlnet.tasks.predictor import Predictor

TEXTS = ["A first text, with 1,000 numbers.", "Short.", "word " * 60, "Many and many a year ago."]
HEAD = {
    "task": "classification",
    "data_set": None,
    "classes": ["a", "b", "c"],
    "summary": "last",
    "projection": True,
    "sequence_length": 24,
    "columns": {"text": "text", "pair": None, "label": "label", "header": None},
}
PAIR = HEAD | {
    "task": "regression",
    "classes": None,
    "summary": "mean",
    "columns": HEAD["columns"] | {"text": "one", "pair": "other"},
}


@pytest.fixture(scope="module")
def classifier(saved):
    return saved(HEAD)


@pytest.fixture(scope="module")
def expected(classifier):
    """Probabilities of whole rows, padding and all."""
    return Predictor.load(classifier).predict(TEXTS)


def run(*words):
    return cli.main(["predict", *map(str, words)])


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_rows_are_answered_in_their_order_and_dead_ones_are_set_aside(classifier, expected, tmp_path, capsys):
    rows = [json.dumps({"text": text, "id": number}) for number, text in enumerate(TEXTS)]
    rows[1:1] = ["{", json.dumps({"text": "  "}), json.dumps({"txt": "a"}), json.dumps({"text": None}), ""]
    (tmp_path / "in.jsonl").write_text("\n".join(rows))
    assert (
        run("--model", classifier, "--input", tmp_path / "in.jsonl", "--output", tmp_path / "o.jsonl", "--keep", "id")
        == 0
    )
    found = lines_of(tmp_path / "o.jsonl")
    assert [(line["line"], line["id"]) for line in found] == [(1, 0), (7, 1), (8, 2), (9, 3)]
    probabilities = [[line["probabilities"][name] for name in "abc"] for line in found]
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    assert [line["predicted"] for line in found] == ["abc"[row.argmax()] for row in expected]
    assert np.ptp(expected, axis=0).max() > 0.01
    dead = lines_of(tmp_path / "o.jsonl.dead-letters.jsonl")
    assert [(letter["line"], letter["content"]) for letter in dead] == [
        (2, "{"),
        (3, '{"text": "  "}'),
        (4, '{"txt": "a"}'),
        (5, '{"text": null}'),
    ]
    assert dead[1]["reason"].startswith("column 'text' is empty")
    assert dead[2]["reason"].startswith("no key 'text'")
    assert "dead letters" in capsys.readouterr().out


def test_lines_of_the_standard_input_are_answered_on_the_standard_output(
    classifier, expected, monkeypatch, capsysbinary
):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO("\n".join(TEXTS).encode())))
    assert run("--model", classifier, "--input", "-", "--output-format", "tsv") == 0
    out, err = capsysbinary.readouterr()
    header, *found = [line.split("\t") for line in out.decode().splitlines()]
    assert header == ["line", "predicted", "probability a", "probability b", "probability c"]
    np.testing.assert_allclose([[float(cell) for cell in line[2:]] for line in found], expected, atol=1e-5)
    assert err == b""


def test_pairs_under_other_names_in_a_table_are_rated(saved, tmp_path):
    model = saved(PAIR)
    (tmp_path / "in.tsv").write_text("id\tleft\tright\nx\tShort.\tAnother one.\ny\tShort.\n\tz\tw\n")
    given = ["--model", model, "--input", tmp_path / "in.tsv", "--keep", "id"]
    assert run(*given, "--output", tmp_path / "o.tsv", "--text-column", "left", "--pair-column", "right") == 0
    rows = [line.split("\t") for line in (tmp_path / "o.tsv").read_text().splitlines()]
    assert rows[0] == ["line", "id", "predicted"]
    assert [row[:2] for row in rows[1:]] == [["2", "x"], ["4", ""]]
    expected = Predictor.load(model).predict(["Short.", "z"], ["Another one.", "w"])
    np.testing.assert_allclose([float(row[2]) for row in rows[1:]], expected, atol=1e-5)


def test_a_long_text_is_answered_by_the_mean_over_its_windows(classifier, tmp_path):
    predictor = Predictor.load(classifier)
    pieces = predictor.tokenizer.encode(TEXTS[2])
    assert len(pieces) > 22
    (tmp_path / "in.txt").write_text("\n".join(TEXTS))
    windows = ["--long-texts", "windows", "--stride", 11]
    assert run("--model", classifier, "--input", tmp_path / "in.txt", "--output", tmp_path / "o.jsonl", *windows) == 0
    found = lines_of(tmp_path / "o.jsonl")
    starts = [*range(0, len(pieces) - 22, 11), len(pieces) - 22]
    rows = np.array([[*pieces[start : start + 22], 4, 3] for start in starts], np.int32)
    segments = np.repeat([[0] * 23 + [2]], len(rows), axis=0).astype(np.int32)
    logits = predictor.outputs({"pieces": rows, "segments": segments, "padding": np.zeros_like(rows)})
    cuts = [0, *[(a + 22 + b + 1) // 2 for a, b in pairwise(starts)], len(pieces)]
    mean = np.average(logits, axis=0, weights=np.diff(cuts))
    np.testing.assert_allclose(list(found[2]["probabilities"].values()), np.exp(mean) / np.exp(mean).sum(), atol=1e-5)
    short = predictor.predict(TEXTS[:2])
    np.testing.assert_allclose([list(line["probabilities"].values()) for line in found[:2]], short, atol=1e-5)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--input", "none.txt"], "none.txt does not exist"),
        (["--input", "in.txt", "--output", "o.bin"], "answers are written as .jsonl or .tsv"),
        (["--input", "in.tsv"], "in.tsv:1: no column 'text'; found: 'a', 'b'"),
        (["--input", "in.txt", "--pair-column", "b"], "the model takes single texts"),
        (["--input", "in.txt", "--long-texts", "window"], "did you mean 'windows'"),
        (["--input", "bad.jsonl", "--output", "o.jsonl"], "none of 1,000 rows could be used"),
        (
            ["--input", "in.txt", "--output", "o.jsonl", "--dead-letters", "o.jsonl"],
            "o.jsonl is the output and the dea",
        ),
        (["--input", "own.jsonl", "--output", "o.jsonl", "--keep", "line"], "keep names 'line', as an answer does"),
        (["--input", "own.jsonl", "--output", "o.jsonl", "--keep", "predicted"], "keep names 'predicted', as an answ"),
        (["--input", "-"], "the standard input is closed"),
    ],
)
def test_what_the_user_can_mend_is_told_in_a_line(classifier, tmp_path, monkeypatch, capsys, words, told):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", None)  # as Python has it where a shell has closed it
    own = json.dumps({"text": "a", "line": 7, "predicted": "z"})
    files = {"in.txt": "a\n", "in.tsv": "a\tb\n1\t2\n", "bad.jsonl": "x\n" * 1001, "own.jsonl": own}
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    assert run("--model", classifier, *words) == 2
    captured = capsys.readouterr()
    assert told in captured.err
    assert captured.err.startswith("error: ")
    assert (captured.err.count("\n"), captured.out) == (1, "")
    assert not (tmp_path / "o.jsonl").exists()


def test_a_model_that_does_not_fit_is_told_in_a_line(pretrained, classifier, tmp_path, capsys):
    (tmp_path / "in.txt").write_text("a\n")

    def told(model):
        assert run("--model", model, "--input", tmp_path / "in.txt") == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    assert "run `xlnet finetune` first" in told(pretrained)
    for name, size in {"vocab_size": 1999, "layers": 3, "model_dim": 32}.items():
        other = tmp_path / name
        shutil.copytree(classifier, other)
        config = json.loads((other / "config.json").read_text())
        config["model"][name] = size
        (other / "config.json").write_text(json.dumps(config))
        assert "the model" in told(other)
    shutil.copytree(classifier, tmp_path / "vocabulary")
    with open(tmp_path / "vocabulary" / "spiece.model", "ab") as stream:
        stream.write(b"\x1a\x00")
    assert "the model was trained with" in told(tmp_path / "vocabulary")
    shutil.copytree(classifier, tmp_path / "task")
    config = json.loads((tmp_path / "task" / "config.json").read_text())
    config["head"]["task"] = "clasification"
    (tmp_path / "task" / "config.json").write_text(json.dumps(config))
    assert "did you mean 'classification'" in told(tmp_path / "task")


GLUE = {  # the test files as published: header, two rows, what is to be said of the columns
    "cola": (HEAD, "index\tsentence\n0\tThey drank.\n1\tThem drank.\n", ["--text-column", "sentence"]),
    "qqp": (HEAD, "id\tquestion1\tquestion2\n0\tWhy?\t\n1\tWho\tWhen\n", []),
    "sts-b": (
        PAIR,
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\n"
        '0\tg\tf\ty\t1\ts\tt\tA "plane".\tB\n1\tg\tf\ty\t2\ts\tt\tC\tD\n',
        [],
    ),
}


@pytest.mark.parametrize("name", GLUE)
def test_the_test_files_of_glue_are_answered_in_its_own_format(saved, tmp_path, name):
    head, content, columns = GLUE[name]
    known = DATA_SETS[name]
    classes = None if known.classes is None else list(known.classes)
    head = head | {"data_set": name, "classes": classes, "columns": dataclasses.asdict(known.columns)}
    model = saved(head)
    (tmp_path / "test.tsv").write_text(content)
    given = ["--model", model, "--input", tmp_path / "test.tsv", "--output", tmp_path / "out.tsv", *columns]
    assert run(*given, "--output-format", "glue") == 0
    lines = [line.split("\t") for line in (tmp_path / "out.tsv").read_text().splitlines()]
    assert lines[0] == ["index", "prediction"]
    assert [line[0] for line in lines[1:]] == ["0", "1"]
    if classes is None:
        assert all(abs(float(line[1])) < 100 for line in lines[1:])
    else:
        assert {line[1] for line in lines[1:]} <= set(classes)


def test_a_submission_lacks_no_row(saved, tmp_path, capsys):
    columns = dataclasses.asdict(DATA_SETS["sst-2"].columns)
    model = saved(HEAD | {"data_set": "sst-2", "classes": ["0", "1"], "columns": columns})
    (tmp_path / "test.tsv").write_text("index\tsentence\n0\ta\n1\t \n2\tb\n")
    given = ["--model", model, "--input", tmp_path / "test.tsv", "--output", tmp_path / "out.tsv"]
    assert run(*given, "--output-format", "glue") == 2
    assert "test.tsv:3: column 'sentence' is empty" in capsys.readouterr().err
    assert not (tmp_path / "out.tsv").exists()


SPAN = {
    "task": "question-answering",
    "data_set": "squad2",
    "sequence_length": 64,
    "stride": 24,
    "question_length": 16,
    "answer_length": 10,
    "best_answers": 3,
    "start_top": 3,
    "end_top": 2,
    "null_threshold": 0.0,
}


def test_questions_have_their_best_answers_whatever_the_length_of_a_batch(saved, tmp_path):
    model = saved(SPAN)
    records = [
        {"id": "a", "question": "Who left?", "context": "She said that she would not, and left."},
        {"id": "b", "question": "How many words?", "context": "There are many words here. " * 12},
        {"id": "b", "question": "What?", "context": "Nothing much happened on that day in June."},
    ]
    rows = [json.dumps(record) for record in records]
    rows[1:1] = [json.dumps({"id": "x", "question": "Why?"} | more) for more in ({}, {"context": "\u200b"})]
    (tmp_path / "in.jsonl").write_text("\n".join(rows))
    given = ["--model", model, "--input", tmp_path / "in.jsonl", "--output", tmp_path / "o.jsonl"]
    assert run(*given, "--keep", "id", "--batch-size", 1) == 0
    predictor = Predictor.load(model)
    examples = predictor.task.parse(records, path="")
    features = predictor.features(examples)
    expected = predictor.task.answers(examples, features, predictor.outputs(features.inputs, batch_size=8))
    found = lines_of(tmp_path / "o.jsonl")
    assert [line["id"] for line in found] == ["a", "b", "b"]
    for line, answer, record in zip(found, expected, records, strict=True):
        assert [best["text"] for best in line["answers"]] == [best["text"] for best in answer["answers"]]
        for best in line["answers"]:
            assert record["context"][best["start"] : best["end"]] == best["text"]
        np.testing.assert_allclose(line["null_odds"], answer["null_odds"], atol=1e-4)
    assert (features.inputs["padding"] == 0).sum(axis=1).min() < 32  # some rows were cut
    assert [letter["line"] for letter in lines_of(tmp_path / "o.jsonl.dead-letters.jsonl")] == [2, 3]


def test_the_header_of_a_table_has_a_cell_a_column(saved, tmp_path):
    model = saved(HEAD | {"classes": ["a\tb", "c", "d\n"]})
    (tmp_path / "in.txt").write_text("a\n")
    assert run("--model", model, "--input", tmp_path / "in.txt", "--output", tmp_path / "o.tsv") == 0
    header, row = (tmp_path / "o.tsv").read_text().splitlines()
    assert header.split("\t") == ["line", "predicted", "probability a b", "probability c", "probability d"]
    assert row.count("\t") == 4
