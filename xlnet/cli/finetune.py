"""`xlnet finetune`: fine-tune a model on labelled texts or pairs."""

import argparse

from xlnet.cli.presets import config_flag, settings_of
from xlnet.cli.tables import print_table
from xlnet.flags import add_settings

SUMMARY = "fine-tune a model on labelled texts or pairs"


def flags(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    from xlnet.model.config import ModelConfig
    from xlnet.training.finetuning_settings import FinetuningSettings

    parser.add_argument("--train", required=True, metavar="FILE", help="labelled examples: .tsv .csv .jsonl")
    parser.add_argument("--dev", metavar="FILE", help="labelled examples to choose the best epoch by")
    parser.add_argument("--output", required=True, metavar="DIR", help="the run to write")
    parser.add_argument(
        "--init", metavar="PATH", help="a model directory or a TF1 checkpoint; without it, from scratch"
    )
    parser.add_argument("--vocabulary", metavar="FILE", help="the SentencePiece model, where --init has none")
    parser.add_argument("--fresh", action="store_true", help="take all from --init but its weights, to compare with")
    config_flag(parser)
    add_settings(parser, FinetuningSettings)
    add_settings(parser, ModelConfig, without=["vocab_size", *_shared(FinetuningSettings, ModelConfig)])


def run(parsed: argparse.Namespace) -> None:
    """What the verb does."""
    from xlnet.model.config import ModelConfig
    from xlnet.training.finetuning import finetune
    from xlnet.training.finetuning_settings import FinetuningSettings

    summary = finetune(
        train=parsed.train,
        dev=parsed.dev,
        output=parsed.output,
        init=parsed.init,
        model_config=None if parsed.init else settings_of(parsed, "model", ModelConfig),
        vocabulary=parsed.vocabulary,
        fresh=parsed.fresh,
        settings=settings_of(parsed, "finetuning", FinetuningSettings),
    )
    print_table(f"fine-tuned {parsed.output}", {k: v for k, v in summary.items() if isinstance(v, int | float | str)})


def _shared(one: type, other: type) -> set[str]:
    from xlnet.settings import field_kinds

    return set(field_kinds(one)) & set(field_kinds(other))
