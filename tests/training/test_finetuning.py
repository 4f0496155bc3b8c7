import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from xlnet import storage, vocab
from xlnet.errors import UserError
from xlnet.model.checkpoints import save_model
from xlnet.model.config import ModelConfig
from xlnet.tasks.classification import Classification
from xlnet.tasks.predictor import Predictor
from xlnet.training.finetuning import finetune
from xlnet.training.finetuning_settings import FinetuningSettings
from xlnet.training.length_buckets import BatchPlan

GOOD, BAD = ["fine", "great", "lovely"], ["awful", "poor", "sad"]
FILLER = ["the", "film", "is", "and", "we", "saw", "it", "again", "music", "story"]
TINY = ModelConfig(layers=1, model_dim=16, heads=2, head_dim=8, feedforward_dim=32, dropout=0.0, attention_dropout=0.0)
QUICK = FinetuningSettings(sequence_length=16, batch_size=16, learning_rate=1e-2, epochs=8, jit_compile=False)


def sentence(draw, word, *, filler=6):
    words = [*draw.choices(FILLER, k=filler), word]
    draw.shuffle(words)
    return " ".join(words)


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vocabulary")
    draw = random.Random(0)
    words = GOOD + BAD + FILLER
    (folder / "text.txt").write_text("".join(" ".join(draw.choices(words, k=8)) + "\n" for _ in range(400)))
    settings = vocab.VocabularySettings(size=50)
    vocab.train([str(folder / "text.txt")], str(folder / "spiece.model"), settings=settings)
    return str(folder / "spiece.model")


def write(path, rows):
    path.write_text("".join("\t".join(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    draw = random.Random(1)

    def rows(count):
        labels = [draw.choice(["good", "bad"]) for _ in range(count)]
        return [(sentence(draw, draw.choice(GOOD if label == "good" else BAD)), label) for label in labels]

    header = [("text", "label")]
    return {
        "train": write(folder / "train.tsv", header + rows(200)),
        "dev": write(folder / "dev.tsv", header + rows(50)),
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory, vocabulary, data):
    output = str(tmp_path_factory.mktemp("run") / "out")
    settings = replace(QUICK, jit_compile=True)
    summary = finetune(
        **data, output=output, vocabulary=vocabulary, model_config=TINY, settings=settings, progress=False
    )
    return output, summary


def metrics(output):
    return [json.loads(line) for line in Path(output, "metrics.jsonl").read_text().splitlines()]


def test_words_that_decide_the_class_are_learned(run):
    _, summary = run
    assert summary["dev_accuracy"] == 1.0
    assert summary["steps"] == QUICK.epochs * (200 // 16)
    assert summary["classes"] == ["bad", "good"]
    assert summary["loss"] < 0.3


def test_the_output_holds_metrics_and_a_model_that_predicts(run):
    output, summary = run
    lines = metrics(output)
    steps = [line for line in lines if "loss" in line]
    assert [line["step"] for line in steps] == list(range(1, summary["steps"] + 1))
    assert steps[0]["learning_rate"] < steps[10]["learning_rate"] > steps[-1]["learning_rate"]
    assert sum("dev_accuracy" in line for line in lines) == QUICK.epochs
    assert storage.read_json(f"{output}/summary.json") == summary
    assert storage.match([f"{output}/tensorboard/events*"])
    predictor = Predictor.load(f"{output}/model")
    found = predictor.predict(["the film is great and we saw it", "poor music"])
    assert found.argmax(axis=1).tolist() == [1, 0]
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_the_losses_of_all_lines_are_those_of_single_steps(run):
    lines = metrics(run[0])
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[0] == pytest.approx(np.log(2), abs=0.05)  # a fresh model knows nothing
    assert all(loss > 0 for loss in losses)


def weights(output):
    return load_file(f"{output}/model/model.safetensors")


def test_same_seed_same_weights(tmp_path, vocabulary, data):
    for name in "ab":
        finetune(
            train=data["train"],
            output=str(tmp_path / name),
            vocabulary=vocabulary,
            model_config=TINY,
            settings=replace(QUICK, steps=5, dropout=0.1, seed=3),
            progress=False,
        )
    first, again = (weights(tmp_path / name) for name in "ab")
    assert all((first[name] == again[name]).all() for name in first)


def test_the_best_epoch_is_kept_when_a_later_one_is_worse(tmp_path, vocabulary, data, monkeypatch):
    accuracies = iter([0.5, 0.9, 0.9, 0.6])
    kept = []

    def outputs(predictor, inputs, **options):
        kept.append(predictor.model.get_weights())

    def measure(task, examples, features, outputs):
        accuracy = next(accuracies)
        return {"metrics": {"accuracy": accuracy}, "loss": 1 - accuracy + 0.01 * len(kept)}

    monkeypatch.setattr(Predictor, "outputs", outputs)
    monkeypatch.setattr(Classification, "measure", measure)
    summary = finetune(
        **data,
        output=str(tmp_path / "out"),
        vocabulary=vocabulary,
        model_config=TINY,
        settings=replace(QUICK, epochs=4),
        progress=False,
    )
    assert (summary["best_epoch"], summary["dev_accuracy"]) == (2, 0.9)
    model = Predictor.load(str(tmp_path / "out" / "model")).model
    for found, best, last in zip(model.get_weights(), kept[1], kept[3], strict=True):
        assert (found == best).all()
        assert found.ndim != 2 or not (found == last).all()


def test_regression_learns_how_many_good_words_there_are(tmp_path, vocabulary):
    draw = random.Random(2)
    rows = []
    for _ in range(200):
        good = draw.randrange(3)
        words = [draw.choice(GOOD) for _ in range(good)] + [draw.choice(BAD) for _ in range(2 - good)]
        draw.shuffle(words)
        rows.append((f"the story is {words[0]} and {words[1]}", f"{good / 2}"))
    summary = finetune(
        train=write(tmp_path / "train.tsv", rows[:160]),
        dev=write(tmp_path / "dev.tsv", rows[160:]),
        output=str(tmp_path / "out"),
        vocabulary=vocabulary,
        model_config=TINY,
        settings=replace(QUICK, task="regression", text_column="0", label_column="1", epochs=10),
        progress=False,
    )
    assert summary["dev_pearson"] > 0.97
    assert summary["dev_mean_squared_error"] < 0.02
    assert summary["classes"] is None
    predicted = Predictor.load(str(tmp_path / "out" / "model")).predict(["fine and great", "awful and sad"])
    assert predicted.shape == (2,)
    assert predicted[0] > predicted[1] + 0.5


def test_pairs_are_told_apart_from_their_order(tmp_path, vocabulary):
    draw = random.Random(3)
    rows = []
    for _ in range(240):
        good, bad = draw.choice(GOOD), draw.choice(BAD)
        label = draw.choice(["first", "second"])
        texts = [sentence(draw, good, filler=2), sentence(draw, bad, filler=2)]
        rows.append((*(texts if label == "first" else texts[::-1]), label))
    summary = finetune(
        train=write(tmp_path / "train.tsv", [("a", "b", "better"), *rows[:200]]),
        dev=write(tmp_path / "dev.tsv", [("a", "b", "better"), *rows[200:]]),
        output=str(tmp_path / "out"),
        vocabulary=vocabulary,
        model_config=replace(TINY, layers=2, initializer_stddev=0.1),
        settings=replace(QUICK, text_column="a", pair_column="b", label_column="better", sequence_length=16, epochs=8),
        progress=False,
    )
    assert summary["dev_accuracy"] == 1.0
    with pytest.raises(UserError, match="the model takes pairs of texts"):
        Predictor.load(str(tmp_path / "out" / "model")).predict(["alone"])


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory, vocabulary):
    from xlnet.model.backbone import Backbone

    config = replace(TINY, vocab_size=50)
    directory = str(tmp_path_factory.mktemp("pretrained") / "model")
    text = {"lower": True, "keep_accents": False}
    save_model(
        directory, Backbone(config, seed=7), config=config, vocabulary=vocabulary, text=text, head=None, provenance={}
    )
    return directory


def test_a_model_directory_brings_weights_vocabulary_and_text_settings(tmp_path, data, pretrained):
    settings = replace(QUICK, steps=1, learning_rate=1e-9)
    output = str(tmp_path / "out")
    summary = finetune(train=data["train"], output=output, init=pretrained, settings=settings, progress=False)
    before, after = load_file(f"{pretrained}/model.safetensors"), weights(output)
    for name, value in before.items():
        np.testing.assert_allclose(after[name], value, atol=1e-7)
    assert all(not name.startswith("model/transformer") for name in summary["fresh_weights"])
    stored = storage.read_json(f"{output}/model/config.json")
    assert stored["text"] == {"lower": True, "keep_accents": False}
    assert stored["head"]["columns"] == {"text": "text", "pair": None, "label": "label", "header": None}


def test_fresh_takes_everything_but_the_weights(tmp_path, data, pretrained):
    settings = replace(QUICK, steps=1, learning_rate=1e-9)
    output = str(tmp_path / "out")
    finetune(train=data["train"], output=output, init=pretrained, fresh=True, settings=settings, progress=False)
    name = "model/transformer/layer_0/rel_attn/q/kernel"
    assert not np.allclose(weights(output)[name], load_file(f"{pretrained}/model.safetensors")[name], atol=1e-3)
    assert storage.read_json(f"{output}/model/config.json")["text"]["lower"] is True


def test_a_released_checkpoint_starts_a_run(tmp_path, golden):
    folder, vocabulary = golden("tiny_a"), golden("spiece.model")
    train = write(tmp_path / "train.tsv", [("a b", "x"), ("c d", "y")] * 4)
    settings = replace(QUICK, text_column="0", label_column="1", steps=1, summary="attn")
    with pytest.raises(UserError, match=r"has no spiece\.model beside it; pass --vocabulary"):
        finetune(train=train, output=str(tmp_path / "out"), init=str(folder), settings=settings)
    summary = finetune(
        train=train,
        output=str(tmp_path / "out"),
        init=str(folder / "xlnet_model.ckpt"),
        vocabulary=str(vocabulary),
        settings=settings,
        progress=False,
    )
    assert all(not name.startswith("model/transformer") for name in summary["fresh_weights"])


def test_another_vocabulary_than_the_models_is_refused_with_both_checksums(tmp_path, data, pretrained, golden):
    other = str(golden("spiece.model"))
    with pytest.raises(UserError, match=r"the vocabulary .* has the SHA-256") as caught:
        finetune(train=data["train"], output=str(tmp_path / "out"), init=pretrained, vocabulary=other, settings=QUICK)
    assert storage.sha256(other) in str(caught.value)
    assert storage.sha256(f"{pretrained}/spiece.model") in str(caught.value)


def test_nothing_is_left_behind_by_what_the_user_can_mend(tmp_path, vocabulary, data):
    start = {"vocabulary": vocabulary, "model_config": TINY, "settings": QUICK, "progress": False}
    output = str(tmp_path / "runs" / "out")
    unknown = write(tmp_path / "dev.tsv", [("text", "label"), ("a", "good"), ("b", "meh")])
    with pytest.raises(UserError, match=r"dev\.tsv:3: the label 'meh' is unknown to the model; it knows 'bad', 'good'"):
        finetune(train=data["train"], dev=unknown, output=output, **start)
    with pytest.raises(UserError, match=r"train\.tsv:2: the label '\w+' is not a number"):
        finetune(train=data["train"], output=output, **start | {"settings": replace(QUICK, task="regression")})
    with pytest.raises(UserError, match="nothing to start from"):
        finetune(train=data["train"], output=output, settings=QUICK)
    huge = replace(QUICK, learning_rate=1e30, warmup_fraction=0.0)
    assert not tmp_path.joinpath("runs").exists()
    with pytest.raises(UserError, match="10 steps in a row had a loss or gradient that is not finite"):
        finetune(train=data["train"], output=output, **start | {"settings": huge})
    assert storage.match([f"{output}/skipped/*.npz"])
    tmp_path.joinpath("taken").mkdir()
    tmp_path.joinpath("taken", "file").touch()
    with pytest.raises(UserError, match="already holds something"):
        finetune(train=data["train"], output=str(tmp_path / "taken"), **start)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("task", "ranking"),
        ("summary", "max"),
        ("sequence_length", 4),
        ("epochs", 0),
        ("steps", 0),
        ("batch_size", 0),
        ("warmup_fraction", 1.5),
        ("dropout", 1.0),
        ("decay", "step"),
        ("learning_rate", 0.0),
        ("seed", -1),
        ("accumulation_steps", 0),
        ("lora_rank", -1),
        ("length_buckets", 0),
        ("precision", "int8"),
        ("layer_decay", 0.0),
    ],
)
def test_a_setting_out_of_range_is_named(name, value):
    with pytest.raises(UserError, match=f"{name} is {value!r}, wanted is"):
        replace(QUICK, **{name: value})


def test_batches_use_every_example_once_a_pass_and_depend_on_the_seed():
    def taken(seed):
        plan = BatchPlan(np.full(10, 3), size=4, seed=seed, buckets=[8])
        return [row for step in range(5) for row in plan[step].rows.tolist()]

    first = taken(0)
    assert sorted(first[:10]) == sorted(first[10:]) == list(range(10))
    assert first[:10] != first[10:]
    assert first == taken(0) != taken(1)
