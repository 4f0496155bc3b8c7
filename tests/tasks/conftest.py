"""Fixtures of the tests of tasks."""

from collections.abc import Callable
from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "finetune"


@pytest.fixture(scope="session")
def task_data() -> Callable[[str], Path]:
    """Path of a file of a published data set; skips where it is missing."""

    def find(name: str) -> Path:
        if not (DATA / name).exists():
            pytest.skip(f"{name} is not here: published data sets are not part of the repository")
        return DATA / name

    return find
