"""The reference's variable names: which there are, of what shape, and which head they make.

Pure: names and sizes, no framework. Source: reference modeling.py, function_builder.py, run_race.py.
"""

import re
from collections.abc import Collection, Mapping

import numpy as np

from xlnet.errors import UserError
from xlnet.model.config import ModelConfig

Shape = tuple[int | None, ...]  # None: any size

TRUNK = "model/transformer/"
EMBEDDING = f"{TRUNK}word_embedding/lookup_table"
MASK_EMBEDDING = f"{TRUNK}mask_emb/mask_emb"
SUMMARY = "model/sequnece_summary/"  # its spelling
BIASES = ("r_w_bias", "r_r_bias", "r_s_bias")  # one for all layers where they are tied
HEADS = {  # kind of head -> the weight that only it has
    "language-model": r"model/lm_loss/bias",
    "classification": r"model/classification(_[^/]+)?/logit/kernel",
    "regression": r"model/regression(_[^/]+)?/logit/kernel",
    "multiple-choice": r"logits/dense/kernel",
    "question-answering": r"start_logits/dense/kernel",
    "token-classification": r"model/token_classification/logit/kernel",  # ours: the reference has no such task
}
_HEAD_SCOPE = re.compile(r"^model/(classification|regression)(?:_([^/]+))?/")


def trunk_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """The variables of the transformer and their shapes."""
    dim, inner, per_head = config.model_dim, config.feedforward_dim, (config.heads, config.head_dim)
    bias = (config.layers, *per_head) if config.untie_biases else per_head
    shapes: dict[str, tuple[int, ...]] = {
        EMBEDDING: (config.vocab_size, dim),
        MASK_EMBEDDING: (1, 1, dim),
        **{f"{TRUNK}{name}": bias for name in BIASES},
        f"{TRUNK}seg_embed": (config.layers, 2, *per_head),
    }
    layer: dict[str, tuple[int, ...]] = {f"rel_attn/{role}/kernel": (dim, *per_head) for role in "qkvro"}
    layer |= {f"{part}/LayerNorm/{name}": (dim,) for part in ("rel_attn", "ff") for name in ("gamma", "beta")}
    layer |= {"ff/layer_1/kernel": (dim, inner), "ff/layer_1/bias": (inner,)}
    layer |= {"ff/layer_2/kernel": (inner, dim), "ff/layer_2/bias": (dim,)}
    for index in range(config.layers):
        shapes |= {f"{TRUNK}layer_{index}/{name}": shape for name, shape in layer.items()}
    return shapes


def head_shapes(config: ModelConfig) -> dict[str, Shape]:
    """The variables that stand on the transformer, with a task's name taken out, and their shapes."""
    dim, per_head = config.model_dim, (config.heads, config.head_dim)
    shapes: dict[str, Shape] = {"model/lm_loss/bias": (config.vocab_size,)}
    shapes |= {f"{SUMMARY}summary/kernel": (dim, dim), f"{SUMMARY}summary/bias": (dim,)}
    shapes |= {f"{SUMMARY}summary_bias": (dim,)}
    shapes |= {f"{SUMMARY}abs_attn/{role}/kernel": (dim, *per_head) for role in "qkvo"}
    shapes |= {f"{SUMMARY}abs_attn/LayerNorm/{name}": (dim,) for name in ("gamma", "beta")}
    shapes |= {"model/classification/logit/kernel": (dim, None), "model/classification/logit/bias": (None,)}
    shapes |= {"model/regression/logit/kernel": (dim, 1), "model/regression/logit/bias": (1,)}
    shapes |= {"model/token_classification/logit/kernel": (dim, None), "model/token_classification/logit/bias": (None,)}
    for scope in ("logits", "start_logits"):  # of multiple choice; of answers
        shapes |= {f"{scope}/dense/kernel": (dim, 1), f"{scope}/dense/bias": (1,)}
    for scope in ("end_logits", "answer_class"):
        shapes |= {f"{scope}/dense_0/kernel": (2 * dim, dim), f"{scope}/dense_0/bias": (dim,)}
        shapes |= {f"{scope}/dense_1/kernel": (dim, 1)}
    shapes |= {f"end_logits/LayerNorm/{name}": (dim,) for name in ("gamma", "beta")}
    return shapes | {"end_logits/dense_1/bias": (1,)}


def without_task(name: str) -> str:
    """A variable's name without the task that the reference writes into its scope."""
    return _HEAD_SCOPE.sub(r"model/\1/", name)


def with_task(name: str, task: str) -> str:
    """A variable's name with a task in its scope, where it is of a head that has one and names none."""
    return _HEAD_SCOPE.sub(lambda found: f"model/{found[1]}_{found[2] or task}/", name)


def head_of(names: Collection[str]) -> str | None:
    """The kind of head that the variables make (see HEADS), or None."""
    found = [kind for kind, pattern in HEADS.items() if any(re.fullmatch(pattern, name) for name in names)]
    return found[-1] if found else None  # a fine-tuned model may have kept the language model's bias


def check(weights: Mapping[str, np.ndarray], config: ModelConfig, *, where: str) -> None:
    """Raises UserError at a weight that is unknown, missing, of another shape than the configuration says, no float32.

    The embedding of the query stream may be missing: fine-tuned models of the reference have none.
    """
    trunk = trunk_shapes(config)
    known: dict[str, Shape] = {**trunk, **head_shapes(config)}
    unknown = sorted(name for name in weights if without_task(name) not in known)
    if unknown:
        raise UserError(f"{where} holds tensors that no XLNet has: {listed(unknown)}; give weights of an XLNet")
    given = {without_task(name) for name in weights}
    groups = {_group(name) for name in given}
    wanted_names = [*trunk, *(name for name in head_shapes(config) if _group(name) in groups)]
    missing = sorted(name for name in wanted_names if name not in given and name != MASK_EMBEDDING)
    if missing:
        raise UserError(f"{where} lacks {listed(missing)}; copy it whole, or give the configuration it was made with")
    for name, array in weights.items():
        wanted = known[without_task(name)]
        if not _fits(array.shape, wanted):
            raise UserError(
                f"{name} has shape {list(array.shape)} in {where}, its configuration says {_shown(wanted)}; "
                "put the right configuration beside the weights"
            )
        if array.dtype != np.float32:
            raise UserError(f"{name} is {array.dtype} in {where}, wanted is float32; save the weights as float32")


def _group(name: str) -> str:
    """What a head's variable belongs to: where one is, the others must be."""
    scope = name.partition("/")[0]
    if scope in ("start_logits", "end_logits", "answer_class"):
        return "question-answering"
    if name.startswith(SUMMARY) and not name.startswith(f"{SUMMARY}summary/"):
        return f"{SUMMARY}abs_attn"
    return name.rpartition("/")[0]


def listed(names: list[str]) -> str:
    """The first names, and how many there are more."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _fits(found: tuple[int, ...], wanted: Shape) -> bool:
    return len(found) == len(wanted) and all(size in (None, at) for at, size in zip(found, wanted, strict=True))


def _shown(shape: Shape) -> list[int | str]:
    return ["any" if size is None else size for size in shape]
