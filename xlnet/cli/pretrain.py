"""`xlnet pretrain`: pretrain a model on a data set."""

import argparse

from xlnet.cli.presets import config_flag, said, settings_of
from xlnet.cli.tables import print_table
from xlnet.errors import require
from xlnet.flags import add_settings

SUMMARY = "pretrain a model on a data set"


def flags(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    from xlnet.model.config import ModelConfig
    from xlnet.training.settings import PretrainingSettings

    parser.add_argument("--data", required=True, metavar="DIR", help="a data set, as `xlnet preprocess` writes it")
    parser.add_argument("--validation", metavar="DIR", help="a data set of held-out text")
    parser.add_argument("--output", required=True, metavar="DIR", help="the run; an unfinished one goes on")
    parser.add_argument("--init", metavar="PATH", help="a model directory or a TF1 checkpoint to begin from")
    config_flag(parser)
    add_settings(parser, PretrainingSettings)
    add_settings(parser, ModelConfig, without=["vocab_size"])


def run(parsed: argparse.Namespace) -> None:
    """What the verb does."""
    from xlnet.model.config import ModelConfig
    from xlnet.training.pretraining import pretrain
    from xlnet.training.settings import PretrainingSettings

    settings = settings_of(parsed, "pretraining", PretrainingSettings)
    attention = said(parsed, "model", ModelConfig).get("attention", "uni")  # the default is that of the objective
    is_fit = settings.objective != "causal" or attention == "uni"
    require(is_fit, "attention", attention, f"uni with objective {settings.objective}: from left to right")
    summary = pretrain(
        data=parsed.data,
        output=parsed.output,
        settings=settings,
        model=settings_of(parsed, "model", ModelConfig),
        validation=parsed.validation,
        init=parsed.init,
    )
    if not summary:  # of a host that is not the first
        return
    names = ["steps", "seconds", "parameters", "pieces_per_second", "loss", "validation_loss"]
    names += ["unigram_loss", "unigram_loss_own"]
    print_table(f"pretrained {parsed.output}", {name: summary.get(name) for name in names})
