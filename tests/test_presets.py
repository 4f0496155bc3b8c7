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
OTHERS = ("prices.yaml", "cluster.yaml", "retraining.yaml")  # of estimates; of the Kubeflow pipeline
PRESETS = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.yaml") if path.name not in OTHERS)
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
    commands = re.findall(r"^   (xlnet .+|make .+)$", told.replace("\\\n ", " "), flags=re.MULTILINE)
    assert commands
    assert "Expect" in told
    assert re.search(r"\b(minutes?|hours?|seconds?)\b", told, flags=re.IGNORECASE)
    for command in commands:
        program, verb, *words = shlex.split(command)
        if program == "xlnet":
            parser = Parser(prog=verb)
            cli.VERBS[verb].flags(parser)
            assert getattr(parser.parse_strictly(words), "config", f"configs/{name}") == f"configs/{name}"
    assert any(f"configs/{name}" in command for command in commands) or name == "demo.yaml"


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


def test_the_presets_of_glue_are_the_authors_settings_for_its_nine_tasks():
    """Batch, rate, steps and steps of warmup as they gave them (zihangdai/xlnet #96)."""
    found = {path.stem: settings(f"glue/{path.name}", "finetuning") for path in (FOLDER / "glue").glob("*.yaml")}
    assert {
        name: (one.batch_size, one.learning_rate, one.steps, one.optimizer(one.steps).warmup_steps)
        for name, one in found.items()
    } == {
        "cola": (128, 3e-5, 3000, 500),
        "sst-2": (32, 2e-5, 10000, 1000),
        "mrpc": (32, 5e-5, 800, 200),
        "sts-b": (32, 5e-5, 1200, 120),
        "qqp": (128, 3e-5, 14000, 1000),
        "mnli": (128, 3e-5, 10000, 1000),
        "qnli": (32, 2e-5, 10000, 1000),  # not the authors': of SST-2
        "rte": (32, 3e-5, 800, 200),
        "wnli": (32, 3e-5, 800, 200),  # not the authors': of RTE
    }
    assert all((one.task, one.sequence_length) == (name, 128) for name, one in found.items())


def test_other_presets_of_tasks_warm_up_as_the_original():
    warmup = {path.name: settings(f"tasks/{path.name}", "finetuning") for path in (FOLDER / "tasks").glob("*.yaml")}
    assert {name: one.optimizer(one.steps).warmup_steps for name, one in warmup.items()} == {
        "imdb.yaml": 500,
        "yelp-5.yaml": 1000,
        "race.yaml": 1000,
        "conll-2003.yaml": 400,
        "squad2.yaml": 1000,
        "cmrc2018.yaml": 100,  # not the original's
    }
