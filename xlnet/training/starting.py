"""What fine-tuning starts from: a model directory, a released checkpoint, or nothing."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from xlnet import storage, vocab
from xlnet.errors import UserError
from xlnet.file_names import VOCABULARY
from xlnet.model.checkpoints import CONFIG, load_config, read_description
from xlnet.model.config import ModelConfig
from xlnet.text import Tokenizer


@dataclass(frozen=True)
class Start:
    """A configuration with the vocabulary that belongs to it; `weights` None: fresh ones."""

    config: ModelConfig
    tokenizer: Tokenizer
    vocabulary: str
    weights: str | None

    @property
    def text(self) -> dict[str, bool]:
        """How text is normalised."""
        return {"lower": self.tokenizer.lower, "keep_accents": self.tokenizer.keep_accents}


def start(
    init: str | None,
    *,
    model_config: ModelConfig | None = None,
    vocabulary: str | None = None,
    text: dict[str, bool] | None = None,
) -> Start:
    """Finds out what to start from.

    `init`: a model directory, which brings its vocabulary and `text` settings; or a TF1 checkpoint (prefix or
    folder), with `vocabulary` beside it as spiece.model or given; or None, with `model_config` and `vocabulary`.
    Raises UserError for what is missing, and for a vocabulary that is not the model's.
    """
    if init is None:
        if model_config is None or vocabulary is None:
            raise UserError("nothing to start from: pass --init, or both a model configuration and --vocabulary")
        tokenizer = Tokenizer(vocabulary, **(text or {}))
        config = dataclasses.replace(model_config, vocab_size=tokenizer.size)
        return _checked(config, tokenizer, vocabulary=vocabulary, weights=None)
    config = load_config(init)
    folder = init if storage.exists(storage.join(init, CONFIG)) else _folder(init)
    stored = _stored(folder)
    normalisation = stored.get("text", text or {})
    if text is not None and text != normalisation:
        raise UserError(f"{init} was trained on text with {normalisation}, asked for is {text}; leave it out")
    own = storage.join(folder, VOCABULARY)
    chosen = vocabulary or own
    if not storage.exists(chosen):
        raise UserError(f"{init} has no {VOCABULARY} beside it; pass --vocabulary")
    tokenizer = Tokenizer(chosen, **normalisation)
    expected = stored.get("vocabulary_sha256") or (storage.sha256(own) if storage.exists(own) else None)
    if expected is not None and expected != tokenizer.sha256:
        raise UserError(
            f"the vocabulary {chosen} has the SHA-256 {tokenizer.sha256}, {init} was trained with {expected}; "
            "leave out --vocabulary, or start from a model with this vocabulary"
        )
    return _checked(config, tokenizer, vocabulary=chosen, weights=init)


def _folder(init: str) -> str:
    """The folder of a TF1 checkpoint, given as folder or as prefix."""
    return init.rpartition("/")[0] or "." if storage.exists(f"{init}.index") else init


def _stored(folder: str) -> dict[str, Any]:
    return read_description(folder) if storage.exists(storage.join(folder, CONFIG)) else {}


def _checked(config: ModelConfig, tokenizer: Tokenizer, *, vocabulary: str, weights: str | None) -> Start:
    vocab.check(storage.read_bytes(vocabulary))
    if config.vocab_size != tokenizer.size:
        raise UserError(
            f"the vocabulary {vocabulary} has {tokenizer.size} pieces, the model {config.vocab_size}; "
            "give the vocabulary that belongs to the model"
        )
    return Start(config, tokenizer, vocabulary, weights)
