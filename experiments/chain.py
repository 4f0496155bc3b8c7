"""`xlnet` verbs one after the other, skipped where they are finished, and tables of what they measured."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xlnet.tasks.metrics import spread

SEEDS = 3


def xlnet(*words: object, result: Path) -> dict[str, Any]:
    """Runs a verb unless its result, a JSON file written last, is there. Returns what the result says."""
    if not result.exists():
        command = [sys.executable, "-m", "xlnet.cli", *map(str, words)]
        print("\n$ xlnet", *map(str, words), flush=True)
        subprocess.run(command, check=True)
    return json.loads(result.read_text())


def median(spread: dict[str, float]) -> str:
    """The median, with the lowest and the highest; see `xlnet.tasks.metrics.spread`."""
    return "{median:.3f} ({lowest:.3f} to {highest:.3f})".format(**spread)


def median_of(values: Sequence[float]) -> str:
    """As `median`, of single figures."""
    return median(spread(values))


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows as a Markdown table."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
