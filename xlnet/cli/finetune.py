"""`xlnet finetune`: fine-tune a model on the examples of a task."""

import argparse
from typing import Any

from xlnet.cli.presets import config_flag, settings_of
from xlnet.cli.tables import print_table
from xlnet.errors import UserError
from xlnet.flags import add_settings, whole
from xlnet.flags import given as flags_given

SUMMARY = "fine-tune a model on the examples of a task"


def flags(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    from xlnet.model.config import ModelConfig
    from xlnet.training.finetuning_settings import FinetuningSettings

    parser.add_argument("--train", required=True, metavar="FILE", help="labelled examples, in the files of the task")
    parser.add_argument("--dev", metavar="FILE", help="labelled examples to choose the best weights by")
    parser.add_argument("--output", required=True, metavar="DIR", help="the run; an unfinished one goes on")
    parser.add_argument(
        "--init", metavar="PATH", help="a model directory or a TF1 checkpoint; without it, from scratch"
    )
    parser.add_argument("--vocabulary", metavar="FILE", help="the SentencePiece model, where --init has none")
    parser.add_argument("--fresh", action="store_true", help="take all from --init but its weights, to compare with")
    parser.add_argument(
        "--seeds", type=whole, metavar="N", help="run with so many seeds, from --seed on: OUTPUT/seed-K, and a table"
    )
    config_flag(parser)
    add_settings(parser, FinetuningSettings)
    add_settings(parser, ModelConfig, without=["vocab_size", *_shared(FinetuningSettings, ModelConfig)])


def run(parsed: argparse.Namespace) -> None:
    """What the verb does."""
    from xlnet.model.config import ModelConfig
    from xlnet.training.finetuning import finetune
    from xlnet.training.finetuning_seeds import finetune_seeds
    from xlnet.training.finetuning_settings import FinetuningSettings

    sizes = sorted(set(flags_given(parsed, ModelConfig)) - _shared(FinetuningSettings, ModelConfig))
    if parsed.init and sizes:
        raise UserError(
            f"--{sizes[0].replace('_', '-')} is of a model from scratch, {parsed.init} brings its own sizes; "
            "leave it out"
        )
    given: dict[str, Any] = {
        "train": parsed.train,
        "dev": parsed.dev,
        "output": parsed.output,
        "init": parsed.init,
        "model_config": None if parsed.init else settings_of(parsed, "model", ModelConfig),
        "vocabulary": parsed.vocabulary,
        "fresh": parsed.fresh,
        "settings": settings_of(parsed, "finetuning", FinetuningSettings),
    }
    summary = finetune(**given) if parsed.seeds is None else finetune_seeds(seeds=parsed.seeds, **given)
    shown = {name: value for name, value in summary.items() if isinstance(value, int | float | str)}
    shown |= {
        name: "{median:.4f}  ({lowest:.4f} to {highest:.4f}, deviation {deviation:.4f})".format(**found)
        for name, found in summary.get("spread", {}).items()
    }
    print_table(f"fine-tuned {parsed.output}", shown)


def _shared(one: type, other: type) -> set[str]:
    from xlnet.settings import field_kinds

    return set(field_kinds(one)) & set(field_kinds(other))
