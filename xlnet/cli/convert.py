"""`xlnet convert`: a model from one format into another."""

import argparse

from xlnet.cli.tables import print_table
from xlnet.flags import whole

SUMMARY = "convert a model: ours, TensorFlow 1 checkpoints, Hugging Face folders"
FORMATS = ("xlnet", "tensorflow", "hugging-face")


def flags(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    from xlnet.model.config import ATTENTIONS

    parser.add_argument(
        "input", metavar="INPUT", help="a model directory, a checkpoint's prefix or folder, or a folder"
    )
    parser.add_argument("output", metavar="OUTPUT", help="the folder to write")
    parser.add_argument("--to", required=True, choices=FORMATS, help="the format to write")
    unsaid = parser.add_argument_group("what the input may leave unsaid")
    unsaid.add_argument("--vocabulary", metavar="FILE", help="default: the spiece.model beside the weights")
    unsaid.add_argument("--lower", action="store_true", help="a TensorFlow checkpoint of text in lower case")
    unsaid.add_argument("--keep-accents", action="store_true", help="a TensorFlow checkpoint of text with accents")
    unsaid.add_argument("--attention", choices=ATTENTIONS, help="a TensorFlow checkpoint's (default as its file says)")
    unsaid.add_argument("--classes", metavar="A,B,...", help="a TensorFlow classifier's classes (default 0,1,...)")
    unsaid.add_argument("--summary", default="last", help="its summary: last, first or mean (default last)")
    unsaid.add_argument("--sequence-length", type=whole, default=128, metavar="N", help="of a head (default 128)")
    unsaid.add_argument("--task", default="task", help="a task's name in a TensorFlow head's variables (default task)")


def run(parsed: argparse.Namespace) -> None:
    """What the verb does."""
    from xlnet.conversion import Assumptions, convert

    assumed = Assumptions(
        vocabulary=parsed.vocabulary,
        lower=parsed.lower,
        keep_accents=parsed.keep_accents,
        attention=parsed.attention,
        classes=None if parsed.classes is None else tuple(parsed.classes.split(",")),
        summary=parsed.summary,
        sequence_length=parsed.sequence_length,
    )
    summary = convert(parsed.input, parsed.output, to=parsed.to, assumed=assumed, task=parsed.task)
    notes = summary.pop("notes")
    print_table(f"converted {parsed.output}", summary)
    for note in notes:
        print(f"note: {note}")
