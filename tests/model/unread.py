"""A plugin of pytest: the recorded arrays that no test of its run has read, in the file that UNREAD names."""

import json
import os
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
SEEN: set[str] = set()
GET = np.lib.npyio.NpzFile.__getitem__


def _get(arrays: np.lib.npyio.NpzFile, key: str) -> np.ndarray:
    SEEN.add(f"{arrays.zip.filename}:{key}")
    return GET(arrays, key)


def pytest_configure() -> None:
    np.lib.npyio.NpzFile.__getitem__ = _get


def pytest_sessionfinish() -> None:
    stored = {f"{path}:{key}" for path in GOLDEN.rglob("*.npz") for key in np.load(path).files}
    found = sorted(name.removeprefix(f"{GOLDEN}/") for name in stored - SEEN)
    Path(os.environ["UNREAD"]).write_text(json.dumps(found))
