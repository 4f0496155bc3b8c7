import json

import keras
import numpy as np
import pyarrow.parquet as pq
import pytest

from xlnet import cli, storage
from xlnet.errors import UserError
from xlnet.model.backbone import Backbone
from xlnet.model.checkpoints import load_weights
from xlnet.serving.embedding import Embedder, mix, pooled
from xlnet.serving.settings import EmbeddingSettings
from xlnet.tasks.features import features
from xlnet.tasks.predictor import load_tokenizer

TEXTS = [
    "A first text, with 1,000 numbers.",
    "Short.",
    'She said: "I would (rather) not" - and left.',
    "word " * 40,
    "Many and many a year ago in a kingdom by the sea.",
]


@pytest.fixture(scope="module")
def backbone(pretrained, tiny):
    backbone = Backbone(tiny)
    load_weights(backbone, pretrained)
    return backbone


@pytest.fixture(scope="module")
def embedder(pretrained, backbone):
    """Makes embedders; those of the same layers share what is compiled."""
    tokenizer = load_tokenizer(pretrained)
    models = {}

    def make(**settings):
        made = Embedder(backbone, tokenizer, EmbeddingSettings(**settings))
        made.model = models.setdefault(made.settings.layers, made.model)
        return made

    return make


def hidden_of(embedder, text, backbone, layer):
    """The pieces' vectors of a text on its own, without padding, straight from the backbone."""
    count = len(embedder.tokenizer.encode(text))
    inputs = features(embedder.tokenizer, [text], sequence_length=max(8, count + 2))
    own = inputs["padding"][0] == 0
    pieces, segments = (inputs[name][:, own] for name in ("pieces", "segments"))
    last, before = backbone(pieces, segments, memory_length=1000)
    return keras.ops.convert_to_numpy([*before, last][layer])[0]


@pytest.mark.parametrize("layer", [0, 1, -1])
def test_pieces_have_the_vectors_that_the_layer_gives_to_the_text_alone(embedder, backbone, layer):
    made = embedder(unit="piece", layers=str(layer), batch_size=5)
    found = made.embed(TEXTS)
    for number, text in enumerate(TEXTS):
        expected = hidden_of(made, text, backbone, layer)[:-2]
        np.testing.assert_allclose(found.vectors[found.row == number], expected, atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "max", "first", "last", "cls"])
def test_texts_are_pooled_as_asked(embedder, backbone, pooling):
    made = embedder(pooling=pooling, batch_size=5)
    found = made.embed(TEXTS)
    assert found.row.tolist() == [0, 1, 2, 3, 4]
    pool = {
        "mean": lambda hidden: hidden[:-2].mean(axis=0),
        "max": lambda hidden: hidden[:-2].max(axis=0),
        "first": lambda hidden: hidden[0],
        "last": lambda hidden: hidden[-3],
        "cls": lambda hidden: hidden[-1],
    }[pooling]
    expected = [pool(hidden_of(made, text, backbone, -1)) for text in TEXTS]
    np.testing.assert_allclose(found.vectors, expected, atol=1e-5)


@pytest.mark.parametrize("unit", ["text", "word", "piece"])
def test_vectors_depend_neither_on_the_batch_size_nor_on_what_is_beside_them(embedder, unit):
    one_by_one = embedder(unit=unit, batch_size=1).embed(TEXTS)
    together = embedder(unit=unit, batch_size=5).embed(TEXTS)
    other_way = embedder(unit=unit, batch_size=5).embed(TEXTS[::-1])
    np.testing.assert_allclose(one_by_one.vectors, together.vectors, atol=1e-5)
    back = np.argsort(len(TEXTS) - 1 - other_way.row, kind="stable")
    np.testing.assert_allclose(one_by_one.vectors, other_way.vectors[back], atol=1e-5)
    assert np.abs(one_by_one.vectors).max() > 0.1


def test_a_mix_of_layers_is_their_weighted_sum(embedder):
    layers = [embedder(layers=str(layer), batch_size=5).embed(TEXTS).vectors for layer in (0, 1, -1)]
    mixed = embedder(layers="1,2", batch_size=5).embed(TEXTS).vectors
    np.testing.assert_allclose(mixed, (layers[1] + layers[2]) / 2, atol=1e-5)
    mixed = embedder(layers="0:0.2,-1:0.8", batch_size=5).embed(TEXTS).vectors
    np.testing.assert_allclose(mixed, 0.2 * layers[0] + 0.8 * layers[2], atol=1e-5)


def test_words_and_pieces_lie_where_they_stand_in_the_text(embedder):
    text = TEXTS[2]
    found = embedder(unit="word", batch_size=1).embed([text])
    words = [text[start:end] for start, end in zip(found.starts, found.ends, strict=True)]
    assert words[:4] == ["She", "said", ":", '"I'] or words[:5] == ["She", "said", ":", '"', "I"]
    assert "".join(words) == text.replace(" ", "")
    pieces = embedder(unit="piece", batch_size=1).embed([text])
    assert "".join(text[a:b] for a, b in zip(pieces.starts, pieces.ends, strict=True)) == text.replace(" ", "")
    assert len(pieces.row) > len(found.row)


def test_a_word_is_pooled_from_its_own_pieces(embedder):
    pieces, words = (embedder(unit=unit, batch_size=5).embed(TEXTS) for unit in ("piece", "word"))
    for row, start, end, vector in zip(*words, strict=True):
        own = (pieces.row == row) & (pieces.starts >= start) & (pieces.ends <= end)
        np.testing.assert_allclose(vector, pieces.vectors[own].mean(axis=0), atol=1e-5)


def test_a_long_text_is_read_in_windows_and_each_piece_comes_from_the_window_that_shows_most_around_it(
    embedder, backbone
):
    made = embedder(unit="piece", sequence_length=12, stride=5, batch_size=5)
    ids = made.tokenizer.encode(TEXTS[4])
    assert 10 < len(ids) <= 20
    found = made.embed([TEXTS[4]])
    for start in range(0, len(ids) - 10, 5):
        window = backbone(np.array([[*ids[start : start + 10], 4, 3]]), np.array([[0] * 11 + [2]]))[0]
        middle = slice(0 if start == 0 else 3, 7)
        np.testing.assert_allclose(
            found.vectors[start:][middle], keras.ops.convert_to_numpy(window)[0][middle], atol=1e-5
        )


def test_few_shapes_are_compiled(pretrained, backbone, monkeypatch):
    made = Embedder(backbone, load_tokenizer(pretrained), EmbeddingSettings(batch_size=4))
    shapes = set()
    monkeypatch.setattr(
        made.model,
        "predict_on_batch",
        lambda inputs: (shapes.add(inputs["pieces"].shape), np.zeros((*inputs["pieces"].shape, 16), np.float32))[1],
    )
    made.embed(["word " * count for count in range(1, 200)])
    assert shapes == {(4, length) for length in (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)} & shapes
    assert len(shapes) >= 8


def test_groups_are_pooled_apart():
    pieces = np.array([[1, 8], [3, 2], [5, 5]], np.float32)
    assert pooled(pieces, np.array([0, 2]), "mean").tolist() == [[2, 5], [5, 5]]
    assert pooled(pieces, np.array([0, 2]), "max").tolist() == [[3, 8], [5, 5]]
    assert pooled(pieces, np.array([0, 2]), "last").tolist() == [[3, 2], [5, 5]]


def test_layers_as_they_are_written():
    assert mix("-1", count=12) == {12: 1.0}
    assert mix("0,12", count=12) == {0: 0.5, 12: 0.5}
    assert mix("11:0.3,-1:0.7", count=12) == {11: 0.3, 12: 0.7}
    for wrong in ("13", "-14", "x", "1:0.5,2", "1:x", "", "1:nan"):
        with pytest.raises(UserError, match="layers is"):
            mix(wrong, count=12)


def test_settings_that_cannot_be():
    with pytest.raises(UserError, match="did you mean 'word'"):
        EmbeddingSettings(unit="words")
    with pytest.raises(UserError, match="pooling is 'cls', which a word has not"):
        EmbeddingSettings(unit="word", pooling="cls")
    with pytest.raises(UserError, match="batch_size is 0"):
        EmbeddingSettings(batch_size=0)


def run(*words):
    return cli.main(["embed", *map(str, words)])


def test_the_command_writes_npz_and_parquet_with_the_rows_that_could_be_used(pretrained, tmp_path, embedder, capsys):
    rows = [json.dumps({"text": text, "id": f"n{number}"}) for number, text in enumerate(TEXTS)]
    rows[2:2] = ["broken", json.dumps({"text": "\u0301", "id": "x"})]
    (tmp_path / "in.jsonl").write_text("\n".join(rows) + "\n")
    given = ["--model", pretrained, "--input", tmp_path / "in.jsonl"]
    assert run(*given, "--output", tmp_path / "out.npz", "--batch-size", 5) == 0
    found = np.load(tmp_path / "out.npz")
    assert found["line"].tolist() == [1, 2, 5, 6, 7]
    np.testing.assert_allclose(found["vectors"], embedder(batch_size=5).embed(TEXTS).vectors, atol=1e-5)
    dead = [json.loads(line) for line in (tmp_path / "out.npz.dead-letters.jsonl").read_text().splitlines()]
    assert [(letter["line"], letter["reason"].partition(":")[0]) for letter in dead] == [
        (3, "not JSON"),
        (4, "text is empty, or nothing is left of it when it is normalised"),
    ]
    assert "dead letters" in capsys.readouterr().out
    assert run(*given, "--output", tmp_path / "out.parquet", "--unit", "word", "--keep", "id", "--batch-size", 5) == 0
    table = pq.read_table(tmp_path / "out.parquet")
    words = embedder(unit="word", batch_size=5).embed(TEXTS)
    np.testing.assert_allclose(np.stack(table["vectors"].to_numpy()), words.vectors, atol=1e-5)
    assert table["id"].to_pylist() == [f"n{row}" for row in words.row]
    first = [
        text for text, owner in zip(table["unit"].to_pylist(), table["id"].to_pylist(), strict=True) if owner == "n1"
    ]
    assert first == ["Short", "."]
    before = storage.sha256(str(tmp_path / "out.parquet"))
    assert run(*given, "--output", tmp_path / "out.parquet", "--unit", "word", "--keep", "id", "--batch-size", 5) == 0
    assert storage.sha256(str(tmp_path / "out.parquet")) == before


OWN = json.dumps({"text": "a text", "line": 7, "id": 1})


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--input", "none.txt", "--output", "o.npz"], "none.txt does not exist"),
        (["--input", "in.txt", "--output", "o.bin"], "vectors are written as .npz or .parquet"),
        (["--input", "in.txt", "--output", "o.npz", "--layers", "7"], "the model has layers 0"),
        (["--input", "in.txt", "--output", "o.parquet", "--keep", "id"], "lines of text have no column 'id'"),
        (["--input", "in.bin", "--output", "o.npz"], "tells no format"),
        (
            ["--input", "own.jsonl", "--output", "o.parquet", "--keep", "line"],
            "keep names 'line', which another column",
        ),
        (["--input", "own.jsonl", "--output", "o.parquet", "--keep", "id,id"], "keep names 'id', which another column"),
        (["--input", "empty.txt", "--output", "o.npz"], "empty.txt holds no rows"),
        (["--input", "bad.jsonl", "--output", "o.npz"], "bad.jsonl:1: not JSON"),
    ],
)
def test_what_the_user_can_mend_is_told_in_a_line(pretrained, tmp_path, monkeypatch, capsys, words, told):
    monkeypatch.chdir(tmp_path)
    for name, content in {
        "in.txt": "a text\n",
        "in.bin": "a text\n",
        "empty.txt": "\n",
        "bad.jsonl": "x\n",
        "own.jsonl": OWN,
    }.items():
        (tmp_path / name).write_text(content)
    assert run("--model", pretrained, *words) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "o.npz").exists()
