"""Fixtures that every test may use."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

HERE = Path(__file__).resolve().parent
PLACES = [HERE / "golden", HERE.parent.parent / "shared" / "golden"]


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Path]:
    """Path of a file recorded from the reference implementation; skips where that file is not to be had."""

    def find(name: str) -> Path:
        for place in PLACES:
            if (place / name).exists():
                return place / name
        pytest.skip(
            f"the recorded file {name} is not here (only its numeric siblings are part of the repository)"
        )

    return find
