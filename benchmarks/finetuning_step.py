"""Seconds for one fine-tuning step of a classifier, against Hugging Face's PyTorch XLNet on the same machine.

    python -m benchmarks.finetuning_step --peer-python PEER_ENVIRONMENT/bin/python

Forward, backward, clipping and AdamW's update, with dropout, at sequence 128 and 512 with as many pieces a batch. Ours
is the trainer of `xlnet finetune`, on TensorFlow and on JAX; the peer is measured as it is and compiled by
torch.compile, with PyTorch's fused optimizer, and the better one counts. All sides run in processes of their own and
take turns. Same sizes, weights, inputs and threads; the logits are compared before anything is timed.
"""

import argparse
import dataclasses
import json
import statistics
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.finetuning import Sizes
from benchmarks.turns import Side, best, conditions, measured, threads_flag

SHAPES = ((16, 128), (4, 512))  # rows, pieces a row
NAMES = {
    "tensorflow": "ours, TensorFlow",
    "jax": "ours, JAX",
    "eager": "Hugging Face, PyTorch",
    "compiled": "Hugging Face, torch.compile",
}
TOLERANCE = 1e-3


def compare(options: argparse.Namespace, sizes: Sizes) -> dict[str, list[float]]:
    """Seconds of every side."""
    with tempfile.TemporaryDirectory() as folder:
        given = {"sizes": dataclasses.asdict(sizes), "folder": folder, "settings": {}}
        sides = {
            backend: Side("benchmarks.finetuning_ours", options=given, threads=options.threads, backend=backend)
            for backend in options.backends
        }
        for name in ("eager", "compiled"):
            asked = given | {"compiled": name == "compiled"}
            sides[name] = Side(
                "benchmarks.finetuning_hugging_face",
                python=options.peer_python,
                options=asked,
                threads=options.threads,
            )
        for backend in options.backends:
            for side in (backend, "eager"):
                sides[side].run("logits")
            apart = np.abs(np.load(Path(folder) / "ours.npy") - np.load(Path(folder) / "peer.npy")).max()
            print(f"largest difference of the logits, {backend}: {apart:.1e}")
            if not apart < TOLERANCE:
                raise SystemExit("error: the two sides do not compute the same")
        found = measured(sides, "step", rounds=options.rounds)
        for process in sides.values():
            process.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", required=True, help="an interpreter with torch and transformers")
    parser.add_argument("--backends", nargs="+", choices=["tensorflow", "jax"], default=["tensorflow", "jax"])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--sizes", type=json.loads, default={}, help="other sizes, e.g. '{\"layers\": 2}'")
    threads_flag(parser)
    options = parser.parse_args()
    print(conditions(options.threads))
    for batch, length in SHAPES:
        sizes = dataclasses.replace(Sizes(batch=batch, length=length), **options.sizes)
        print(f"step: {', '.join(f'{key} {value}' for key, value in dataclasses.asdict(sizes).items())}, float32")
        seconds = compare(options, sizes)
        for side, spent in seconds.items():
            pieces = sizes.batch * sizes.length / statistics.median(spent)
            print(f"{NAMES[side]:28} {best(spent)} a step, {pieces:,.0f} pieces/s")
        peer = min(statistics.median(seconds[name]) for name in ("eager", "compiled"))
        for backend in options.backends:
            print(f"ratio to the better peer, {NAMES[backend]}: {peer / statistics.median(seconds[backend]):.2f}x")


if __name__ == "__main__":
    main()
