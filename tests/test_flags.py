import argparse
import dataclasses
import re
from dataclasses import dataclass

import pytest

from xlnet.cli import VERBS
from xlnet.corpus.settings import CorpusSettings
from xlnet.flags import Parser, add_settings, given, whole
from xlnet.model.config import ModelConfig
from xlnet.settings import make, setting
from xlnet.training.finetuning_settings import FinetuningSettings
from xlnet.training.settings import PretrainingSettings
from xlnet.vocab import VocabularySettings


@dataclass(frozen=True)
class Rates:
    """How fast it goes.

    More than the first line is not for the terminal.
    """

    name: str = setting("run", "what it is called")
    learning_rate: float = setting(0.1, "how fast")
    steps: int | None = setting(10, "how far, in steps")
    is_on: bool = setting(True, "whether it goes")
    clamp: int = setting(5, "no faster")
    is_fresh: bool | None = setting(None, "whether it is new (default: as it looks)")


@pytest.fixture
def parser():
    parser = Parser(prog="xlnet go")
    parser.add_argument("files", nargs="*")
    add_settings(parser, Rates)
    return parser


def rates(parser: Parser, *words: str) -> Rates:
    return make(Rates, {"name": "preset", "steps": 7}, given(parser.parse_strictly(list(words)), Rates))


def test_a_flag_that_is_not_given_leaves_the_preset_and_the_default(parser):
    assert given(parser.parse_strictly([]), Rates) == {}
    assert rates(parser) == Rates("preset", steps=7)


def test_flags_override_the_preset_with_values_of_their_field_s_type(parser):
    found = rates(parser, "--name", "a b", "--learning-rate", "4e-4", "--steps=3", "--clamp", "-1")
    assert found == Rates("a b", learning_rate=4e-4, steps=3, clamp=-1)
    assert [type(value) for value in dataclasses.astuple(found)] == [str, float, int, bool, int, type(None)]


@pytest.mark.parametrize("name", ["is_on", "is_fresh"])
def test_a_truth_is_said_or_denied(parser, name):
    flag = name.replace("_", "-")
    assert getattr(rates(parser, f"--{flag}"), name) is True
    assert getattr(rates(parser, f"--no-{flag}"), name) is False


def test_the_settings_do_not_swallow_other_arguments(parser):
    parsed = parser.parse_strictly(["one", "two", "--steps", "3"])
    assert parsed.files == ["one", "two"]
    assert given(parsed, Rates) == {"steps": "3"}


def test_a_field_that_is_left_out_has_no_flag(capsys):
    parser = Parser(prog="xlnet go")
    add_settings(parser, Rates, without=["name", "clamp"])
    with pytest.raises(SystemExit):
        parser.parse_strictly(["--clamp", "3"])
    assert "--clamp" not in parser.format_help()
    assert capsys.readouterr().err.startswith("error: unknown flag --clamp")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--learning-rat", "3"], "unknown flag --learning-rat; did you mean '--learning-rate'?"),
        (["--step=3"], "unknown flag --step; did you mean '--steps'?"),
        (["--no-is-onn"], "unknown flag --no-is-onn; did you mean '--no-is-on'?"),
        (["--qqqqq"], "unknown flag --qqqqq; known are --clamp, --help, --is-fresh, --is-on,"),
        (["--steps"], "argument --steps: expected one argument"),
    ],
)
def test_what_is_wrong_with_a_flag_is_one_line(parser, capsys, words, message):
    with pytest.raises(SystemExit) as caught:
        parser.parse_strictly(words)
    said = capsys.readouterr()
    assert caught.value.code == 2
    assert said.err.startswith(f"error: {message}")
    assert said.err.endswith("(see xlnet go --help)\n")
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_a_word_too_many_is_named(capsys):
    with pytest.raises(SystemExit):
        Parser(prog="xlnet go").parse_strictly(["extra", "words"])
    assert capsys.readouterr().err == "error: unexpected 'extra words' (see xlnet go --help)\n"


def test_help_tells_kinds_meanings_and_defaults(parser):
    told = " ".join(parser.format_help().split())
    assert "Rates: How fast it goes." in told
    assert "More than" not in told
    for line in (
        "--name TEXT what it is called (default run)",
        "--learning-rate X how fast (default 0.1)",
        "--steps N how far, in steps (default 10)",
        "--is-on, --no-is-on whether it goes (default on)",
        "--is-fresh, --no-is-fresh whether it is new (default: as it looks)",
    ):
        assert line in told


def test_the_usage_names_what_is_no_setting(parser):
    assert parser.format_help().startswith("usage: xlnet go [-h] [files ...]\n                [SETTING ...]\n\n")


@pytest.mark.parametrize(
    "kind", [VocabularySettings, CorpusSettings, ModelConfig, PretrainingSettings, FinetuningSettings]
)
def test_every_default_can_be_given_as_a_flag(kind):
    parser = Parser()
    add_settings(parser, kind)
    words = []
    for field in dataclasses.fields(kind):
        flag = field.name.replace("_", "-")
        if isinstance(field.default, bool):
            words.append(f"--{flag}" if field.default else f"--no-{flag}")
        elif field.default is not None:
            words.append(f"--{flag}={field.default}")
    found = given(parser.parse_strictly(words), kind)
    assert make(kind, found) == kind()
    assert len(found) == len(words)


@pytest.mark.parametrize("verb", VERBS)
def test_every_flag_of_a_verb_has_a_line_of_help(verb):
    parser = Parser(prog=f"xlnet {verb}")
    VERBS[verb].flags(parser)
    flags = [action for action in parser._actions if not isinstance(action, argparse._SubParsersAction)]
    assert [action.dest for action in flags if not action.help] == []


@pytest.mark.parametrize("verb", VERBS)
def test_every_setting_tells_its_meaning_and_its_default(verb):
    parser = Parser(prog=f"xlnet {verb}")
    VERBS[verb].flags(parser)
    settings = [action for action in parser._actions if action.default == argparse.SUPPRESS and action.dest != "help"]
    told = {action.dest: action.help for action in settings}
    assert {name: text for name, text in told.items() if not re.fullmatch(r"[^ (].+ \(default:? [^()]+\)", text)} == {}


@pytest.mark.parametrize("value", ["99999999999999999999999", "4000000000000000000", "1.5", "x", "9" * 5000])
def test_a_whole_number_of_a_flag_is_one_or_is_named(capsys, value):
    parser = Parser(prog="xlnet go")
    parser.add_argument("--memory-length", type=whole)
    assert parser.parse_strictly(["--memory-length", "7"]).memory_length == 7
    with pytest.raises(SystemExit):
        parser.parse_strictly(["--memory-length", value])
    said = capsys.readouterr().err
    assert said.startswith(f"error: argument --memory-length: '{value[:79]}")
    assert said.count("\n") == 1
    assert len(said) < 200
