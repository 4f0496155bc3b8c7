"""Seconds from the start of `xlnet pretrain` to its first finished step, at first and with what it compiled kept.

    python -m benchmarks.first_step --data DATA --config configs/base.yaml

DATA is a data set of the preset's shape (`xlnet preprocess ... --config`). Each start is a process of its own, in a new
folder, and is killed after the step. The batch is small: the preset's own takes a CPU many minutes for a step.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.turns import conditions

PATIENCE = 1800.0  # seconds


def first_step(options: argparse.Namespace, *, cache: str, output: Path) -> dict[str, float]:
    """Seconds until the line of the first step was there; of them, those before the run began and those to compile."""
    command = [sys.executable, "-m", "xlnet.cli", "pretrain", "--data", options.data, "--config", options.config]
    command += ["--output", str(output), "--batch-size", str(options.batch_size), "--log-interval", "1"]
    command += ["--remat"] if options.remat else []
    environment = {**os.environ, "XLNET_COMPILATION_CACHE": cache, "KERAS_BACKEND": options.backend}
    lines, begun = output / "metrics.jsonl", time.monotonic()
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        while not (lines.exists() and lines.read_text().endswith("\n")):
            time.sleep(0.02)
            if process.poll() is not None or time.monotonic() - begun > PATIENCE:
                process.kill()
                raise SystemExit(f"error: no first step: {process.communicate()[1].decode()[-2000:]}")
        seconds = time.monotonic() - begun
        process.kill()
    told = json.loads(lines.read_text().splitlines()[0])
    return {"to first step": seconds, "imports": seconds - told["seconds"], "compiling": told["compile_seconds"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, metavar="DIR")
    parser.add_argument("--config", default="configs/base.yaml", metavar="FILE")
    parser.add_argument("--batch-size", type=int, default=4, metavar="N")
    parser.add_argument("--remat", action="store_true", help="layers are computed again, and are one loop")
    parser.add_argument("--backend", choices=("tensorflow", "jax"), default="tensorflow")
    options = parser.parse_args()
    print(conditions(len(os.sched_getaffinity(0))))
    with tempfile.TemporaryDirectory() as folder:
        for name in ("no cache yet", "compiled before"):
            found = first_step(options, cache=f"{folder}/cache", output=Path(folder) / name.replace(" ", "-"))
            print(f"{name:16}" + "  ".join(f"{part} {seconds:6.1f} s" for part, seconds in found.items()), flush=True)


if __name__ == "__main__":
    main()
