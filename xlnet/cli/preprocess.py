"""`xlnet preprocess`: turn text into training records, with Apache Beam."""

import argparse

from xlnet.cli.presets import config_flag, settings_of
from xlnet.cli.tables import print_table
from xlnet.flags import add_settings

SUMMARY = "turn text into training records, with Apache Beam"


def flags(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    from xlnet.corpus.settings import CorpusSettings

    parser.add_argument("files", nargs="+", metavar="FILE", help="text: .txt .gz .zst .jsonl; globs in quotes")
    parser.add_argument("--vocabulary", required=True, metavar="FILE", help="a SentencePiece model")
    parser.add_argument("--output", required=True, metavar="DIR", help="the data set to write")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="local worker processes (default 1)")
    parser.add_argument(
        "--beam",
        action="append",
        default=[],
        metavar="OPTION",
        help="a Beam option, e.g. --beam=--runner=DataflowRunner",
    )
    config_flag(parser)
    add_settings(parser, CorpusSettings)


def run(parsed: argparse.Namespace) -> None:
    """What the verb does."""
    from pipelines import preprocess
    from pipelines.journal import Shown
    from xlnet.corpus.settings import CorpusSettings

    settings = settings_of(parsed, "corpus", CorpusSettings)
    manifest = preprocess.run(
        parsed.files,
        parsed.output,
        vocabulary=parsed.vocabulary,
        settings=settings,
        options=parsed.beam,
        workers=parsed.workers,
        progress=Shown(),
    )
    print_table(f"data set {parsed.output}", manifest.summary())
