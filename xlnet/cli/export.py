"""`xlnet export`: write a SavedModel or ONNX for serving, checked against the model."""

import argparse

from xlnet.cli.tables import print_table

SUMMARY = "write a SavedModel or ONNX for serving, checked against the model"
FORMATS = ("ids", "text", "onnx", "int8")


def flags(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    parser.add_argument("--model", required=True, metavar="DIR", help="a model directory")
    parser.add_argument("--output", required=True, metavar="DIR", help="where version folders are written: DIR/1 first")
    parser.add_argument(
        "--format", choices=FORMATS, default="ids", help="SavedModel of ids (default) or text, ONNX, ONNX of 8 bits"
    )
    parser.add_argument("--data", metavar="FILE", help="labelled examples to measure model and export on")
    parser.add_argument("--licence", metavar="TEXT", help="the licence of the weights, for the card")


def run(parsed: argparse.Namespace) -> None:
    """What the verb does."""
    from xlnet.serving.export import export

    card = export(
        model=parsed.model, output=parsed.output, format=parsed.format, data=parsed.data, licence=parsed.licence
    )
    print_table(f"exported {parsed.output}", {k: v for k, v in card.items() if isinstance(v, int | float | str)})
