"""Reading on is reading from scratch, faster; and what is chosen follows from logits, settings and seed."""

import dataclasses
import io
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from xlnet import cli
from xlnet.errors import UserError
from xlnet.model.backbone import Backbone
from xlnet.model.checkpoints import save_model
from xlnet.model.config import ModelConfig
from xlnet.model.continuation import Continuation, ReadText
from xlnet.model.heads import LanguageModelHead
from xlnet.model.visibility import empty
from xlnet.serving.decoding import DecodingSettings, choose
from xlnet.serving.generation import Generator, prompt_pieces
from xlnet.text import Tokenizer

HERE = Path(__file__).resolve()
CONFIG = ModelConfig(
    vocab_size=500, layers=2, model_dim=16, heads=2, head_dim=8, feedforward_dim=32, initializer_stddev=0.4
)
CAUSAL = dataclasses.replace(CONFIG, attention="uni")
MODELS = {"causal": CAUSAL, "permutation": CONFIG, "tied": dataclasses.replace(CAUSAL, untie_biases=False)}


def from_scratch(backbone: Backbone, head: LanguageModelHead, pieces: np.ndarray) -> np.ndarray:
    """Logits [B, vocab] of what follows pieces [B, L], the whole of it read anew."""

    def read() -> Any:
        return head.logits(_last(backbone, pieces))[:, 0]

    if keras.backend.backend() == "jax":  # op by op takes minutes
        import jax

        read = jax.jit(read)
    return ops.convert_to_numpy(read())


def _last(backbone: Backbone, pieces: np.ndarray) -> Any:
    if backbone.config.attention == "uni":
        return backbone(pieces)[0][:, -1:]
    # A place more, which is a target and may be seen by nobody.
    rows, length = pieces.shape
    longer = np.concatenate([pieces, np.zeros((rows, 1), np.int32)], axis=1)
    earlier = np.tril(np.ones((length + 1, length + 1), bool))
    hidden, _ = backbone.two_stream(
        longer,
        visible=np.broadcast_to(earlier, (rows, length + 1, length + 1)),
        query_visible=np.broadcast_to(np.arange(length + 1) < length, (rows, 1, length + 1)),
        target_positions=np.full((rows, 1), length, np.int32),
        target_mask=np.ones((rows, 1), np.float32),
    )
    return hidden


@pytest.mark.parametrize("name", MODELS)
def test_reading_on_is_reading_from_scratch(name):
    backbone = Backbone(MODELS[name], seed=2)
    head = LanguageModelHead(backbone)
    pieces = np.random.default_rng(1).integers(9, 500, (2, 9)).astype(np.int32)
    text = ReadText(backbone, rows=2, memory_length=12, longest=4)
    by_length = {length: Continuation(backbone, head, text, length=length) for length in (4, 1)}
    for model in by_length.values():
        model.compile(jit_compile=keras.backend.backend() == "jax")
    place = 0
    for length in (4, 1, 4):
        found = by_length[length].predict_on_batch(pieces[:, place : place + length])
        place += length
        expected = from_scratch(backbone, head, pieces[:, :place])
        np.testing.assert_allclose(found, expected, atol=2e-5)
    text.forget()
    found = by_length[4].predict_on_batch(pieces[:, :4])
    np.testing.assert_allclose(found, from_scratch(backbone, head, pieces[:, :4]), atol=2e-5)


@pytest.mark.parametrize("same_length", [False, True])
def test_beyond_its_memory_a_text_is_read_as_training_reads_it(same_length):
    backbone = Backbone(dataclasses.replace(CAUSAL, same_length=same_length), seed=2)
    head = LanguageModelHead(backbone)
    pieces = np.random.default_rng(1).integers(9, 500, (1, 12)).astype(np.int32)
    text = ReadText(backbone, rows=1, memory_length=3, longest=4)
    by_length = {length: Continuation(backbone, head, text, length=length) for length in (4, 1)}
    memories = [np.zeros((1, 3, 16), np.float32)] * 2
    place = 0
    for length in (4, 1, 1, 1, 4, 1):
        part = pieces[:, place : place + length]
        place += length
        found = ops.convert_to_numpy(by_length[length](part))
        unused = empty([ops.convert_to_tensor(memory) for memory in memories])
        hidden, memories = backbone(part, memories=memories, memory_padding=unused, memory_length=3)
        np.testing.assert_allclose(found, ops.convert_to_numpy(head.logits(hidden[:, -1:]))[:, 0], atol=2e-5)


def save(directory: Path, config: ModelConfig, vocabulary: str, *, memory_length: int = 64, head=None) -> str:
    backbone = Backbone(config, seed=2)
    save_model(
        str(directory),
        keras.Sequential([backbone, LanguageModelHead(backbone)]),
        config=config,
        vocabulary=vocabulary,
        text={"lower": False, "keep_accents": False},
        head=head,
        provenance={"pretraining": {"memory_length": memory_length}},
    )
    return str(directory)


@pytest.fixture(scope="module")
def models(vocabulary, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {name: save(folder / name, MODELS[name], vocabulary) for name in ("causal", "permutation")}


@pytest.mark.parametrize("name", ["causal", "permutation"])
def test_the_likeliest_text_is_that_of_computing_all_from_scratch(models, vocabulary, name):
    settings = DecodingSettings(length=8, greedy=True)
    prompt = "The import statement combines two operations"
    text = Generator(models[name], settings, segment=4, jit_compile=False).generate(prompt)[0]
    backbone = Backbone(MODELS[name], seed=2)
    head = LanguageModelHead(backbone)
    pieces = prompt_pieces(prompt, Tokenizer(vocabulary))
    assert len(pieces) > 9, "more than a segment"
    for piece in text.pieces:
        logits = from_scratch(backbone, head, np.array([pieces], np.int32))
        assert int(choose(logits, settings, random=np.random.default_rng())[0]) == piece
        pieces.append(piece)


def test_the_seed_decides_and_samples_differ(models):
    def texts(seed: int) -> list[list[int]]:
        settings = DecodingSettings(length=12, samples=3, seed=seed, memory_length=20)
        generator = Generator(models["causal"], settings, jit_compile=False)
        return [text.pieces for text in generator.generate("A class")]

    first = texts(1)
    assert first == texts(1)
    assert first != texts(2)
    assert first[0] != first[1] != first[2]


def test_a_second_text_does_not_know_the_first(models):
    generator = Generator(models["causal"], DecodingSettings(length=6), segment=4, jit_compile=False)
    first = generator.generate("A class")
    generator.generate("Something else entirely")
    assert generator.generate("A class") == first


def test_prompts_begin_a_document_and_lines_are_paragraphs(vocabulary):
    tokenizer = Tokenizer(vocabulary)
    one, other = tokenizer.encode("A class"), tokenizer.encode("is made")
    assert prompt_pieces("", tokenizer) == [7]
    assert prompt_pieces("A class\n\nis made\n", tokenizer) == [7, *one, 8, *other]


LOGITS = np.log(np.array([[1e3] * 7 + [0.5, 4.0, 2.0, 1.0, 0.5]], np.float32))


def shares(settings: DecodingSettings) -> np.ndarray:
    random = np.random.default_rng(0)
    rows = np.repeat(LOGITS, 4000, axis=0)
    return np.bincount(choose(rows, settings, random=random), minlength=12) / 4000


def test_pieces_are_drawn_as_the_settings_say():
    everything = np.array([0] * 7 + [0.5, 4, 2, 1, 0.5]) / 8
    np.testing.assert_allclose(shares(DecodingSettings()), everything, atol=0.02)
    assert shares(DecodingSettings(greedy=True))[8] == 1
    assert shares(DecodingSettings(top_k=1))[8] == 1
    assert shares(DecodingSettings(top_p=0.01))[8] == 1
    assert shares(DecodingSettings(temperature=1e-310))[8] == 1
    np.testing.assert_allclose(shares(DecodingSettings(top_k=2))[8:10], [2 / 3, 1 / 3], atol=0.02)
    np.testing.assert_allclose(shares(DecodingSettings(top_p=0.6))[8:10], [2 / 3, 1 / 3], atol=0.02)
    np.testing.assert_allclose(shares(DecodingSettings(temperature=0.5))[8], 16 / 21.5, atol=0.02)
    assert choose(LOGITS * 0, DecodingSettings(greedy=True), random=np.random.default_rng())[0] == 7, "never <unk>"


def test_the_command_goes_on_with_a_prompt_from_anywhere(models, tmp_path, capsys, monkeypatch):
    words = ["generate", "--model", models["causal"], "--length", "5", "--seed", "3", "--samples", "2"]
    (tmp_path / "prompt.txt").write_text("A class\n")
    assert cli.main([*words, "--prompt-file", str(tmp_path / "prompt.txt")]) == 0
    expected = capsys.readouterr().out
    assert expected.startswith("--- 1\nA class")
    assert expected.count("A class") == 2
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"A class\n")))
    assert cli.main([*words, "--prompt-file", "-"]) == 0
    assert capsys.readouterr().out == expected


def test_what_cannot_be_is_one_line(models, vocabulary, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    words = ["generate", "--model", models["causal"]]
    (tmp_path / "prompt.txt").write_bytes(b"fine\nnot \xff fine")
    for more, said in (
        (["--prompt-file", str(tmp_path / "prompt.txt")], "prompt.txt:2 is not UTF-8"),
        (["--prompt", "caf\udce9"], "the prompt is not UTF-8"),  # as Python has a byte that is none
        (["--prompt-file", "-"], "the standard input is closed"),
        (["--top-p", "0"], "top_p is 0.0, wanted is a probability"),
        (["--temperature", "0"], "temperature is 0.0"),
        (["--length", "0"], "length is 0"),
        (["--prompt-file", str(tmp_path / "none.txt")], "does not exist"),
    ):
        assert cli.main([*words, *more]) == 2
        assert said in capsys.readouterr().err
    for name, memory_length, head, said in (
        ("none", 0, None, "was trained without memory; pass --memory-length"),
        ("head", 64, {
            "task": "classification", "classes": ["a", "b"], "summary": "last", "projection": True,
            "sequence_length": 8, "columns": {"text": "text", "pair": None, "label": "label"},
        }, "is a fine-tuned model, which does not write"),
    ):  # fmt: skip
        model = save(tmp_path / name, CAUSAL, vocabulary, memory_length=memory_length, head=head)
        with pytest.raises(UserError, match=said):
            Generator(model, DecodingSettings())


@pytest.mark.slow
def test_the_same_on_jax(passed_on_jax):
    passed_on_jax("-k", "reading_from_scratch and not tied or seed_decides", str(HERE))
