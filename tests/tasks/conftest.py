"""Fixtures of the tests of tasks."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from sentencepiece import SentencePieceTrainer

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "finetune"


@pytest.fixture(scope="session")
def task_data() -> Callable[[str], Path]:
    """Path of a file of a published data set; skips where it is missing."""

    def find(name: str) -> Path:
        if not (DATA / name).exists():
            pytest.skip(f"{name} is not here: published data sets are not part of the repository")
        return DATA / name

    return find


@pytest.fixture(scope="session")
def characters():
    """Makes a vocabulary of a text's characters, each a piece."""

    def make(texts):
        model = io.BytesIO()
        SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            model_type="char",
            vocab_size=20_000,
            hard_vocab_limit=False,
            character_coverage=1.0,
            control_symbols=["<cls>", "<sep>", "<pad>", "<mask>", "<eod>"],
            user_defined_symbols=["<eop>"],
            minloglevel=2,
        )
        return model.getvalue()

    return make
