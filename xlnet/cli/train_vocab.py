"""`xlnet train-vocab`: train a SentencePiece vocabulary on text."""

import argparse

from xlnet.cli.presets import config_flag, settings_of
from xlnet.cli.tables import print_table
from xlnet.flags import add_settings

SUMMARY = "train a SentencePiece vocabulary on text"


def flags(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    from xlnet.vocab import VocabularySettings

    parser.add_argument("files", nargs="+", metavar="FILE", help="text: .txt .gz .zst .jsonl; globs in quotes")
    parser.add_argument(
        "--output", required=True, metavar="FILE", help="the vocabulary to write, for example spiece.model"
    )
    config_flag(parser)
    add_settings(parser, VocabularySettings)


def run(parsed: argparse.Namespace) -> None:
    """What the verb does."""
    from xlnet.vocab import VocabularySettings, train

    settings = settings_of(parsed, "vocabulary", VocabularySettings)
    summary = train(parsed.files, parsed.output, settings=settings)
    print_table(f"vocabulary {parsed.output}", {k: v for k, v in summary.items() if not isinstance(v, dict)})
