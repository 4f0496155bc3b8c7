"""`xlnet inspect`: show what a data set holds and draw its records as text."""

import argparse

SUMMARY = "show what a data set holds and draw its records as text"


def flags(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    parser.add_argument("data", metavar="DATA", help="a data set, as `xlnet preprocess` writes it")
    parser.add_argument("--records", type=int, default=1, metavar="N", help="how many records to draw (default 1)")
    parser.add_argument(
        "--position", type=int, metavar="I", help="the target whose sight is drawn (default: a middle one)"
    )
    parser.add_argument("--verify", action="store_true", help="compare every shard with its checksum")


def run(parsed: argparse.Namespace) -> None:
    """What the verb does."""
    from xlnet.inspection import inspect

    inspect(parsed.data, count=parsed.records, position=parsed.position, verify=parsed.verify)
