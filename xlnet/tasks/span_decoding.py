"""The best spans of each question from the beams of its windows.

Source: reference run_squad.py, write_predictions. There a span that touches the last piece of a window is dropped;
here it is an answer as any other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from xlnet.tasks.span_windows import Windows


@dataclass(frozen=True)
class Span:
    """An answer of a question: characters of its context, half open, and the natural logarithms of probabilities."""

    text: str
    start: int
    end: int
    start_log_prob: float
    end_log_prob: float

    @property
    def log_prob(self) -> float:
        """Of the span."""
        return self.start_log_prob + self.end_log_prob


def best_spans(
    found: Windows, beams: Mapping[str, NDArray[Any]], contexts: Sequence[str], *, count: int, longest: int
) -> list[list[Span]]:
    """Of each question up to `count` spans of different texts, the best first; none where no beam is a span.

    `beams` are a SpanAnswerer's outputs for the windows `found`, with columns as positions; `contexts` those of the
    questions. A span of more than `longest` pieces, or one that starts where another window shows more context, is
    passed over.
    """
    windows, starts, ends, scores = _candidates(found, beams, longest)
    first, last = found.characters(windows, starts, ends)
    order = np.lexsort((-scores.sum(axis=1), found.question[windows]))
    answers: list[list[Span]] = [[] for _ in range(int(found.question[-1]) + 1)]
    for row in order:
        question = found.question[windows[row]]
        best = answers[question]
        if len(best) < count:
            context = contexts[found.context[windows[row]]]
            covered = context[first[row] : last[row]]
            text = covered.strip()
            if all(text != other.text for other in best):
                start = int(first[row]) + len(covered) - len(covered.lstrip())
                best.append(Span(text, start, start + len(text), *scores[row].tolist()))
    return answers


def _candidates(found: Windows, beams: Mapping[str, NDArray[Any]], longest: int) -> tuple[NDArray[Any], ...]:
    """Windows, first and last pieces [candidates] of what can be answers, and log probabilities of both ends [_, 2]."""
    begin = found.begin[:, None, None]
    ends = beams["ends"].astype(np.int64) - begin
    starts = np.broadcast_to(beams["starts"].astype(np.int64)[:, :, None] - begin, ends.shape)
    length = found.length[:, None, None]
    is_span = (starts >= 0) & (ends >= starts) & (ends < length) & (ends - starts < longest)
    windows, beam, end = np.nonzero(is_span)
    chosen = found.has_most_context(windows, starts[is_span])
    windows, beam, end = windows[chosen], beam[chosen], end[chosen]
    scores = np.stack([beams["start_log_probs"][windows, beam], beams["end_log_probs"][windows, beam, end]], axis=1)
    return windows, starts[windows, beam, end], ends[windows, beam, end], scores.astype(np.float64)


def probabilities(spans: Sequence[Span]) -> list[float]:
    """Of spans among each other."""
    scores = np.array([span.log_prob for span in spans])
    return softmax(scores).tolist() if len(scores) else []


def null_scores(found: Windows, impossible: NDArray[Any]) -> NDArray[np.float64]:
    """Of each question the logit of there being no answer [questions]: the least of its windows' [w]."""
    best = np.full(int(found.question[-1]) + 1, np.inf)
    np.minimum.at(best, found.question, impossible.astype(np.float64))
    return best
