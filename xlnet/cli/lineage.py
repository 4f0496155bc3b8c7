"""`xlnet lineage`: from a model back to its text, vocabulary, settings, code and images."""

import argparse
import json

from xlnet.cli.tables import print_table

SUMMARY = "tell what a model was made of, and the command that makes it anew"


def flags(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    parser.add_argument("model", metavar="MODEL", help="a model directory, an export, a run or a pushed version")
    parser.add_argument("--json", action="store_true", help="all of it, as JSON")


def run(parsed: argparse.Namespace) -> None:
    """What the verb does."""
    from xlnet import lineage, runs

    found = lineage.trace(parsed.model)
    if parsed.json:
        print(json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False))
        return
    with runs.intact(f"the record of {parsed.model}"):
        rows = lineage.summary(found)
    print_table(f"lineage of {parsed.model}", rows)
