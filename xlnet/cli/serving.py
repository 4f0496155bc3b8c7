"""Flags of the verbs that read rows of any number, and what they mean."""

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

from xlnet.cli.presets import beam_flag
from xlnet.flags import whole

INTERVAL = 10.0  # seconds between two lines of progress


def input_flags(parser: argparse.ArgumentParser) -> None:
    """What a verb takes that reads rows."""
    parser.add_argument(
        "--input",
        required=True,
        metavar="FILE",
        help="rows: .txt .jsonl .tsv .csv (.gz .zst may follow), or - for stdin",
    )
    parser.add_argument("--input-format", choices=["text", "jsonl", "tsv", "csv"], help="where the name does not tell")
    parser.add_argument("--no-header", action="store_true", help="a table's columns are named 0, 1, ...")
    parser.add_argument("--keep", default="", metavar="NAMES", help="columns to pass on to the output: id,label")
    parser.add_argument(
        "--dead-letters", metavar="FILE", help="rows that could not be used (default OUTPUT.dead-letters.jsonl)"
    )


def job_flags(parser: argparse.ArgumentParser) -> None:
    """What makes a Beam job of it."""
    job = parser.add_argument_group(
        "Beam", "with one of these, --input may be a glob, and --output is a folder of parts"
    )
    job.add_argument("--workers", type=whole, metavar="N", help="local worker processes")
    beam_flag(job)


def is_job(parsed: argparse.Namespace) -> bool:
    """Whether a Beam job is asked for."""
    return parsed.workers is not None or bool(parsed.beam)


def run_job(parsed: argparse.Namespace, maker: Any) -> None:
    """Run it, and tell what it came to."""
    from pipelines import predict
    from xlnet.cli.tables import print_table
    from xlnet.errors import UserError

    if parsed.dead_letters is not None or parsed.output == "-":
        raise UserError("a job writes a folder, with its dead letters in it; name it with --output")
    if getattr(parsed, "output_format", None) not in (None, "jsonl"):
        raise UserError("a job writes JSON lines; leave --output-format out")
    found = predict.run(
        maker=maker,
        inputs=parsed.input,
        output=parsed.output,
        kind=parsed.input_format,
        is_headed=False if parsed.no_header else None,
        options=parsed.beam,
        workers=1 if parsed.workers is None else parsed.workers,
    )
    if found is None:
        print("the job was described, not run")
        return
    rows = {name: found[name] for name in ("rows", "dead_letters")}
    print_table(f"job {parsed.output}", rows | {"parts": len(found["parts"])})


def source_of(parsed: argparse.Namespace) -> Any:
    """What is read."""
    from xlnet.serving.streaming import Source

    kept = tuple(filter(None, parsed.keep.split(",")))
    return Source(parsed.input, kind=parsed.input_format, is_headed=False if parsed.no_header else None, kept=kept)


def dead_letters_of(parsed: argparse.Namespace) -> str | None:
    """Where dead letters go; None: nowhere, as of an output that is a stream."""
    if parsed.dead_letters is not None or parsed.output == "-":
        return parsed.dead_letters
    return f"{parsed.output}.dead-letters.jsonl"


def shown(name: str) -> Callable[[int], None]:
    """Tells on stderr, now and then, how many rows are done: their number is not known before."""
    began = told = time.monotonic()

    def report(done: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= INTERVAL:
            told = now
            print(f"{name} {done:,} rows  {done / (now - began):,.0f} rows/s", file=sys.stderr, flush=True)

    return report
