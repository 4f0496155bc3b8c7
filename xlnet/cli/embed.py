"""`xlnet embed`: vectors of texts, words or pieces."""

import argparse

from xlnet.cli.serving import dead_letters_of, input_flags, is_job, job_flags, run_job, shown, source_of
from xlnet.cli.tables import print_table
from xlnet.flags import add_settings, given

SUMMARY = "make vectors of texts, words or pieces"


def flags(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    from xlnet.serving.settings import EmbeddingSettings

    parser.add_argument("--model", required=True, metavar="DIR", help="a model directory, pretrained or fine-tuned")
    input_flags(parser)
    parser.add_argument("--output", required=True, metavar="FILE", help="the vectors to write: .npz .parquet")
    job_flags(parser)
    add_settings(parser, EmbeddingSettings)


def run(parsed: argparse.Namespace) -> None:
    """What the verb does."""
    from xlnet.serving.settings import EmbeddingSettings
    from xlnet.serving.streaming import embed
    from xlnet.settings import make

    settings = make(EmbeddingSettings, given(parsed, EmbeddingSettings), where="flags")
    source = source_of(parsed)
    if is_job(parsed):
        from pipelines.makers import VectorMaker

        run_job(parsed, VectorMaker(parsed.model, settings, source.kept))
        return
    found = embed(
        model=parsed.model,
        source=source,
        output=parsed.output,
        settings=settings,
        dead=dead_letters_of(parsed),
        report=shown("embedding"),
    )
    print_table(f"embedded {parsed.output}", {k: v for k, v in found.items() if not isinstance(v, dict)})
