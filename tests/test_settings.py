import re
from dataclasses import dataclass

import pytest

from xlnet.errors import UserError
from xlnet.serving.decoding import DecodingSettings
from xlnet.settings import make, parse_preset


@dataclass(frozen=True)
class Rates:
    learning_rate: float = 0.1
    steps: int = 10
    is_on: bool = False
    path: str | None = None
    column: str = "text"


def test_later_sources_override_and_text_becomes_numbers():
    assert make(Rates, {"learning_rate": "4e-4", "steps": 3}, {"steps": "5"}) == Rates(4e-4, 5)


def test_large_whole_numbers_are_exact():
    assert make(Rates, {"steps": 2**63 - 1}).steps == 2**63 - 1
    assert make(Rates, {"steps": str(2**53 + 1)}).steps == 2**53 + 1


def test_an_unknown_key_names_the_nearest():
    with pytest.raises(UserError, match=r"x\.yaml: unknown setting 'learning_rat'; did you mean 'learning_rate'\?"):
        make(Rates, {"learning_rat": 1}, where="x.yaml")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 1.5),
        ("steps", True),
        ("steps", "ten"),
        ("is_on", "yes"),
        ("learning_rate", None),
        ("column", None),
        ("column", False),
        ("column", ["a"]),
    ],
)
def test_a_value_of_the_wrong_type_is_named(name, value):
    with pytest.raises(UserError, match=re.escape(f"{name} is {value!r}, wanted is")):
        make(Rates, {name: value})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("modell: {}", "unknown section 'modell'; did you mean 'model'"),
        ("[1, 2]", "holds a list"),
        ("model: 3", "section 'model' holds 3"),
        ("a: [", "is not YAML"),
        (b"\xff\xfe\xfa", "is not YAML"),
        ("model: {layers: 2, heads: 2, layers: 3}", "is not YAML: 'layers' stands twice"),
        ("model: {layers: 2021-13-45}", "is not YAML: month must be in 1..12"),
        ("model: {layers: !!bool x}", "is not YAML"),
        ("model: {layers: !!timestamp x}", "is not YAML"),
        ("model: " + "[" * 5000, "is not YAML"),
    ],
)
def test_a_broken_preset_is_one_line(content, message):
    with pytest.raises(UserError, match=message) as caught:
        parse_preset(content, where="p.yaml")
    assert "\n" not in str(caught.value)


def test_missing_sections_are_empty():
    assert parse_preset("model: {layers: 2}", where="p")["corpus"] == {}


@pytest.mark.parametrize("value", ["99999999999999999999999", 4 * 10**18, -(2**31), 1e300])
def test_a_whole_number_that_no_array_can_have_is_named(value):
    with pytest.raises(UserError, match=r"^flags: length is -?\d+, wanted is a whole number up to 2147483647$"):
        make(DecodingSettings, {"length": value}, where="flags")


def test_a_seed_may_be_larger():
    assert make(DecodingSettings, {"seed": 2**63 - 1}).seed == 2**63 - 1
    with pytest.raises(UserError, match=r"seed is \d+, wanted is a whole number up to 9223372036854775807"):
        make(DecodingSettings, {"seed": 2**63})


@pytest.mark.parametrize("given", [{"top_k": 5}, {"top_p": 0.5}, {"temperature": 0.7}])
def test_who_draws_nothing_does_not_say_how(given):
    ((name, value),) = given.items()
    with pytest.raises(UserError, match=f"{name} is {value}, wanted is .* with greedy, which draws nothing"):
        make(DecodingSettings, given, {"greedy": True})
