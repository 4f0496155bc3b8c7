"""`xlnet evaluate`: measure a fine-tuned model on labelled examples, a pretrained one on a data set."""

import argparse

from xlnet.cli.tables import print_table
from xlnet.flags import whole

SUMMARY = "measure a fine-tuned model on labelled examples, or a pretrained one on held-out text"
SHOWN = ("pieces", "nats_per_piece", "bits_per_piece", "perplexity", "characters", "bits_per_character")


def flags(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    parser.add_argument("--model", required=True, metavar="DIR", help="a model directory, fine-tuned or pretrained")
    parser.add_argument(
        "--data", required=True, metavar="FILE", help="labelled examples; for a pretrained model a data set"
    )
    parser.add_argument("--output", metavar="DIR", help="the evaluation to write; may be left out for a pretrained one")
    parser.add_argument("--batch-size", type=whole, default=32, metavar="N", help="rows at a time (default 32)")
    parser.add_argument(
        "--memory-length", type=whole, metavar="N", help="of a pretrained model, pieces (default: as it was trained)"
    )
    parser.add_argument(
        "--clamp-length", type=whole, metavar="N", help="of a pretrained model: greater distances count as this one"
    )


def run(parsed: argparse.Namespace) -> None:
    """What the verb does."""
    from xlnet.errors import UserError
    from xlnet.model.checkpoints import read_description

    if read_description(parsed.model)["head"] is None:
        _run_language_model(parsed)
        return
    if parsed.memory_length is not None or parsed.clamp_length is not None:
        raise UserError(f"{parsed.model} is fine-tuned, it has no memory; leave --memory-length and --clamp-length out")
    if parsed.output is None:
        raise UserError("--output is missing; name the folder that answers and metrics are written to")
    from xlnet.training.evaluation import evaluate

    result = evaluate(model=parsed.model, data=parsed.data, output=parsed.output, batch_size=parsed.batch_size)
    baseline = {f"baseline {k}": v for k, v in result.get("majority", {}).items()}
    counts = {"examples": result["examples"], "longer than a row and cut": result["cut_examples"]}
    print_table(f"evaluation {parsed.output}", counts | result["metrics"] | baseline)


def _run_language_model(parsed: argparse.Namespace) -> None:
    from xlnet.training.language_evaluation import evaluate_language_model

    result = evaluate_language_model(
        model=parsed.model,
        data=parsed.data,
        output=parsed.output,
        memory_length=parsed.memory_length,
        clamp_length=parsed.clamp_length,
        batch_size=parsed.batch_size,
    )
    rows = {"measured is": result["measure"], "memory_length": result["memory_length"]}
    rows |= {name: result.get(name) for name in SHOWN}
    for direction in ("forward", "backward"):
        rows[f"{direction}, nats_per_piece"] = result.get(direction, {}).get("nats_per_piece")
    print_table(f"evaluation of {parsed.model} on {parsed.data}", rows)
