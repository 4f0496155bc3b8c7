"""`xlnet preprocess`: turn text into training records, with Apache Beam."""

import argparse
from typing import Any

from xlnet.cli.presets import config_flag, job_flags, settings_of
from xlnet.cli.tables import print_table
from xlnet.flags import add_settings

SUMMARY = "turn text into training records, with Apache Beam"


def flags(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    from xlnet.corpus.cleaning import CleaningSettings
    from xlnet.corpus.settings import CorpusSettings

    job_flags(parser)
    parser.add_argument("--vocabulary", required=True, metavar="FILE", help="a SentencePiece model")
    parser.add_argument("--output", metavar="DIR", help="the data set to write; required but for --estimate")
    parser.add_argument("--add", action="store_true", help="add to a data set the files and passes that it lacks")
    estimating = parser.add_argument_group("estimate")
    estimating.add_argument("--estimate", action="store_true", help="measure a sample, and tell what all of it takes")
    estimating.add_argument("--deadline", type=float, metavar="HOURS", help="tell the workers that it takes")
    estimating.add_argument("--prices", metavar="FILE", help="prices, as in configs/prices.yaml")
    config_flag(parser)
    add_settings(parser, CorpusSettings)
    add_settings(parser, CleaningSettings)


def run(parsed: argparse.Namespace) -> None:
    """What the verb does."""
    from xlnet.corpus.cleaning import CleaningSettings
    from xlnet.corpus.settings import CorpusSettings
    from xlnet.errors import UserError

    settings = settings_of(parsed, "corpus", CorpusSettings)
    cleaning = settings_of(parsed, "cleaning", CleaningSettings)
    if parsed.estimate:
        _estimate(parsed, settings, cleaning)
        return
    for name in ("deadline", "prices"):
        if getattr(parsed, name) is not None:
            raise UserError(f"--{name} goes with --estimate; add it, or leave --{name} out")
    if parsed.output is None:
        raise UserError("--output is missing: name the folder of the data set")
    from pipelines import preprocess
    from pipelines.journal import Shown

    manifest = preprocess.run(
        parsed.files,
        parsed.output,
        vocabulary=parsed.vocabulary,
        settings=settings,
        cleaning=cleaning,
        options=parsed.beam,
        workers=parsed.workers,
        add=parsed.add,
        progress=Shown(),
    )
    if manifest is None:
        print("the job was described, not run")
    else:
        print_table(f"data set {parsed.output}", manifest.summary())


def _estimate(parsed: argparse.Namespace, settings: Any, cleaning: Any) -> None:
    from pipelines import estimate
    from xlnet import storage
    from xlnet.settings import parse_mapping

    prices = None
    if parsed.prices is not None:
        prices = parse_mapping(storage.read_bytes(parsed.prices), where=parsed.prices, wanted="prices")
    found = estimate.run(
        parsed.files,
        vocabulary=parsed.vocabulary,
        settings=settings,
        cleaning=cleaning,
        prices=prices,
        deadline_hours=parsed.deadline,
    )
    print_table("estimate", estimate.rows(found))
