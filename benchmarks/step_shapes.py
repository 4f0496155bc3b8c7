"""Pieces/s of our pretraining step over batch sizes and sequence lengths: is there a shape that is slow for its size?

    python -m benchmarks.step_shapes [--backend jax]

A piece of a longer sequence takes more arithmetic, and so does one of a single row: the distances of a direction, and
the gradients of all weights, are computed for few. Within a row of the table operations a second should be alike.
Beside each row stands the slowest batch's share of the fastest, by pieces and by operations.
"""

import argparse
import dataclasses
import statistics
import tempfile

from benchmarks.step import Sizes, products
from benchmarks.turns import Side, conditions, measured, threads_flag

BATCHES, LENGTHS = (1, 2, 4, 8, 16), (128, 256, 512, 1024)


def shape(batch: int, length: int) -> Sizes:
    """The benchmark's step with another batch and length; the other lengths in proportion."""
    return Sizes(batch=batch, length=length, memory=length * 3 // 4, reuse=length // 2, predictions=length // 6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=["tensorflow", "jax"], default="tensorflow")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS)
    threads_flag(parser)
    options = parser.parse_args()
    print(conditions(options.threads))
    print(
        "length  "
        + "".join(f"{f'batch {batch}':>18}" for batch in options.batches)
        + "   slowest / fastest: by pieces, by operations"
    )
    for length in options.lengths:
        rates, speeds, cells = [], [], []
        for batch in options.batches:
            sizes = shape(batch, length)
            with tempfile.TemporaryDirectory() as folder:
                given = {"sizes": dataclasses.asdict(sizes), "folder": folder, "remat": False}
                side = Side("benchmarks.step_ours", options=given, threads=options.threads, backend=options.backend)
                spent = statistics.median(measured({"ours": side}, "step", rounds=options.rounds)["ours"])
                side.close()
            rates.append(sizes.pieces / spent)
            speeds.append(products(sizes) / spent / 1e9)
            cells.append(f"{f'{rates[-1]:,.0f} ({speeds[-1]:.0f} GF/s)':>18}")
        shares = "".join(f"   {min(each) / max(each):.2f}" for each in (rates, speeds))
        print(f"{length:6}  " + "".join(cells) + shares, flush=True)


if __name__ == "__main__":
    main()
