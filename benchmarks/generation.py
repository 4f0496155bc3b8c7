"""Pieces/s of a language model that carries its memory, against one that computes its context anew for every piece.

    python -m benchmarks.generation [--backend jax]

Generation: one piece is read, keys and values of those before it are kept; the peer reads all of them again.
Evaluation: segments with the memory of those before; the peer reads a window for each piece, and only its last loss
counts. Both see about as far back. The same weights, compiled alike, in turns; the logits are compared first.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.turns import conditions, threads_flag

SEGMENT = 128


def build(options: argparse.Namespace) -> tuple[dict[str, Callable[[], float]], dict[str, Callable[[], float]]]:
    """What is run, each returns how many pieces it was: of generation, of evaluation."""
    import keras

    from xlnet.corpus.settings import CorpusSettings
    from xlnet.model.backbone import Backbone
    from xlnet.model.config import ModelConfig
    from xlnet.model.continuation import Continuation, ReadText
    from xlnet.model.heads import LanguageModelHead
    from xlnet.training.pretrainer import Pretrainer

    config = ModelConfig(
        vocab_size=8000, layers=options.layers, model_dim=512, heads=8, head_dim=64, feedforward_dim=2048,
        attention="uni",
    )  # fmt: skip
    backbone = Backbone(config, seed=0)
    head = LanguageModelHead(backbone)
    random = np.random.default_rng(0)
    memory, rows = options.memory, options.rows

    class Anew(keras.Model):
        """The whole context read again: logits of what follows."""

        def call(self, pieces: Any) -> Any:
            return head.logits(backbone(pieces)[0][:, -1:])[:, 0]

    text = ReadText(backbone, rows=rows, memory_length=memory, longest=SEGMENT)
    whole, step, anew = (
        Continuation(backbone, head, text, length=SEGMENT),
        Continuation(backbone, head, text, length=1),
        Anew(),
    )
    for model in (whole, step, anew):
        model.compile(jit_compile=True)
    context = random.integers(9, 8000, (rows, memory)).astype(np.int32)
    text.forget()
    for start in range(0, memory, SEGMENT):
        logits = whole.predict_on_batch(context[:, start : start + SEGMENT])
    print(f"largest difference of the logits: {np.abs(logits - anew.predict_on_batch(context)).max():.1e}")

    def carried() -> float:
        for _ in range(options.pieces):
            step.predict_on_batch(context[:, -1:])
        return rows * options.pieces

    def recomputed() -> float:
        anew.predict_on_batch(context)
        return rows

    corpus = CorpusSettings(sequence_length=SEGMENT + 5, reuse_length=SEGMENT, permutation_size=1, predictions=1)
    reader = Pretrainer(backbone, head, corpus=corpus, objective="causal", rows=rows, memory_length=memory)
    reader.compile(jit_compile=True)
    window = random.integers(9, 8000, (rows, SEGMENT + 5)).astype(np.int32)

    def by_segments() -> float:
        reader.predict_on_batch({"pieces": window, "reset": np.zeros(rows, bool)})
        return rows * SEGMENT

    return {"carried": carried, "anew": recomputed}, {"carried": by_segments, "anew": recomputed}


def rates(runs: Mapping[str, Callable[[], float]], *, rounds: int) -> dict[str, float]:
    """Pieces/s of each, by the median of rounds in turns; a first round, that compiles, is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    pieces = {name: run() for name, run in runs.items()}
    for _ in range(rounds):
        for name, run in runs.items():
            begin = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - begin)
    return {name: pieces[name] / statistics.median(spent) for name, spent in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=["tensorflow", "jax"], default="tensorflow")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--memory", type=int, default=384, help=f"pieces, a multiple of {SEGMENT}")
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--pieces", type=int, default=32, help="generated in a round")
    parser.add_argument("--rounds", type=int, default=7)
    threads_flag(parser)
    options = parser.parse_args()
    os.environ |= {
        "KERAS_BACKEND": options.backend,
        "OMP_NUM_THREADS": str(options.threads),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    print(conditions(options.threads))
    print(f"{options.layers} layers of 512, {options.memory} pieces to look back on, {options.backend}")
    for rows in options.rows:
        given = argparse.Namespace(**{**vars(options), "rows": rows})
        for name, runs in zip(("generation", "evaluation"), build(given), strict=True):
            found = rates(runs, rounds=options.rounds)
            print(
                f"{name}, {rows} rows: carried {found['carried']:,.0f} pieces/s, anew {found['anew']:,.1f}; "
                f"ratio {found['carried'] / found['anew']:,.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
