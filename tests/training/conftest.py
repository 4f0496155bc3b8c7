"""Fixtures of the tests of training."""

import functools
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def at_once() -> Iterator[None]:
    """Fine-tuning without compilation: for tests of what happens between steps."""
    from xlnet.model.heads import SequenceClassifier
    from xlnet.training.finetuner import Finetuner

    with pytest.MonkeyPatch.context() as patch:
        for kind in (Finetuner, SequenceClassifier):
            patch.setattr(kind, "compile", functools.partialmethod(kind.compile, run_eagerly=True))
        yield
