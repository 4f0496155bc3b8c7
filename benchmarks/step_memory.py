"""Peak memory of a pretraining step, against Hugging Face's PyTorch XLNet, with the same sizes, weights and inputs.

    python -m benchmarks.step_memory --peer-python PEER_ENVIRONMENT/bin/python

Each side runs in a process of its own, alone. Counted is what it takes beyond its imported libraries, at most: weights,
inputs, gradients, and what lies between forward and backward. The peak of the whole process stands beside it.
"""

import argparse
import dataclasses
import json
import tempfile

from benchmarks.step import Sizes
from benchmarks.turns import Side, conditions, threads_flag

STEPS = 3


def peak(module: str, *, options: argparse.Namespace, given: dict, python: str | None = None) -> tuple[int, int]:
    """Bytes at most, in the steps after the one that compiles: beyond the imports, and in all."""
    side = Side(module, options=given, threads=options.threads, **({"python": python} if python else {}))
    side.run("step")
    side.forget_peak()
    for _ in range(STEPS):
        side.run("step")
    found = side.peak()
    side.close()
    return found - side.imported, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", required=True, help="an interpreter with torch and transformers")
    parser.add_argument("--sizes", type=json.loads, default={}, help="other sizes, e.g. '{\"layers\": 2}'")
    threads_flag(parser)
    options = parser.parse_args()
    sizes = Sizes(**options.sizes)
    print(conditions(options.threads))
    print(f"step: {', '.join(f'{key} {value}' for key, value in dataclasses.asdict(sizes).items())}")
    with tempfile.TemporaryDirectory() as folder:
        given = {"sizes": dataclasses.asdict(sizes), "folder": folder, "remat": False, "peer": "eager"}
        theirs, python = "benchmarks.step_hugging_face", options.peer_python
        found = {"ours": peak("benchmarks.step_ours", options=options, given=given)}
        found["ours, remat"] = peak("benchmarks.step_ours", options=options, given=given | {"remat": True})
        found["Hugging Face"] = peak(theirs, options=options, given=given, python=python)
        compiled = given | {"peer": "compiled"}
        found["Hugging Face, compiled"] = peak(theirs, options=options, given=compiled, python=python)
    best = min(found["Hugging Face"][0], found["Hugging Face, compiled"][0])
    for name, (beyond, all_) in found.items():
        print(
            f"{name:24} {beyond / 2**20:6,.0f} MB beyond imports ({beyond / best:.2f}x), {all_ / 2**20:6,.0f} MB in all"
        )


if __name__ == "__main__":
    main()
