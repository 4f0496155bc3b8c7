"""Weights under Hugging Face's names and in its layouts, to and from the reference's.

There a bias is a part of each layer (here all layers' are one array, or one for all where they are tied), and a
dense layer's weight is transposed. Pure: names and arrays, no framework.
"""

import re
from collections.abc import Mapping

import numpy as np

from xlnet.errors import UserError
from xlnet.model.config import ModelConfig
from xlnet.model.reference_names import (
    BIASES,
    EMBEDDING,
    HEADS,
    MASK_EMBEDDING,
    SUMMARY,
    TRUNK,
    head_of,
    listed,
    without_task,
)

TABLE = "transformer.word_embedding.weight"
OUTPUT = "lm_loss.weight"  # the table once more; a file may leave it out
STACKED = (*BIASES, "seg_embed")
ARCHITECTURES = {  # kind of head -> the class of its model
    None: "XLNetModel",
    "language-model": "XLNetLMHeadModel",
    "classification": "XLNetForSequenceClassification",
    "regression": "XLNetForSequenceClassification",
    "multiple-choice": "XLNetForMultipleChoice",
    "question-answering": "XLNetForQuestionAnswering",
    "token-classification": "XLNetForTokenClassification",
}

_SINGLE = {EMBEDDING: TABLE, MASK_EMBEDDING: "transformer.mask_emb"}
_LAYER = {
    **{f"rel_attn/{role}/kernel": f"rel_attn.{role}" for role in "qkvor"},
    "rel_attn/LayerNorm/gamma": "rel_attn.layer_norm.weight",
    "rel_attn/LayerNorm/beta": "rel_attn.layer_norm.bias",
    "ff/LayerNorm/gamma": "ff.layer_norm.weight",
    "ff/LayerNorm/beta": "ff.layer_norm.bias",
    "ff/layer_1/kernel": "ff.layer_1.weight",
    "ff/layer_1/bias": "ff.layer_1.bias",
    "ff/layer_2/kernel": "ff.layer_2.weight",
    "ff/layer_2/bias": "ff.layer_2.bias",
}
_SUMMARY = {
    f"{SUMMARY}summary/kernel": "sequence_summary.summary.weight",
    f"{SUMMARY}summary/bias": "sequence_summary.summary.bias",
}


def _dense(ours: str, theirs: str) -> dict[str, str]:
    return {f"{ours}/kernel": f"{theirs}.weight", f"{ours}/bias": f"{theirs}.bias"}


_HEADS: dict[str | None, dict[str, str]] = {
    None: {},
    "language-model": {"model/lm_loss/bias": "lm_loss.bias"},
    "classification": _SUMMARY | _dense("model/classification/logit", "logits_proj"),
    "regression": _SUMMARY | _dense("model/regression/logit", "logits_proj"),
    "multiple-choice": _SUMMARY | _dense("logits/dense", "logits_proj"),
    "question-answering": {
        **_dense("start_logits/dense", "start_logits.dense"),
        **_dense("end_logits/dense_0", "end_logits.dense_0"),
        **_dense("end_logits/dense_1", "end_logits.dense_1"),
        "end_logits/LayerNorm/gamma": "end_logits.LayerNorm.weight",
        "end_logits/LayerNorm/beta": "end_logits.LayerNorm.bias",
        **_dense("answer_class/dense_0", "answer_class.dense_0"),
        "answer_class/dense_1/kernel": "answer_class.dense_1.weight",
    },
    "token-classification": _dense("model/token_classification/logit", "classifier"),
}
assert set(_HEADS) == {None, *HEADS}


def names(config: ModelConfig, head: str | None) -> dict[str, str]:
    """The reference's names to Hugging Face's, but for what it keeps in each layer (STACKED)."""
    found = dict(_SINGLE)
    for index in range(config.layers):
        found |= {f"{TRUNK}layer_{index}/{ours}": f"transformer.layer.{index}.{t}" for ours, t in _LAYER.items()}
    return found | _HEADS[head]


def to_hugging_face(weights: Mapping[str, np.ndarray], config: ModelConfig) -> dict[str, np.ndarray]:
    """The reference's weights as Hugging Face has them.

    Raises UserError for a summary by attention and for head sizes that its model cannot have.
    """
    if config.head_dim * config.heads != config.model_dim:
        raise UserError(
            f"Hugging Face's XLNet wants model_dim = heads * head_dim, this model has {config.model_dim} = "
            f"{config.heads} * {config.head_dim}; it can be converted to xlnet and tensorflow only"
        )
    head = head_of(weights)
    known = names(config, head)
    given = {without_task(name): array for name, array in weights.items()}
    lost = sorted(name for name in given if name not in known and name.removeprefix(TRUNK) not in STACKED)
    if lost and not (lost == ["model/lm_loss/bias"] and head is not None):  # kept from pretraining, and not read
        raise UserError(f"Hugging Face's {ARCHITECTURES[head]} has no place for {listed(lost)}")
    made = {theirs: _turned(given[ours], theirs) for ours, theirs in known.items() if ours in given}
    for name in STACKED:
        stack = given[f"{TRUNK}{name}"]
        for index in range(config.layers):
            tied = name in BIASES and not config.untie_biases
            made[f"transformer.layer.{index}.rel_attn.{name}"] = stack if tied else stack[index]
    return {name: np.ascontiguousarray(array) for name, array in made.items()}


def from_hugging_face(
    arrays: Mapping[str, np.ndarray], config: ModelConfig, *, head: str | None, where: str
) -> dict[str, np.ndarray]:
    """Hugging Face's weights under the reference's names; `config` says whether the biases are tied.

    Raises UserError for tensors that are unknown, that its language model has untied from the table, or of which a
    layer has none.
    """
    given = {_prefixed(name, arrays): array for name, array in arrays.items()}
    output = given.pop(OUTPUT, None)
    if output is not None and not np.array_equal(output, given.get(TABLE, ())):
        raise UserError(f"{where} has an {OUTPUT} that is not {TABLE}; XLNet has one table for both")
    back = {theirs: ours for ours, theirs in names(config, head).items()}
    stacks = {f"transformer.layer.{i}.rel_attn.{name}" for i in range(config.layers) for name in STACKED}
    unknown = sorted(name for name in given if name not in back and name not in stacks)
    if unknown:
        raise UserError(f"{where} holds tensors that {ARCHITECTURES[head]} does not have: {listed(unknown)}")
    missing = sorted(stacks - set(given))
    if missing:
        raise UserError(f"{where} lacks {listed(missing)}; copy it whole, or put its own config.json beside it")
    weights = {back[name]: _turned(array, name) for name, array in given.items() if name in back}
    for name in STACKED:
        parts = [given[f"transformer.layer.{index}.rel_attn.{name}"] for index in range(config.layers)]
        if len({part.shape for part in parts}) > 1:
            raise UserError(f"{where} has {name} in different shapes from layer to layer; copy it again")
        tied = name in BIASES and not config.untie_biases
        weights[f"{TRUNK}{name}"] = parts[0] if tied else np.stack(parts)
    return {name: np.ascontiguousarray(array) for name, array in weights.items()}


def are_tied(arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether the layers of Hugging Face's weights have the same biases."""
    for name in BIASES:
        found = [array for key, array in arrays.items() if key.endswith(f".rel_attn.{name}")]
        if any(not np.array_equal(array, found[0]) for array in found):
            return False
    return True


def _prefixed(name: str, arrays: Mapping[str, np.ndarray]) -> str:
    """A bare XLNetModel saves its names without the first part."""
    is_bare = "word_embedding.weight" in arrays and re.match(r"word_embedding\.|mask_emb|layer\.", name)
    return f"transformer.{name}" if is_bare else name


def _turned(array: np.ndarray, theirs: str) -> np.ndarray:
    return array.T if theirs.endswith(".weight") and array.ndim == 2 and theirs != TABLE else array
