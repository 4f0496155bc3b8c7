"""The JSON files of a Hugging Face folder: sizes, head and text settings, to and from this project's."""

from collections.abc import Mapping
from typing import Any

from xlnet.errors import UserError, require
from xlnet.json_types import is_of
from xlnet.model.config import LAYER_NORM_EPSILON, PLAIN_SUMMARIES, ModelConfig
from xlnet.model.hugging_face import ARCHITECTURES

TOKENIZER_CONFIG = "tokenizer_config.json"
SIZES = {  # its keys, ours, and what it takes where its file says nothing
    "vocab_size": ("vocab_size", 32000),
    "n_layer": ("layers", 24),
    "d_model": ("model_dim", 1024),
    "n_head": ("heads", 16),
    "d_inner": ("feedforward_dim", 4096),
    "dropout": ("dropout", 0.1),
    "initializer_range": ("initializer_stddev", 0.02),
    "clamp_len": ("clamp_length", -1),
    "attn_type": ("attention", "bi"),
    "same_length": ("same_length", False),
}
TANH_GELU = "gelu_new"  # the reference's gelu; Hugging Face's "gelu" is the exact one
SPANS = ("data_set", "stride", "question_length", "answer_length", "best_answers", "null_threshold")
ACTIVATIONS = {
    TANH_GELU: "gelu",
    "gelu_pytorch_tanh": "gelu",
    "gelu_python_tanh": "gelu",
    "gelu_accurate": "gelu",
    "gelu_fast": "gelu",
    "gelu": "gelu_exact",
    "relu": "relu",
}
FIXED = {"layer_norm_eps": LAYER_NORM_EPSILON, "bi_data": False}
IDENTITY = "linear"
PROBLEMS = ("regression", "single_label_classification")
LONGEST = 1 << 20  # pieces of a row; a tokenizer writes 1e30 for "any"
KINDS: dict[str, Any] = {  # of keys of config.json, where they are there
    "architectures": list[str],
    "num_labels": int,
    "id2label": dict,
    "start_n_top": int,
    "end_n_top": int,
    "summary_use_proj": bool,
    "xlnet_head": dict,
}
WANTED = {bool: "true or false", int: "a whole number", str: "text", dict: "an object", list[str]: "a list of names"}
TEXT = {"do_lower_case": bool, "keep_accents": bool, "remove_space": bool, "padding_side": str}  # of the tokenizer's


def read_config(content: Mapping[str, Any], *, tied: bool, where: str) -> ModelConfig:
    """A model's sizes from the content of config.json. `tied`: the biases are the same in all layers.

    Raises UserError for another kind of model and for what an XLNet here cannot be.
    """
    if content.get("model_type") != "xlnet":
        raise UserError(f"{where}: model_type is {content.get('model_type')!r}, wanted is 'xlnet'")
    _check_kinds(content, KINDS, where=where)
    for key, wanted in FIXED.items():
        if content.get(key, wanted) != wanted:
            raise UserError(f"{where}: {key} is {content[key]!r}, a model here has {wanted!r}; it cannot be converted")
    activation = content.get("ff_activation", "gelu")
    if activation not in list(ACTIVATIONS):
        raise UserError(f"{where}: ff_activation is {activation!r}, known are {', '.join(ACTIVATIONS)}")
    sizes = {ours: content.get(key, default) for key, (ours, default) in SIZES.items()}
    sizes["attention_dropout"] = content.get("attention_dropout", sizes["dropout"])
    try:
        head_dim = content.get("d_head") or sizes["model_dim"] // sizes["heads"]
        return ModelConfig(
            **sizes,
            head_dim=head_dim,
            activation=ACTIVATIONS[activation],
            untie_biases=not (tied and content.get("untie_r") is False),
        )
    except (UserError, TypeError, ZeroDivisionError) as error:
        raise UserError(f"{where}: {error}") from None


def head_kind(content: Mapping[str, Any], *, where: str) -> str | None:
    """The kind of head that config.json names. Raises UserError for a class that has no counterpart."""
    named = (content.get("architectures") or ["XLNetModel"])[0]
    if named == ARCHITECTURES["classification"]:
        problem = content.get("problem_type") or PROBLEMS[_labels(content) > 1]
        require(problem in PROBLEMS, f"{where}: problem_type", problem, f"one of {', '.join(PROBLEMS)}")
        return "regression" if problem == "regression" else "classification"
    for kind, architecture in ARCHITECTURES.items():
        if named == architecture:
            return kind
    known = ", ".join(sorted(set(ARCHITECTURES.values())))
    raise UserError(f"{where} is of a {named}, which has no counterpart here; known are {known}")


def read_head(
    content: Mapping[str, Any], tokenizer: Mapping[str, Any], *, kind: str, outputs: int, where: str
) -> dict[str, Any]:
    """A model directory's description of a head, one of HEADS, from what a folder says of it.

    Raises UserError where the summary is computed in a way that is not known here, and where there are not as many
    classes as the weights have `outputs`.
    """
    kept = content.get("xlnet_head") or {}
    head: dict[str, Any] = {"task": kind, "sequence_length": kept.get("sequence_length") or _length(tokenizer)}
    if kind == "question-answering":
        tops = {"start_top": content.get("start_n_top"), "end_top": content.get("end_n_top")}
        return head | {name: kept.get(name) for name in SPANS} | tops
    if kind == "multiple-choice":
        head["option_length"] = kept.get("option_length")
    else:
        head["columns"] = kept.get("columns")
        head["classes"] = None if kind == "regression" else _classes(content, outputs, where=where)
    return head if kind == "token-classification" else head | _summary(content, where=where)


def _classes(content: Mapping[str, Any], outputs: int, *, where: str) -> list[str]:
    require(
        _labels(content) == outputs, f"{where}: the number of labels", _labels(content), f"{outputs}, as in the weights"
    )
    names = content.get("id2label") or {}
    return [str(names.get(str(number), number)) for number in range(outputs)]


def _summary(content: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    summary, projection = content.get("summary_type", "last"), content.get("summary_use_proj", True)
    summary = "last" if summary == "cls_index" else summary  # which is the last one where none is given
    if summary not in PLAIN_SUMMARIES or content.get("summary_proj_to_labels"):
        raise UserError(f"{where}: summary_type is {summary!r}, known are last, first and mean, projected to model_dim")
    activation = content.get("summary_activation", "tanh")
    if activation not in (("tanh",) if projection else (None, "", IDENTITY)):
        raise UserError(
            f"{where}: summary_activation is {activation!r} with summary_use_proj {projection}; "
            f"known are tanh with a projection and {IDENTITY} without"
        )
    return {"summary": summary, "projection": projection}


def _labels(content: Mapping[str, Any]) -> int:
    return content.get("num_labels") or len(content.get("id2label") or {"0": "", "1": ""})


def _length(tokenizer: Mapping[str, Any]) -> int | None:
    length = tokenizer.get("model_max_length")
    return length if isinstance(length, int) and length <= LONGEST else None


def read_text(tokenizer: Mapping[str, Any], *, where: str) -> dict[str, bool]:
    """How text is normalised, from the content of tokenizer_config.json. Raises UserError for another kind of value."""
    _check_kinds(tokenizer, TEXT, where=where)
    return {
        "lower": tokenizer.get("do_lower_case") or False,
        "keep_accents": tokenizer.get("keep_accents") or False,
    }


def notes(content: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> list[str]:
    """What a folder says and a model directory has no place for, a text each."""
    found = []
    if content.get("mem_len"):
        found.append(f"its mem_len is {content['mem_len']}; pass --memory-length to write text with as long a memory")
    if tokenizer.get("remove_space") is False:
        found.append("its tokenizer keeps spaces as they are (remove_space); here a run of them is one")
    if tokenizer.get("padding_side", "left") != "left":
        found.append(
            f"its tokenizer pads on the {tokenizer['padding_side']}; here, as in the reference, it is the left"
        )
    return found


def _check_kinds(content: Mapping[str, Any], kinds: Mapping[str, Any], *, where: str) -> None:
    for name, kind in kinds.items():
        if content.get(name) is not None and not is_of(content[name], kind):
            raise UserError(f"{where}: {name} is {content[name]!r:.80}, wanted is {WANTED[kind]}")


def write_config(config: ModelConfig, *, kind: str | None, head: Mapping[str, Any] | None) -> dict[str, Any]:
    """The content of config.json. Raises UserError for a summary that Hugging Face does not have."""
    content: dict[str, Any] = {key: getattr(config, ours) for key, (ours, _) in SIZES.items()}
    content |= {
        **FIXED,
        "architectures": [ARCHITECTURES[kind]],
        "model_type": "xlnet",
        "d_head": config.head_dim,
        "ff_activation": {"gelu": TANH_GELU, "gelu_exact": "gelu"}.get(config.activation, config.activation),
        "attention_dropout": config.attention_dropout,  # not read there: it has one rate for both
        "untie_r": config.untie_biases,
        "tie_word_embeddings": True,
        "mem_len": None,
        "summary_last_dropout": config.dropout,
    }
    content |= {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 5}
    if head is None:
        return content
    if kind == "question-answering":
        content |= {"start_n_top": head["start_top"], "end_n_top": head["end_top"]}
    names = SPANS if kind == "question-answering" else ("columns", "option_length")
    content["xlnet_head"] = {name: head[name] for name in ("sequence_length", *names) if name in head}
    if "summary" in head:
        if head["summary"] == "attn":
            raise UserError(
                "the model sums its text up by attention, which Hugging Face's XLNet cannot; fine-tune another"
            )
        content |= {
            "summary_type": head["summary"],
            "summary_use_proj": head["projection"],
            "summary_activation": "tanh" if head["projection"] else IDENTITY,
        }
    if "classes" not in head:
        return content
    labels = head["classes"] or ["LABEL_0"]
    content["id2label"] = {str(number): name for number, name in enumerate(labels)}
    content["label2id"] = {name: number for number, name in enumerate(labels)}
    if kind != "token-classification":
        content["problem_type"] = "regression" if head["classes"] is None else "single_label_classification"
    return content


def write_tokenizer_config(text: Mapping[str, bool], *, sequence_length: int | None) -> dict[str, Any]:
    """The content of tokenizer_config.json."""
    content = {
        "tokenizer_class": "XLNetTokenizer",
        "do_lower_case": text["lower"],
        "keep_accents": text["keep_accents"],
        "remove_space": True,
        "padding_side": "left",
    }
    return content if sequence_length is None else content | {"model_max_length": sequence_length}
