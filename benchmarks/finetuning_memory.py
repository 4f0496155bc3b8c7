"""Peak memory of fine-tuning steps of XLNet-large, sequence 512, batch 1, with the settings that save memory.

    python -m benchmarks.finetuning_memory

Each case runs in a process of its own, alone. Counted is the peak of the whole process, imports and the compilation of
the step included: what a machine must have.
"""

import argparse
import dataclasses
import json

from benchmarks.finetuning import Sizes
from benchmarks.turns import Side, conditions, threads_flag

LARGE = Sizes(
    layers=24, model_dim=1024, heads=16, head_dim=64, feedforward_dim=4096, vocab_size=32000, batch=1, length=512
)
STEPS = 2
CASES = {
    "all savers: LoRA, remat, bfloat16": {"lora_rank": 8, "remat": True, "precision": "bfloat16"},
    "LoRA, remat": {"lora_rank": 8, "remat": True},
    "all weights, remat": {"remat": True},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=["tensorflow", "jax"], default="tensorflow")
    parser.add_argument("--cases", type=int, default=len(CASES), metavar="N", help="only the first N")
    parser.add_argument("--sizes", type=json.loads, default={}, help="other sizes, e.g. '{\"layers\": 2}'")
    threads_flag(parser)
    options = parser.parse_args()
    sizes = dataclasses.replace(LARGE, **options.sizes)
    print(conditions(options.threads))
    print(f"step: {', '.join(f'{key} {value}' for key, value in dataclasses.asdict(sizes).items())}")
    for name, settings in list(CASES.items())[: options.cases]:
        given = {"sizes": dataclasses.asdict(sizes), "folder": "", "settings": settings}
        side = Side("benchmarks.finetuning_ours", options=given, threads=options.threads, backend=options.backend)
        seconds = min(side.run("step")[0] for _ in range(1 + STEPS))
        print(f"{name:36} {side.peak() / 2**30:5.2f} GB at most, {seconds:.1f} s a step", flush=True)
        side.close()


if __name__ == "__main__":
    main()
