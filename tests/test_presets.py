"""Every preset can be used as its header says."""

import re
import shlex
from pathlib import Path

import pytest

from xlnet import cli
from xlnet.corpus.cleaning import CleaningSettings
from xlnet.corpus.settings import CorpusSettings
from xlnet.flags import Parser
from xlnet.model.config import ModelConfig
from xlnet.model.reference_names import trunk_shapes
from xlnet.settings import make, read_preset
from xlnet.training.finetuning_settings import FinetuningSettings
from xlnet.training.settings import PretrainingSettings
from xlnet.vocab import VocabularySettings

FOLDER = Path(__file__).resolve().parent.parent / "configs"
PRESETS = sorted(path.name for path in FOLDER.glob("*.yaml") if path.name != "prices.yaml")
KINDS = {
    "vocabulary": VocabularySettings,
    "corpus": CorpusSettings,
    "cleaning": CleaningSettings,
    "model": ModelConfig,
    "pretraining": PretrainingSettings,
    "finetuning": FinetuningSettings,
}
MILLIONS = {"base.yaml": 117, "large.yaml": 360, "chinese-base.yaml": 117, "chinese-mid.yaml": 209}


def settings(name: str, section: str):
    return make(KINDS[section], read_preset(str(FOLDER / name))[section], where=name)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("section", KINDS)
def test_every_section_holds_settings(name, section):
    settings(name, section)


@pytest.mark.parametrize("name", PRESETS)
def test_the_sections_fit_together(name):
    corpus, training = settings(name, "corpus"), settings(name, "pretraining")
    at_once = training.batch_size // (2 if corpus.bidirectional else 1)
    assert training.batch_size % 2 == 0
    assert at_once <= corpus.shards
    assert training.warmup_steps < training.steps


def header(name: str) -> str:
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    return "\n".join(line[1:] for line in lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))])


@pytest.mark.parametrize("name", PRESETS)
def test_the_header_tells_commands_that_parse_figures_and_time(name):
    told = header(name)
    commands = re.findall(r"^   (xlnet .+|make .+)$", told, flags=re.MULTILINE)
    assert commands
    assert "Expect" in told
    assert re.search(r"\b(minutes?|hours?|seconds?)\b", told, flags=re.IGNORECASE)
    for command in commands:
        program, verb, *words = shlex.split(command)
        if program == "xlnet":
            parser = Parser(prog=verb)
            cli.VERBS[verb].flags(parser)
            assert parser.parse_strictly(words).config == f"configs/{name}"


@pytest.mark.parametrize(("name", "millions"), MILLIONS.items())
def test_the_sizes_are_those_of_the_published_models(name, millions):
    config = settings(name, "model")
    count = 0
    for shape in trunk_shapes(config).values():
        product = 1
        for size in shape:
            product *= size
        count += product
    assert config.vocab_size == settings(name, "vocabulary").size
    assert round(count / 1e6) == millions
