"""Named arrays that lie in a file."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Stored:
    """Named arrays in a file: their shapes, and a way to read one."""

    shapes: dict[str, tuple[int, ...]]
    read: Callable[[str], np.ndarray]

    def arrays(self) -> dict[str, np.ndarray]:
        """All of them, in the order of their names."""
        return {name: self.read(name) for name in sorted(self.shapes)}
