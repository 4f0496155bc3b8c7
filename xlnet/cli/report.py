"""`xlnet report`: write one HTML page about a run."""

import argparse

SUMMARY = "write one HTML page about a run"


def flags(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    parser.add_argument("--data", required=True, metavar="DIR", help="the data set")
    parser.add_argument("--validation", metavar="DIR", help="the held-out data set")
    parser.add_argument("--pretraining", metavar="DIR", help="the pretraining run")
    parser.add_argument(
        "--task",
        action="append",
        default=[],
        metavar="NAME=FINETUNED,EVALUATION",
        help="a task's two folders; may repeat",
    )
    parser.add_argument("--exported", metavar="DIR", help="the export")
    parser.add_argument("--title", default="XLNet run", help="the page's title")
    parser.add_argument("--output", required=True, metavar="FILE", help="the HTML page to write")


def run(parsed: argparse.Namespace) -> None:
    """What the verb does."""
    from xlnet.report import Task, write

    write(
        parsed.output,
        data=parsed.data,
        validation=parsed.validation,
        pretraining=parsed.pretraining,
        tasks=[Task.parse(text) for text in parsed.task],
        exported=parsed.exported,
        title=parsed.title,
    )
    print(f"report {parsed.output}")
