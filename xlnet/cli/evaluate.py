"""`xlnet evaluate`: measure a fine-tuned model on labelled examples."""

import argparse

from xlnet.cli.tables import print_table

SUMMARY = "measure a fine-tuned model on labelled examples"


def flags(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    parser.add_argument("--model", required=True, metavar="DIR", help="a fine-tuned model directory")
    parser.add_argument("--data", required=True, metavar="FILE", help="labelled examples: .tsv .csv .jsonl")
    parser.add_argument("--output", required=True, metavar="DIR", help="the evaluation to write")
    parser.add_argument("--batch-size", type=int, default=32, metavar="N", help="texts at a time (default 32)")


def run(parsed: argparse.Namespace) -> None:
    """What the verb does."""
    from xlnet.training.evaluation import evaluate

    result = evaluate(model=parsed.model, data=parsed.data, output=parsed.output, batch_size=parsed.batch_size)
    baseline = {f"baseline {k}": v for k, v in result.get("majority", {}).items()}
    print_table(f"evaluation {parsed.output}", {"examples": result["examples"], **result["metrics"], **baseline})
