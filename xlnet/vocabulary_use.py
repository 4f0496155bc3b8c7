"""How a text uses its vocabulary: which pieces carry it, which are rare, which it never needs."""

from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from xlnet import plots
from xlnet.special_pieces import SPECIAL_PIECES
from xlnet.text import SPACE, Tokenizer

FREQUENT, UNUSED = 60, 40  # pieces that are shown
RARE = 100  # times in the text; a piece that is met less often is learnt badly


def measure(counts: NDArray[np.int64], tokenizer: Tokenizer) -> dict[str, Any]:
    """How the text uses the vocabulary; pieces are given as they are shown."""
    order = np.argsort(-counts, kind="stable")
    used, total = int((counts > 0).sum()), max(1, int(counts.sum()))
    covered = np.cumsum(counts[order]) / total
    unused = [index for index in np.flatnonzero(counts == 0).tolist() if index >= len(SPECIAL_PIECES)]
    return {
        "size": len(counts),
        "used": used,
        "few": RARE,
        "rare": int(((counts > 0) & (counts < RARE)).sum()),
        "half": int(np.searchsorted(covered, 0.5)) + 1,
        "most": int(np.searchsorted(covered, 0.99)) + 1,
        "frequent": [
            {"text": shown(tokenizer.piece(index)), "count": int(counts[index]), "share": counts[index] / total}
            for index in order[: min(used, FREQUENT)].tolist()
        ],
        "never": len(unused),
        "unused": [shown(tokenizer.piece(index)) for index in unused[:UNUSED]],
        "plot": _ranks_plot(counts[order][:used]) if used > 1 else None,
    }


def _ranks_plot(counts: NDArray[np.int64]) -> Markup:
    ranks = np.unique(np.geomspace(1, len(counts), 200).round().astype(np.int64))
    points = [(float(rank), float(counts[rank - 1])) for rank in ranks]
    return plots.lines(
        [plots.Curve("pieces", points)],
        name="ranks",
        label="Frequency of pieces over their rank",
        unit="times in the text",
        axis="rank of the piece",
        logarithmic=True,
    )


def shown(surface: str) -> str:
    """A piece as it is shown: the mark of a word's beginning as a bullet that every typeface has."""
    return surface.replace(SPACE, "·") if surface else "␣"
