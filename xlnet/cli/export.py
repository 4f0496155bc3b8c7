"""`xlnet export`: write a SavedModel for serving, checked against the model."""

import argparse

from xlnet.cli.tables import print_table

SUMMARY = "write a SavedModel for serving, checked against the model"


def flags(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    parser.add_argument("--model", required=True, metavar="DIR", help="a model directory")
    parser.add_argument("--output", required=True, metavar="DIR", help="where version folders are written")


def run(parsed: argparse.Namespace) -> None:
    """What the verb does."""
    from xlnet.serving.export import export

    card = export(model=parsed.model, output=parsed.output)
    print_table(f"exported {parsed.output}", {k: v for k, v in card.items() if isinstance(v, int | float | str)})
