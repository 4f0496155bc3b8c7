"""The prediction that is measured: its sizes and texts. Imports NumPy alone: the peer's interpreter reads it too."""

import glob
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Sizes:
    """The model and the rows that are measured."""

    vocab_size: int = 8000
    layers: int = 6
    model_dim: int = 512
    heads: int = 8
    length: int = 256
    texts: int = 512
    batch: int = 32


def gather(pattern: str, count: int, *, seed: int = 0) -> list[str]:
    """Lines of files, drawn at random, each as often as it stands there."""
    lines = [
        line for path in sorted(glob.glob(pattern)) for line in Path(path).read_text().splitlines() if line.strip()
    ]
    random = np.random.default_rng(seed)
    return [lines[index] for index in random.choice(len(lines), count, replace=len(lines) < count)]
