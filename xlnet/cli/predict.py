"""`xlnet predict`: the answers of a fine-tuned model to rows of any number."""

import argparse
import sys

from xlnet.cli.serving import dead_letters_of, input_flags, is_job, job_flags, run_job, shown, source_of
from xlnet.cli.tables import print_table
from xlnet.flags import add_settings, given

SUMMARY = "answer rows of any number with a fine-tuned model"


def flags(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    from xlnet.serving.settings import PredictionSettings

    parser.add_argument("--model", required=True, metavar="DIR", help="a fine-tuned model directory")
    input_flags(parser)
    parser.add_argument("--output", default="-", metavar="FILE", help="answers: .jsonl .tsv, or - for stdout (default)")
    parser.add_argument("--output-format", choices=["jsonl", "tsv", "glue"], help="glue: a submission to it")
    job_flags(parser)
    add_settings(parser, PredictionSettings)


def run(parsed: argparse.Namespace) -> None:
    """What the verb does."""
    from xlnet.serving.settings import PredictionSettings
    from xlnet.serving.streaming import predict
    from xlnet.settings import make

    settings = make(PredictionSettings, given(parsed, PredictionSettings), where="flags")
    source = source_of(parsed)
    if is_job(parsed):
        from pipelines.makers import Answers

        run_job(parsed, Answers(parsed.model, settings, source.kept))
        return
    found = predict(
        model=parsed.model,
        source=source,
        output=parsed.output,
        settings=settings,
        kind=parsed.output_format,
        dead=dead_letters_of(parsed),
        report=shown("predicting"),
    )
    if parsed.output != "-":
        print_table(f"predicted {parsed.output}", found)
    elif found["dead letters"]:
        print(f"{found['dead letters']} rows could not be used: {found['reasons']}", file=sys.stderr)
