"""How good predictions are, beside what a model that never reads the text would reach.

`None` stands for a number that is not defined: a correlation of constant values, or of fewer than two.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics

LOWER_IS_BETTER = ("loss", "mean_squared_error")


def score(name: str, values: Mapping[str, float | None]) -> float:
    """A metric as a number of which more is better; -inf where it is not defined."""
    value = values.get(name)
    if value is None:
        return -math.inf
    return -value if name in LOWER_IS_BETTER else value


def classification(
    truth: NDArray[np.integer], predicted: NDArray[np.integer], *, classes: list[str], positive: str | None = None
) -> dict[str, Any]:
    """Accuracy, macro F1, Matthews correlation, each class's scores and the confusion matrix (rows are truth).

    Truth and predictions are class numbers, [n] each. Macro F1 is over the classes that occur in the
    truth or among the predictions. With `positive` there is `f1` too, that of this class alone, as GLUE has it for
    paraphrases. The majority is that of the truth: the best that one constant answer can do.
    """
    majority = int(np.bincount(truth, minlength=len(classes)).argmax())
    constant = np.full_like(truth, majority)
    numbers = range(len(classes))
    scores = metrics.precision_recall_fscore_support(truth, predicted, labels=numbers, zero_division=0)
    return {
        "metrics": {
            "accuracy": float(np.mean(truth == predicted)),
            "macro_f1": _macro_f1(truth, predicted),
            "matthews": _matthews(truth, predicted),
            **({} if positive is None else {"f1": float(scores[2][classes.index(positive)])}),
        },
        "majority": {
            "class": classes[majority],
            "accuracy": float(np.mean(truth == constant)),
            "macro_f1": _macro_f1(truth, constant),
        },
        "classes": classes,
        "confusion": metrics.confusion_matrix(truth, predicted, labels=numbers).tolist(),
        "per_class": [
            {
                "class": name,
                "precision": float(precision),
                "recall": float(recall),
                "f1": float(f1),
                "support": int(support),
            }
            for name, precision, recall, f1, support in zip(classes, *scores, strict=True)
        ],
    }


def regression(truth: NDArray[np.floating], predicted: NDArray[np.floating]) -> dict[str, Any]:
    """Pearson and Spearman correlation and mean squared error, beside that of answering the mean; values [n] each."""
    truth, predicted = truth.astype(np.float64), predicted.astype(np.float64)
    mean = float(truth.mean())
    return {
        "metrics": {
            "pearson": _correlation(stats.pearsonr, truth, predicted),
            "spearman": _correlation(stats.spearmanr, truth, predicted),
            "mean_squared_error": float(np.mean((truth - predicted) ** 2)),
        },
        "mean": {"value": mean, "mean_squared_error": float(np.mean((truth - mean) ** 2))},
    }


def _macro_f1(truth: NDArray[np.integer], predicted: NDArray[np.integer]) -> float:
    return float(metrics.f1_score(truth, predicted, average="macro", zero_division=0))


def _matthews(truth: NDArray[np.integer], predicted: NDArray[np.integer]) -> float:
    return float(metrics.matthews_corrcoef(truth, predicted))


def _correlation(kind: Any, truth: NDArray[np.floating], predicted: NDArray[np.floating]) -> float | None:
    if len(truth) < 2 or np.ptp(truth) == 0 or np.ptp(predicted) == 0:
        return None
    found = float(kind(truth, predicted).statistic)
    return found if np.isfinite(found) else None


def spread(values: Sequence[float]) -> dict[str, float]:
    """Of one figure of several runs: median, lowest, highest, standard deviation (of a sample; 0 of one value)."""
    return {
        "median": statistics.median(values),
        "lowest": min(values),
        "highest": max(values),
        "deviation": statistics.stdev(values) if len(values) > 1 else 0.0,
    }
