"""`xlnet pipeline`: compile or run the whole chain as a Kubeflow pipeline."""

import argparse
import os

from xlnet.cli.tables import print_table
from xlnet.flags import Parser

SUMMARY = "compile or run the whole chain as a Kubeflow pipeline"


def flags(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="compile|run", parser_class=Parser)
    compiling = actions.add_parser("compile", help="write the pipeline's IR YAML")
    compiling.add_argument("--output", required=True, metavar="FILE", help="for example retraining.yaml")
    compiling.add_argument("--image", metavar="IMAGE", help="the image of every step (default: the project's own)")
    running = actions.add_parser("run", help="run the whole chain here")
    running.add_argument("--corpus", required=True, nargs="+", metavar="FILE", help="text to pretrain on")
    running.add_argument("--heldout", required=True, nargs="+", metavar="FILE", help="text to measure pretraining on")
    running.add_argument("--task-train", required=True, metavar="FILE", help="labelled examples to fine-tune on")
    running.add_argument("--task-dev", required=True, metavar="FILE", help="labelled examples to evaluate on")
    running.add_argument("--config", required=True, metavar="FILE", help="a YAML preset, as in configs/")
    running.add_argument("--title", default="XLNet run", help="the report's title")
    running.add_argument("--output", required=True, metavar="DIR", help="the run's folder")


def run(parsed: argparse.Namespace) -> None:
    """What the verb does."""
    if parsed.action == "compile":
        if parsed.image:
            os.environ["XLNET_IMAGE"] = parsed.image  # components read it when they are imported
        from pipelines.chain import chain
        from pipelines.compiling import compile_to

        compile_to(parsed.output, chain)
        print(f"pipeline {parsed.output}")
        return
    from pipelines import local

    paths = local.run(
        parsed.output,
        corpus=parsed.corpus,
        heldout=parsed.heldout,
        task_train=parsed.task_train,
        task_dev=parsed.task_dev,
        config=parsed.config,
        title=parsed.title,
    )
    print_table(f"pipeline run {parsed.output}", paths)
