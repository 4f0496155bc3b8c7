"""Fixtures of the tests of training."""

import functools
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


def load(name: str) -> Any:
    """A module beside the tests, which are no package."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parent.parent / f"{name}.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture
def storage_service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A storage server with an empty bucket `b`, where this process and those that it starts find gs://."""
    with load("storage_server").serving(load("storage_objects").Objects("b", page=50)) as service:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", service.address)
        yield service
