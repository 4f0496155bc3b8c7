"""Flags of the verbs that read rows of any number, and what they mean."""

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

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
