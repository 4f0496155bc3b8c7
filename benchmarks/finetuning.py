"""The fine-tuning step that is measured: its sizes, its inputs for us and for the peer.

Imports NumPy alone: the peer's interpreter reads it too.
"""

from dataclasses import dataclass

import numpy as np

SEP, CLS = 4, 3
CLASSES = 3
RATE, EPSILON, CLIP = 3e-5, 1e-6, 1.0


@dataclass(frozen=True)
class Sizes:
    """A classifier of texts, and a batch of them."""

    layers: int = 4
    model_dim: int = 512
    heads: int = 8
    head_dim: int = 64
    feedforward_dim: int = 2048
    vocab_size: int = 8000
    batch: int = 4
    length: int = 512
    dropout: float = 0.1


def example(sizes: Sizes, *, seed: int = 0) -> dict[str, np.ndarray]:
    """A batch of whole rows: pieces, segments, padding int32 [batch, length], label int32 [batch]."""
    random = np.random.default_rng(seed)
    pieces = random.integers(9, sizes.vocab_size, (sizes.batch, sizes.length)).astype("int32")
    pieces[:, -1], pieces[:, -2] = CLS, SEP
    segments = np.zeros_like(pieces)
    segments[:, -1] = 2
    label = random.integers(0, CLASSES, sizes.batch).astype("int32")
    return {"pieces": pieces, "segments": segments, "padding": np.zeros_like(pieces), "label": label}
