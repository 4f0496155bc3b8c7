"""`xlnet inspect`: show what a data set holds, draw its records as text, write its card."""

import argparse

from xlnet.flags import whole

SUMMARY = "show what a data set holds, draw its records as text, write its card"


def flags(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    parser.add_argument("data", metavar="DATA", help="a data set, as `xlnet preprocess` or the original writes it")
    parser.add_argument(
        "--records", type=whole, metavar="N", help="how many records to draw (default 1; with --card none)"
    )
    parser.add_argument("--shard", type=whole, metavar="K", help="draw those of this shard, from 0 (default: of all)")
    parser.add_argument(
        "--position",
        type=whole,
        metavar="I",
        help="position whose sight is drawn, from 0 (default: a middle target)",
    )
    parser.add_argument("--verify", action="store_true", help="compare every shard with its checksum")
    parser.add_argument("--card", metavar="FILE", help="write an HTML page about the data set, with plots")


def run(parsed: argparse.Namespace) -> None:
    """What the verb does."""
    from xlnet.inspection import inspect

    count = parsed.records if parsed.records is not None else 0 if parsed.card is not None else 1
    inspect(parsed.data, count=count, position=parsed.position, shard=parsed.shard, verify=parsed.verify)
    if parsed.card is not None:
        from xlnet import card

        card.write(parsed.card, data=parsed.data)
        print(f"\ncard {parsed.card}")
