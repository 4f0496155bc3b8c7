import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipelines import predict as job
from pipelines.makers import Answers, VectorMaker
from xlnet import cli, storage
from xlnet.errors import UserError
from xlnet.serving.embedding import Embedder
from xlnet.serving.settings import EmbeddingSettings, PredictionSettings
from xlnet.tasks.predictor import Predictor

pytestmark = pytest.mark.slow

HEAD = {
    "task": "classification",
    "data_set": None,
    "classes": ["a", "b", "c"],
    "summary": "last",
    "projection": True,
    "sequence_length": 24,
    "columns": {"text": "text", "pair": None, "label": "label", "header": None},
}
TEXTS = [f"Text {number} is about {'many ' * (number % 7)}things." for number in range(40)]


@pytest.fixture(scope="module")
def classifier(saved):
    return saved(HEAD)


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """Two tables of 20 rows each in several splits, one of them with two rows that cannot be used."""
    for half in (0, 1):
        rows = [f"{text}\tn{number}" for number, text in enumerate(TEXTS)][20 * half : 20 * half + 20]
        if half:
            rows[3:3] = ["one cell", " \tempty"]
        (tmp_path / f"in-{half}.tsv").write_text("\n".join(["text\tid", *rows]) + "\n")
    monkeypatch.setattr(job, "SPLIT", 200)
    monkeypatch.setattr(job, "BLOCK", 500)
    return str(tmp_path / "in-*.tsv")


def lines_of(path):
    return [json.loads(line) for line in storage.read_bytes(path).splitlines()]


def test_a_corpus_is_answered_part_by_part_with_nothing_lost(classifier, corpus, tmp_path, capsys):
    output = str(tmp_path / "out")
    words = ["predict", "--model", classifier, "--input", corpus, "--output", output, "--keep", "id", "--workers", "1"]
    assert cli.main([*words, "--batch-size", "8"]) == 0
    assert "dead letters" in capsys.readouterr().out
    summary = storage.read_json(f"{output}/summary.json")
    assert (summary["rows"], summary["dead_letters"]) == (40, 2)
    parts = [part["part"] for part in summary["parts"]]
    assert len(parts) > 6
    assert parts == [name for name in storage.list_folder(output) if name.startswith("part-")]
    assert all(storage.sha256(f"{output}/{part['part']}") == part["sha256"] for part in summary["parts"])
    found = [line for part in parts for line in lines_of(f"{output}/{part}")]
    assert [line["id"] for line in found] == [f"n{number}" for number in range(40)]
    expected = Predictor.load(classifier).predict(TEXTS)
    probabilities = [[line["probabilities"][name] for name in "abc"] for line in found]
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    first = next(part for part in summary["parts"] if part["rows"])
    content = storage.read_bytes(first["file"])
    assert content[lines_of(f"{output}/{first['part']}")[0]["offset"] :].startswith(TEXTS[0].encode())
    dead = [name for name in storage.list_folder(output) if name.startswith("dead-letters-")]
    letters = [letter for name in dead for letter in lines_of(f"{output}/{name}")]
    assert [(letter["file"][-8:], letter["content"]) for letter in letters] == [
        ("in-1.tsv", "one cell"),
        ("in-1.tsv", " \tempty"),
    ]
    for letter in letters:
        assert storage.read_bytes(letter["file"])[letter["offset"] :].startswith(letter["content"].encode())
    with pytest.raises(UserError, match="already holds something"):
        job.run(maker=Answers(classifier, PredictionSettings()), inputs=corpus, output=output)


def test_a_corpus_is_embedded_to_parquet(pretrained, corpus, tmp_path):
    output = str(tmp_path / "out")
    settings = EmbeddingSettings(unit="word", batch_size=8)
    summary = job.run(maker=VectorMaker(pretrained, settings, kept=("id",)), inputs=corpus, output=output)
    assert (summary["rows"], summary["dead_letters"]) == (40, 2)
    tables = [pq.read_table(f"{output}/{part['part']}") for part in summary["parts"]]
    vectors = np.concatenate([np.stack(table["vectors"].to_numpy()) for table in tables if table.num_rows])
    expected = Embedder.load(pretrained, settings).embed(TEXTS)
    np.testing.assert_allclose(vectors, expected.vectors, atol=1e-5)
    ids = [owner for table in tables for owner in table["id"].to_pylist()]
    assert ids == [f"n{row}" for row in expected.row]


def test_a_job_that_cannot_be_leaves_nothing(classifier, tmp_path):
    (tmp_path / "bad.jsonl").write_text("x\n")
    maker = Answers(classifier, PredictionSettings())
    with pytest.raises(UserError, match=r"none of 1 rows could be used; .*bad.jsonl: not JSON"):
        job.run(maker=maker, inputs=str(tmp_path / "bad.jsonl"), output=str(tmp_path / "out"))
    (tmp_path / "in.tsv").write_text("a\tb\n1\t2\n")
    with pytest.raises(UserError, match="no column 'text'; found: 'a', 'b'"):
        job.run(maker=maker, inputs=str(tmp_path / "in.tsv"), output=str(tmp_path / "out"))
    with pytest.raises(UserError, match="Dataflow needs project, region, temp_location"):
        job.run(maker=maker, inputs="gs://b/x", output="gs://b/out", options=["--runner=DataflowRunner"])
    assert not (tmp_path / "out").exists()
