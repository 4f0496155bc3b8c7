"""Seconds for one pretraining step, forward and backward, against Hugging Face's PyTorch XLNet on the same machine.

    python -m benchmarks.pretraining_step --peer-python PEER_ENVIRONMENT/bin/python

The peer's interpreter needs torch and transformers (locks/bench.txt). All sides run in processes of their own and take
turns. Same sizes, weights, inputs and threads; the peer gets its masks ready made, ours makes them from the orders
inside the step. The peer is measured as it is and compiled by torch.compile, whole or (`--peers layers`: the whole of a
deep model takes minutes) layer by layer; the best one counts. The logits are compared before anything is timed.
"""

import argparse
import dataclasses
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import accelerator
from benchmarks.step import Sizes, products
from benchmarks.turns import Side, best, conditions, measured, threads_flag

NAMES = {
    "ours": "ours, XLA",
    "plain": "ours, XLA without our kernels",
    "eager": "Hugging Face, PyTorch",
    "compiled": "Hugging Face, torch.compile",
    "layers": "Hugging Face, compiled by layer",
}
PEERS = ("eager", "compiled", "layers")


def compare(options: argparse.Namespace, sizes: Sizes) -> dict[str, Any]:
    """Seconds of every side, the peak of a matrix product, how far the logits are apart."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        given = {"sizes": dataclasses.asdict(sizes), "folder": folder, "remat": options.remat}
        ours = Side("benchmarks.step_ours", options=given, threads=options.threads, backend=options.backend)
        sides = {"ours": ours}
        if options.plain:
            sides["plain"] = Side(
                "benchmarks.step_ours",
                options=given,
                threads=options.threads,
                backend=options.backend,
                environment={"XLNET_FUSED_ATTENTION": "0"},
            )
        for name in options.peers if options.peer_python else ():
            sides[name] = Side(
                "benchmarks.step_hugging_face",
                python=options.peer_python,
                options=given | {"peer": name},
                threads=options.threads,
            )
        if "eager" in sides and not sizes.dropout:
            ours.run("logits")
            sides["eager"].run("logits")
            apart = np.abs(np.load(Path(folder) / "ours.npy") - np.load(Path(folder) / "peer.npy")).max()
            figures["largest_difference_of_logits"] = float(apart)
        ours.run("peak")
        peaks = [ours.run("peak")[0] for _ in range(5)]
        figures["seconds"] = measured(sides, "step", rounds=options.rounds)
        peaks += [ours.run("peak")[0] for _ in range(5)]
        figures["loss"] = {name: side.run("step")[1] for name, side in sides.items()}
        for side in sides.values():
            side.close()
    return figures | {"peak": 2 * sizes.chained * sizes.square**3 / min(peaks)}


def report(figures: dict[str, Any], options: argparse.Namespace, sizes: Sizes) -> None:
    """Print what was found."""
    operations, seconds = products(sizes), figures["seconds"]
    print(conditions(options.threads))
    print(f"step: {', '.join(f'{key} {value}' for key, value in dataclasses.asdict(sizes).items())}")
    print(
        f"peak of a {sizes.precision} matrix product: {figures['peak'] / 1e9:,.0f} GFLOP/s; "
        f"ours: {operations / 1e9:,.0f} GFLOP"
    )
    for side, spent in seconds.items():
        print(
            f"{NAMES[side]:32} {best(spent)} a step, {sizes.pieces / statistics.median(spent):,.0f} pieces/s, "
            f"loss {figures['loss'][side]:.5f}"
        )
    ours = seconds["ours"]
    shares = [operations / value / figures["peak"] for value in (statistics.median(ours), min(ours))]
    print(f"share of the peak: {shares[0]:.0%} by the median, {shares[1]:.0%} by the best step")
    peers = [seconds[name] for name in options.peers if name in seconds]
    if peers:
        peer = min(peers, key=statistics.median)
        print(
            f"ratio to the better peer: {statistics.median(peer) / statistics.median(ours):.2f}x by medians, "
            f"{min(peer) / min(ours):.2f}x by the best"
        )
    if "largest_difference_of_logits" in figures:
        print(f"largest difference of the logits: {figures['largest_difference_of_logits']:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", help="an interpreter with torch and transformers; without it, ours alone")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=["eager", "compiled"])
    parser.add_argument("--plain", action="store_true", help="measure ours on a GPU without its own kernels, too")
    parser.add_argument("--backend", choices=["tensorflow", "jax"], default="tensorflow")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32", help="bfloat16: on a GPU")
    parser.add_argument("--remat", action="store_true", help="ours computes each layer again for its gradient")
    parser.add_argument("--json", help="also write the figures to this file")
    parser.add_argument("--sizes", type=json.loads, default={}, help="other sizes, e.g. '{\"layers\": 2}'")
    threads_flag(parser)
    options = parser.parse_args()
    sizes = dataclasses.replace(Sizes(dropout=options.dropout, precision=options.precision), **options.sizes)
    if sizes.precision != "float32" and not accelerator():
        raise SystemExit(f"error: {sizes.precision} is measured on a GPU, and none is found here")
    figures = compare(options, sizes)
    report(figures, options, sizes)
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
