"""The peer's side of the features of span answers: its fast XLNet tokenizer on our vocabulary."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def imports() -> None:
    import transformers.models.xlnet.tokenization_xlnet  # noqa: F401


def runs(options: Any) -> dict[str, Callable[[], Any]]:
    """`options`: data, peer_vocabulary, sequence_length, overlap."""
    from transformers import XLNetTokenizer

    pieces = json.loads(Path(options.peer_vocabulary).read_text(encoding="utf-8"))
    tokenizer = XLNetTokenizer(vocab=[(piece, score) for piece, score in pieces], unk_id=0)
    contexts, questions = asked(options.data)
    found: list[int] = []

    def features() -> None:
        encoded = tokenizer(
            contexts,
            questions,
            truncation="only_first",
            max_length=options.sequence_length,
            stride=options.overlap,
            padding="max_length",
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        found[:] = [len(encoded["input_ids"])]

    return {"features": features, "windows": lambda: float(found[0])}


def asked(path: str) -> tuple[list[str], list[str]]:
    """The context and the text of every question, as its example script has them."""
    articles = json.loads(Path(path).read_text(encoding="utf-8"))["data"]
    pairs = [
        (part["context"], qa["question"]) for each in articles for part in each["paragraphs"] for qa in part["qas"]
    ]
    contexts, questions = zip(*pairs, strict=True)
    return list(contexts), [question.lstrip() for question in questions]
