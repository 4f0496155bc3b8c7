"""`xlnet report`: write one HTML page about a run, or about an evaluation and how it compares with another."""

import argparse

from xlnet.cli.tables import print_table

SUMMARY = "write one HTML page about a run, or about an evaluation, alone or against another"
OF_A_RUN = ("validation", "pretraining", "task", "exported")


def flags(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    subject = parser.add_mutually_exclusive_group(required=True)
    subject.add_argument("--data", metavar="DIR", help="the data set; for a page about a run")
    subject.add_argument("--evaluation", metavar="DIR", help="an evaluation of a task; for a page about it alone")
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
    parser.add_argument("--against", metavar="DIR", help="an evaluation of another model on the same examples")
    parser.add_argument("--title", help="the page's title")
    parser.add_argument("--output", required=True, metavar="FILE", help="the HTML page to write")


def run(parsed: argparse.Namespace) -> None:
    """What the verb does."""
    from xlnet.errors import UserError

    if parsed.evaluation is None:
        if parsed.against is not None:
            raise UserError("--against needs --evaluation, the evaluation to compare it with")
        _of_a_run(parsed)
        return
    found = [f"--{name}" for name in OF_A_RUN if getattr(parsed, name)]
    if found:
        raise UserError(f"{found[0]} is for a page about a run, --evaluation for another; write two pages")
    from xlnet.evaluations.page import write

    figures = write(parsed.output, evaluation=parsed.evaluation, against=parsed.against, title=parsed.title)
    against = "" if parsed.against is None else f" against {parsed.against}"
    print_table(f"{parsed.evaluation}{against}", figures | {"page": parsed.output})


def _of_a_run(parsed: argparse.Namespace) -> None:
    from xlnet.report import Task, write

    write(
        parsed.output,
        data=parsed.data,
        validation=parsed.validation,
        pretraining=parsed.pretraining,
        tasks=[Task.parse(text) for text in parsed.task],
        exported=parsed.exported,
        title=parsed.title or "XLNet run",
    )
    print(f"report {parsed.output}")
