"""The largest batches that XLNet is fine-tuned with in 16 GB of a GPU's memory, beside those of the original's README.

    python -m benchmarks.largest_batch [--models large --lengths 512 --batches 64 128]

On JAX, in bfloat16, with `remat`; all weights are trained, with AdamW. Each batch is tried in a process of its own that
may take so much memory and no more.
"""

import argparse
import dataclasses
import shutil
import subprocess

from benchmarks.finetuning import Sizes
from benchmarks.turns import Side, threads_flag

MODELS = {
    "base": Sizes(layers=12, model_dim=768, heads=12, feedforward_dim=3072, vocab_size=32000),
    "large": Sizes(layers=24, model_dim=1024, heads=16, feedforward_dim=4096, vocab_size=32000),
}
ORIGINAL = {  # its README, "Memory Issue During Finetuning": pieces a row, rows
    "base": {64: 120, 128: 56, 256: 24, 512: 8},
    "large": {64: 16, 128: 8, 256: 2, 512: 1},
}
AIM = 4  # times the original's
SETTINGS = {"precision": "bfloat16", "remat": True}


def seconds(sizes: Sizes, *, share: float, threads: int) -> float | None:
    """Of a step in that share of the GPU's memory; None: the process ended before, and has said why."""
    memory = {"XLA_PYTHON_CLIENT_MEM_FRACTION": f"{share:.4f}", "XLA_PYTHON_CLIENT_PREALLOCATE": "true"}
    given = {"sizes": dataclasses.asdict(sizes), "folder": "", "settings": SETTINGS}
    try:
        side = Side("benchmarks.finetuning_ours", options=given, threads=threads, backend="jax", environment=memory)
        spent = min(side.run("step")[0] for _ in range(4))
        side.close()
    except SystemExit:
        return None
    return spent


def memory_of_gpu() -> float:
    """Gigabytes of the first one."""
    if not shutil.which("nvidia-smi"):
        raise SystemExit("error: no GPU of NVIDIA's is found here")
    asked = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits", "--id=0"]
    return int(subprocess.run(asked, check=True, capture_output=True, text=True).stdout) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=16.0)
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument(
        "--lengths", nargs="+", type=int, choices=list(ORIGINAL["base"]), default=list(ORIGINAL["base"])
    )
    parser.add_argument("--batches", nargs="+", type=int, help=f"default: {AIM} times the original's")
    threads_flag(parser)
    options = parser.parse_args()
    share = options.gigabytes / memory_of_gpu()
    for model in options.models:
        for length in options.lengths:
            original = ORIGINAL[model][length]
            for batch in options.batches or [AIM * original]:
                sizes = dataclasses.replace(MODELS[model], batch=batch, length=length)
                spent = seconds(sizes, share=share, threads=options.threads)
                found = (
                    "does not end; why stands above"
                    if spent is None
                    else f"fits, {spent:.3f} s a step, {batch / spent:,.0f} rows/s"
                )
                print(f"{model:6} {length:4} pieces, batch {batch:4} ({batch / original:.0f}x): {found}", flush=True)


if __name__ == "__main__":
    main()
