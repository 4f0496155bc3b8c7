"""Names and limits of a model's configuration."""

import pytest

from xlnet.errors import UserError
from xlnet.model.config import REFERENCE_KEYS, ModelConfig

TINY_B = {
    "d_head": 10,
    "d_inner": 40,
    "d_model": 24,
    "ff_activation": "relu",
    "n_head": 3,
    "n_layer": 2,
    "n_token": 2000,
    "untie_r": False,
}


def test_the_reference_names_go_both_ways() -> None:
    config = ModelConfig.from_reference(TINY_B)
    assert (config.layers, config.heads, config.head_dim, config.model_dim) == (2, 3, 10, 24)
    assert (config.feedforward_dim, config.activation, config.untie_biases) == (40, "relu", False)
    assert config.to_reference() == TINY_B
    assert ModelConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    "told",
    [
        {"attention": "uni", "clamp_length": 7, "same_length": True},
        {"dropout": 0.0, "attention_dropout": 0.3, "initializer_stddev": 0.1},
        {"activation": "gelu_exact"},
    ],
)
def test_what_the_reference_cannot_say_stands_beside_its_keys(told: dict[str, object]) -> None:
    plain = {**TINY_B, "ff_activation": "gelu"}
    config = ModelConfig.from_dict({**ModelConfig.from_reference(plain).to_dict(), **told})
    assert config.to_reference() == {**plain, **told}
    for written in (config.to_reference(), dict(sorted(config.to_reference().items()))):
        assert ModelConfig.from_reference(written) == config


def test_an_unknown_key_names_the_nearest_known_one() -> None:
    with pytest.raises(UserError, match=r"'n_layers'.*did you mean 'n_layer'"):
        ModelConfig.from_reference({**TINY_B, "n_layers": 2})
    with pytest.raises(UserError, match=r"'feedforward'.*did you mean 'feedforward_dim'"):
        ModelConfig.from_dict({"feedforward": 2})


@pytest.mark.parametrize("key", REFERENCE_KEYS)
def test_a_missing_key_is_named(key: str) -> None:
    with pytest.raises(UserError, match=f"lacks {key};"):
        ModelConfig.from_reference({name: value for name, value in TINY_B.items() if name != key})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("layers", 0),
        ("layers", 100_000_000),
        ("vocab_size", 1.5),
        ("heads", True),
        ("model_dim", 15),
        ("activation", "swish"),
        ("dropout", 1.0),
        ("attention_dropout", -0.1),
        ("initializer_stddev", 0),
        ("clamp_length", 0),
        ("attention", "both"),
        ("same_length", True),  # which only a model from left to right can have
    ],
)
def test_a_value_out_of_range_is_named_with_its_setting(name: str, value: object) -> None:
    with pytest.raises(UserError, match=f"{name} is {value!r}"):
        ModelConfig.from_dict({name: value})
