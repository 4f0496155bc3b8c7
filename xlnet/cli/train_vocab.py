"""`xlnet train-vocab`: train a SentencePiece vocabulary on text."""

import argparse
from collections.abc import Callable
from typing import Any

from xlnet.cli.presets import config_flag, job_flags, settings_of
from xlnet.cli.tables import print_table
from xlnet.flags import add_settings

SUMMARY = "train a SentencePiece vocabulary on text"


def flags(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    from xlnet.vocab import VocabularySettings

    job_flags(parser)
    parser.add_argument(
        "--output", required=True, metavar="FILE", help="the vocabulary to write, for example spiece.model"
    )
    config_flag(parser)
    add_settings(parser, VocabularySettings)


def run(parsed: argparse.Namespace) -> None:
    """What the verb does."""
    from functools import partial

    from pipelines import sample
    from xlnet.vocab import VocabularySettings, train

    settings = settings_of(parsed, "vocabulary", VocabularySettings)
    draw = partial(sample.draw, beside=parsed.output, options=parsed.beam, workers=parsed.workers, progress=_progress())
    summary = train(parsed.files, parsed.output, settings=settings, draw=draw)
    for source in summary["sources"] if len(summary["sources"]) > 1 else []:
        print_table(f"source {source['name']}", {"weight": source["weight"]} | _shown(source))
    print_table(f"vocabulary {parsed.output}", _shown(summary["counts"]) | {"sha256": summary["sha256"]})


def _progress() -> Callable[[Any], None]:
    """Shows how much of the text is read."""
    from xlnet.progress import Progress

    lines: list[Progress] = []

    def show(advance: Any) -> None:
        if not lines or advance.done == 0:
            lines[:] = [Progress(advance.total, unit="bytes", name="sample")]
        lines[0].update(advance.done)

    return show


def _shown(counts: dict[str, Any]) -> dict[str, Any]:
    names = ("files", "documents", "sentences", "sentences_used", "characters", "characters_outside", "left_out")
    dead = sum(counts["dead_letters"].values())
    return {name: counts[name] for name in names if name in counts} | {"dead_letters": dead or None}
