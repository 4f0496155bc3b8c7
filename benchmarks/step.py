"""The pretraining step that is measured: its sizes, its arithmetic, its inputs for us and for the peer.

Imports no framework: the peer's interpreter reads it too.
"""

from dataclasses import dataclass, fields

import numpy as np

SEP, CLS = 4, 3


@dataclass(frozen=True)
class Sizes:
    """The step that is measured; half of the rows are read backward, but of a single one."""

    layers: int = 4
    model_dim: int = 512
    heads: int = 8
    head_dim: int = 64
    feedforward_dim: int = 2048
    vocab_size: int = 8000
    batch: int = 4
    length: int = 512
    memory: int = 384
    reuse: int = 256
    predictions: int = 85
    dropout: float = 0.0
    precision: str = "float32"  # or bfloat16: then on an accelerator

    @property
    def bidirectional(self) -> bool:
        """Whether rows alternate between directions."""
        return self.batch > 1

    @property
    def square(self) -> int:
        """Side of the matrices whose product gives the peak."""
        return 2048 if self.precision == "float32" else 8192

    @property
    def chained(self) -> int:
        """How many of these products are timed at once: on an accelerator one is over before it is waited for."""
        return 1 if self.precision == "float32" else 16

    @property
    def pieces(self) -> int:
        """Pieces in a batch."""
        return self.batch * self.length


def products(sizes: Sizes) -> float:
    """Floating point operations in the matrix products of our step; not for the peer's interpreter."""
    from xlnet.model import flops
    from xlnet.model.config import ModelConfig

    shared = {field.name for field in fields(ModelConfig)} & {field.name for field in fields(Sizes)}
    config = ModelConfig(**{name: getattr(sizes, name) for name in shared})
    return flops.of_step(
        config,
        rows=sizes.batch,
        length=sizes.length,
        memory=sizes.memory,
        predictions=sizes.predictions,
        boundary=sizes.reuse,
    )


def example(sizes: Sizes, *, seed: int = 0) -> dict[str, np.ndarray]:
    """A batch as pretraining sees it, and memories; rows alternate forward, backward."""
    random = np.random.default_rng(seed)
    batch, length, half = sizes.batch, sizes.length, sizes.reuse
    pieces = random.integers(9, sizes.vocab_size, (batch, length)).astype("int32")
    pieces[:, -1], pieces[:, [length // 2, -2]] = CLS, SEP
    order = np.stack(
        [np.concatenate([random.permutation(half), random.permutation(length - half)]) for _ in range(batch)]
    )
    is_target = np.zeros((batch, length), bool)
    for row in is_target:
        row[random.choice(length - 2, sizes.predictions, replace=False)] = True
    is_target &= ~np.isin(pieces, [SEP, CLS])
    shape = (sizes.layers, batch, sizes.memory, sizes.model_dim)
    segments = np.repeat([[0] * (length // 2) + [1] * (length - length // 2 - 1) + [2]], batch, axis=0)
    return {
        "pieces": pieces,
        "segments": segments.astype("int32"),
        "order": order.astype("int32"),
        "is_target": is_target,
        "memories": random.standard_normal(shape).astype("float32"),
    }


def masks(batch: dict[str, np.ndarray], sizes: Sizes) -> dict[str, np.ndarray]:
    """What the peer wants instead of orders, in NumPy."""
    order, target = batch["order"], batch["is_target"]
    ordered = target | np.isin(batch["pieces"], [SEP, CLS])
    rank = np.where(ordered, order, -1)
    own = np.where(target, rank, rank + 1)
    new = np.arange(sizes.length) >= sizes.reuse
    seen = np.where(new[:, None] == new[None, :], own[:, :, None] > rank[:, None, :], new[:, None])
    mapping = np.zeros((sizes.batch, sizes.predictions, sizes.length), "float32")
    labels = np.full((sizes.batch, sizes.predictions), -100)
    for row, chosen in enumerate(target):
        positions = np.flatnonzero(chosen)
        mapping[row, np.arange(len(positions)), positions] = 1
        labels[row, : len(positions)] = batch["pieces"][row, positions]
    return {"perm_mask": 1.0 - seen.astype("float32"), "target_mapping": mapping, "labels": labels}
