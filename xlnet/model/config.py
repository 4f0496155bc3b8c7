"""The sizes and rates of one XLNet, and the reference's names for them."""

import dataclasses
import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from xlnet.errors import UserError
from xlnet.settings import setting

ATTENTIONS = ("bi", "uni")  # every position sees every other, or only those before it
PLAIN_SUMMARIES = ("last", "first", "mean")  # of a sequence; what other formats have
SUMMARIES = (*PLAIN_SUMMARIES, "attn")
ACTIVATIONS = ("gelu", "gelu_exact", "relu")  # "gelu" by tanh, as in the reference; Hugging Face's is exact
MOST_LAYERS = 10_000  # ten times the deepest known: a damaged configuration ends here, not after hours of building
LAYER_NORM_EPSILON = 1e-12  # as in the released checkpoints

# Keys of the reference's xlnet_config.json, in its order.
REFERENCE_KEYS = {
    "d_head": "head_dim",
    "d_inner": "feedforward_dim",
    "d_model": "model_dim",
    "ff_activation": "activation",
    "n_head": "heads",
    "n_layer": "layers",
    "n_token": "vocab_size",
    "untie_r": "untie_biases",
}
SIZES = set(REFERENCE_KEYS.values()) - {"activation"}  # of which it has no exact gelu


@dataclass(frozen=True)
class ModelConfig:
    """An XLNet's sizes, rates and choices.

    `heads * head_dim` need not be `model_dim`. Raises UserError when a value is out of range.
    Source: Yang et al. 2019, appendix; reference xlnet.py.
    """

    vocab_size: int = setting(32000, "pieces of the vocabulary")
    layers: int = setting(12, "layers of the transformer")
    model_dim: int = setting(768, "width of embeddings and hidden states, an even number")
    heads: int = setting(12, "attention heads of a layer")
    head_dim: int = setting(64, "width of a head")
    feedforward_dim: int = setting(3072, "inner width of the feed-forward layers")
    activation: str = setting("gelu", "of the feed-forward layers: gelu (by tanh), gelu_exact or relu")
    untie_biases: bool = setting(True, "each layer has attention biases of its own; off: all share them")
    dropout: float = setting(0.1, "rate of dropout, but for attention probabilities")
    attention_dropout: float = setting(0.1, "rate of dropout of attention probabilities")
    initializer_stddev: float = setting(0.02, "standard deviation of the first weights")
    clamp_length: int = setting(-1, "pieces; greater relative distances count as this one; -1: no limit")
    attention: str = setting("bi", "bi: every position sees every other; uni: those before it, as a Transformer-XL")
    same_length: bool = setting(False, "with attention uni: every position sees equally far back")

    def __post_init__(self) -> None:
        for name in ("vocab_size", "layers", "model_dim", "heads", "head_dim", "feedforward_dim"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise UserError(f"{name} is {value!r}; give a whole number of at least 1")
        if self.layers > MOST_LAYERS:
            raise UserError(f"layers is {self.layers}; give {MOST_LAYERS:,} at most")
        for name in ("dropout", "attention_dropout", "initializer_stddev", "clamp_length"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise UserError(f"{name} is {value!r}; give a number")
        if self.model_dim % 2:
            raise UserError(f"model_dim is {self.model_dim}; give an even number, half of it sines, half cosines")
        if self.activation not in ACTIVATIONS:
            raise UserError(f"activation is {self.activation!r}; choose one of {', '.join(ACTIVATIONS)}")
        if self.attention not in ATTENTIONS:
            raise UserError(f"attention is {self.attention!r}; choose one of {', '.join(ATTENTIONS)}")
        if self.same_length is not False and not (self.same_length is True and self.attention == "uni"):
            raise UserError(f"same_length is {self.same_length!r}; give false, or true with attention 'uni'")
        for name in ("dropout", "attention_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)!r}; give a rate from 0 up to, not including, 1")
        if not 0 < self.initializer_stddev < float("inf"):
            raise UserError(f"initializer_stddev is {self.initializer_stddev!r}; give a number above 0")
        if self.clamp_length == 0 or self.clamp_length < -1:
            raise UserError(f"clamp_length is {self.clamp_length}; give -1 (no clamping) or a positive distance")

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> "ModelConfig":
        """From this project's names. Raises UserError at an unknown key."""
        refuse_unknown(settings, known=[field.name for field in dataclasses.fields(cls)])
        return cls(**settings)

    def to_dict(self) -> dict[str, Any]:
        """This project's names to values, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_reference(cls, settings: Mapping[str, Any]) -> "ModelConfig":
        """From the content of xlnet_config.json: the reference's keys, and ours for what they cannot say.

        Raises UserError at an unknown key, or where one of the reference's is missing.
        """
        ours = [field.name for field in dataclasses.fields(cls) if field.name not in SIZES]
        refuse_unknown(settings, known=[*REFERENCE_KEYS, *ours])
        missing = [key for key in REFERENCE_KEYS if key not in settings]
        if missing:
            raise UserError(
                f"the model's configuration lacks {', '.join(missing)}; add what the checkpoint was made with"
            )
        named = {name: settings[key] for key, name in REFERENCE_KEYS.items()}
        return cls(**named | {name: settings[name] for name in ours if name in settings})

    def to_reference(self) -> dict[str, Any]:
        """The content of xlnet_config.json: the reference's keys, and ours beside them, which it passes over.

        Ours are what its keys do not tell: rates, clamping, attention, an exact gelu, where they are not the default.
        """
        theirs = {key: getattr(self, name) for key, name in REFERENCE_KEYS.items()}
        theirs["ff_activation"] = self.activation.removesuffix("_exact")
        told = ModelConfig.from_reference(theirs).to_dict()
        return theirs | {name: value for name, value in self.to_dict().items() if value != told[name]}


def refuse_unknown(settings: Mapping[str, Any], *, known: Collection[str]) -> None:
    """Raises UserError at the first key that is not known, naming the nearest that is."""
    if not isinstance(settings, Mapping):
        raise UserError(f"the model's configuration is {settings!r}; wanted are names and values")
    for key in settings:
        if key not in known:
            nearest = difflib.get_close_matches(key, known, n=1, cutoff=0)[0]
            raise UserError(
                f"unknown key {key!r} in the model's configuration; did you mean {nearest!r}? "
                f"Known keys: {', '.join(sorted(known))}"
            )
