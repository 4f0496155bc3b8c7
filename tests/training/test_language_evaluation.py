"""What a pretrained model loses on held-out text: every piece once, in characters too, whatever the batch."""

import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file

from xlnet import cli
from xlnet.corpus import layouts
from xlnet.corpus.manifest import Manifest
from xlnet.errors import UserError
from xlnet.model.backbone import Backbone
from xlnet.model.checkpoints import save_model
from xlnet.model.config import ModelConfig
from xlnet.model.heads import LanguageModelHead
from xlnet.text import Tokenizer
from xlnet.training.devices import Devices
from xlnet.training.held_out import HeldOut
from xlnet.training.language_evaluation import characters_of_pieces, evaluate_language_model
from xlnet.training.pretrainer import Pretrainer
from xlnet.training.pretraining import pretrain
from xlnet.training.settings import PretrainingSettings

CONFIG = ModelConfig(
    vocab_size=500, layers=2, model_dim=16, heads=2, head_dim=8, feedforward_dim=32, initializer_stddev=0.3
)
CAUSAL = dataclasses.replace(CONFIG, attention="uni")
TRAINED = dataclasses.replace(CONFIG, model_dim=32, head_dim=16, initializer_stddev=0.1)
RUN = PretrainingSettings(
    objective="causal",
    batch_size=4,
    steps=10,
    memory_length=12,
    learning_rate=1e-2,
    warmup_steps=2,
    accumulation_steps=2,
    jit_compile=False,
    log_interval=5,
    validation_interval=10,
    checkpoint_interval=5,
)


def save(directory, config, vocabulary, *, memory_length=16) -> str:
    backbone = Backbone(config, seed=5)
    save_model(
        str(directory),
        keras.Sequential([backbone, LanguageModelHead(backbone)]),
        config=config,
        vocabulary=vocabulary,
        text={"lower": False, "keep_accents": False},
        head=None,
        provenance={} if memory_length is None else {"pretraining": {"memory_length": memory_length}},
    )
    return str(directory)


@pytest.fixture(scope="module")
def models(vocabulary, tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("models")
    return {name: save(folder / name, each, vocabulary) for name, each in (("causal", CAUSAL), ("permutation", CONFIG))}


def measure(model: str, data: str, **options):
    return evaluate_language_model(model=model, data=data, jit_compile=False, progress=False, **options)


@pytest.fixture(scope="module")
def measured(models, small_data):
    return measure(models["causal"], small_data)


def test_every_piece_of_the_stream_is_predicted_once_in_each_direction(measured, small_data, small_corpus):
    windows = sum(shard.records for shard in Manifest.read(small_data).shards)
    assert measured["pieces"] == windows * small_corpus.reuse_length
    assert measured["forward"]["pieces"] == measured["backward"]["pieces"] == measured["pieces"] / 2
    assert measured["loss"] == measured["nats_per_piece"]
    assert measured["segment_length"] == small_corpus.reuse_length
    assert measured["memory_length"] == 16


def test_characters_are_those_of_the_text(measured, small_data, vocabulary):
    manifest, tokenizer = Manifest.read(small_data), Tokenizer(vocabulary)
    characters = unknown = 0
    for shard in manifest.shards:
        for number, record in enumerate(layouts.read(f"{small_data}/{shard.file}", manifest.settings)):
            if number % 2 == 0:  # forward
                unknown += int((record["input"][1:17] == 0).sum())
                pieces = [int(piece) for piece in record["input"][1:17] if piece > 8]
                characters += len(tokenizer.decode(pieces)) + tokenizer.piece(pieces[0]).startswith("▁")
    characters += unknown
    assert measured["forward"]["unknown_pieces"] == unknown
    assert measured["forward"]["characters"] == characters
    bits = measured["forward"]["bits_per_piece"] * measured["forward"]["pieces"]
    assert measured["forward"]["bits_per_character"] == pytest.approx(bits / characters)
    assert measured["perplexity"] == pytest.approx(np.exp(measured["nats_per_piece"]))


def test_special_pieces_are_no_characters_and_an_unknown_piece_is_one(vocabulary):
    assert characters_of_pieces(Tokenizer(vocabulary))[:9].tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0]


def test_results_do_not_depend_on_the_batch_but_on_the_memory(models, measured, small_data):
    few = measure(models["causal"], small_data, batch_size=6)
    assert few["nats_per_piece"] == pytest.approx(measured["nats_per_piece"], rel=1e-6)
    longer = measure(models["causal"], small_data, memory_length=64)
    assert abs(longer["nats_per_piece"] - measured["nats_per_piece"]) > 1e-5
    assert longer["pieces"] == measured["pieces"]


def test_a_permutation_model_loses_what_pretraining_reports(models, held_out_data, vocabulary):
    found = measure(models["permutation"], held_out_data)
    backbone = Backbone(CONFIG, bidirectional=True, seed=5)
    manifest = Manifest.read(held_out_data)
    about = {"corpus": manifest.settings, "rows": 4, "memory_length": 16}
    trainer = Pretrainer(backbone, LanguageModelHead(backbone), **about)
    told = {"trainer": trainer, "manifest": manifest, "devices": Devices()}
    held_out = HeldOut(held_out_data, **told, jit_compile=False)
    assert found["nats_per_piece"] == pytest.approx(held_out.measure()["validation_loss"], rel=1e-5)
    assert "not the perplexity of a text" in found["measure"]
    assert "bits_per_character" not in found
    assert found["pieces"] == 6 * sum(shard.records for shard in manifest.shards)


def test_files_of_the_original_are_read_as_a_stream_too(golden, tmp_path):
    data = tmp_path / "original"
    shutil.copytree(golden("tfrecords/cased/corpus_info.json").parent, data)
    shutil.copy(golden("spiece.model"), data)
    config = dataclasses.replace(CAUSAL, vocab_size=2000)
    model = save(tmp_path / "model", config, str(golden("spiece.model")))
    found = measure(model, str(data), memory_length=8)
    assert found["segment_length"] == 32
    assert found["pieces"] > 0
    assert found["pieces"] % 64 == 0
    assert 0.5 < found["characters"] / found["pieces"] < 6


def test_the_command_tells_what_is_measured_and_leaves_it_in_a_file(models, measured, small_data, tmp_path, capsys):
    output = tmp_path / "out"
    words = ["evaluate", "--model", models["causal"], "--data", small_data, "--output", str(output)]
    assert cli.main(words) == 0
    shown = capsys.readouterr().out
    assert "every next piece of the text" in " ".join(shown.split())
    assert "bits per character" in shown
    written = json.loads((output / "evaluation.json").read_text())
    assert written["nats_per_piece"] == pytest.approx(measured["nats_per_piece"], rel=1e-5)


def test_what_does_not_fit_is_one_line(models, small_data, vocabulary, golden, tmp_path):
    with pytest.raises(UserError, match="batch_size is 0"):
        measure(models["causal"], small_data, batch_size=0)
    with pytest.raises(UserError, match="memory_length is -1"):
        measure(models["causal"], small_data, memory_length=-1)
    silent = save(tmp_path / "silent", CAUSAL, vocabulary, memory_length=None)
    with pytest.raises(UserError, match="how long a memory it was trained with; pass --memory-length"):
        measure(silent, small_data)
    foreign = save(tmp_path / "foreign", dataclasses.replace(CAUSAL, vocab_size=2000), str(golden("spiece.model")))
    with pytest.raises(UserError, match="made with the vocabulary"):
        measure(foreign, small_data)
    with pytest.raises(UserError, match="does not exist"):
        measure(str(tmp_path / "none"), small_data)


@pytest.fixture(scope="module")
def causal_run(small_data, tmp_path_factory):
    """A causal run of ten steps, with all that came on the way."""
    output = str(tmp_path_factory.mktemp("run") / "causal")
    return output, pretrain(data=small_data, validation=small_data, output=output, settings=RUN, model=TRAINED)


@pytest.mark.slow
def test_a_causal_run_learns_and_its_held_out_loss_is_what_evaluation_finds(causal_run, small_data):
    output, summary = causal_run
    assert summary["validation_loss"] < np.log(500) - 0.2
    assert summary["unigram_loss_own"] < summary["unigram_loss"]
    found = measure(f"{output}/model", small_data)
    assert found["nats_per_piece"] == pytest.approx(summary["validation_loss"], rel=1e-5)
    assert found["objective"] == "causal"
    assert found["memory_length"] == 12


@pytest.mark.slow
def test_a_causal_run_that_was_stopped_goes_on_to_the_same_weights(causal_run, small_data, tmp_path):
    whole, _ = causal_run
    stopped = tmp_path / "stopped"
    shutil.copytree(whole, stopped)
    for name in ("model", "checkpoints/step-00000010"):
        shutil.rmtree(stopped / name)
    (stopped / "summary.json").unlink()
    pretrain(data=small_data, validation=small_data, output=str(stopped), settings=RUN, model=TRAINED)
    one, other = (load_file(f"{folder}/model/model.safetensors") for folder in (whole, stopped))
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_a_run_of_another_objective_does_not_go_on(causal_run, small_data, tmp_path):
    stopped = tmp_path / "stopped"
    shutil.copytree(causal_run[0], stopped)
    (stopped / "summary.json").unlink()
    with pytest.raises(UserError, match=r"made with model\.attention 'uni', this run has 'bi'"):
        pretrain(
            data=small_data,
            output=str(stopped),
            settings=dataclasses.replace(RUN, objective="permutation"),
            model=TRAINED,
        )
