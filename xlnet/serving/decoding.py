"""Which piece comes next: a choice from a model's logits. Light: importing this file imports no framework."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xlnet.errors import require
from xlnet.settings import LARGEST_SEED, setting
from xlnet.special_pieces import EOD

NEVER = slice(0, EOD)  # <unk>, <s>, </s>, <cls>, <sep>, <pad> and <mask> are no text


@dataclass(frozen=True)
class DecodingSettings:
    """How text is generated."""

    length: int = setting(200, "pieces of a text, at most: it ends with <eod>")
    memory_length: int | None = setting(None, "pieces that the model looks back on (default: as in pretraining)")
    greedy: bool = setting(False, "always take the likeliest piece")
    temperature: float = setting(1.0, "logits are divided by it: below 1 likelier pieces are taken more often")
    top_k: int = setting(0, "draw from so many likeliest pieces; 0: from all")
    top_p: float = setting(1.0, "draw from the likeliest pieces that together have this probability")
    samples: int = setting(1, "texts to write")
    seed: int = setting(0, "decides what is drawn", largest=LARGEST_SEED)

    def __post_init__(self) -> None:
        require(self.length >= 1, "length", self.length, "1 or more pieces")
        is_length = self.memory_length is None or self.memory_length >= 1
        require(is_length, "memory_length", self.memory_length, "1 or more pieces")
        require(0 < self.temperature < float("inf"), "temperature", self.temperature, "a number above 0")
        require(self.top_k >= 0, "top_k", self.top_k, "0 (all) or more pieces")
        require(0 < self.top_p <= 1, "top_p", self.top_p, "a probability above 0, at most 1")
        require(self.samples >= 1, "samples", self.samples, "1 or more texts")
        for name, nothing in (("temperature", 1.0), ("top_k", 0), ("top_p", 1.0)):
            found = getattr(self, name)
            require(not self.greedy or found == nothing, name, found, f"{nothing} with greedy, which draws nothing")
        require(0 <= self.seed < 2**63, "seed", self.seed, "0 to 2^63 - 1")


def choose(
    logits: NDArray[np.float32], settings: DecodingSettings, *, random: np.random.Generator
) -> NDArray[np.int64]:
    """The next piece of each row, [rows], from logits [rows, vocab]. Only pieces of text and `<eod>` are chosen.

    Of equal logits the piece with the smaller number comes first. Source of top-p: Holtzman et al. 2020, section 3.1.
    """
    scores = logits.astype(np.float64)
    scores[:, NEVER] = -np.inf
    if settings.greedy:
        return scores.argmax(axis=-1)
    order = np.argsort(-scores, axis=-1, kind="stable")
    if settings.top_k:
        order = order[:, : settings.top_k]
    ranked = np.take_along_axis(scores, order, axis=-1)
    with np.errstate(over="ignore"):  # as cold as can be: the likeliest alone
        weights = np.exp((ranked - ranked[:, :1]) / settings.temperature)
    shares = weights / weights.sum(axis=-1, keepdims=True)
    before = np.cumsum(shares, axis=-1) - shares
    shares = np.where(before < settings.top_p, shares, 0.0)  # the likeliest one always stays
    edges = np.cumsum(shares, axis=-1)
    drawn = random.random((len(scores), 1)) * edges[:, -1:]
    chosen = np.minimum((edges <= drawn).sum(axis=-1), (shares > 0).sum(axis=-1) - 1)
    return np.take_along_axis(order, chosen[:, None], axis=-1)[:, 0]
