"""`xlnet pipeline`: compile the retraining pipeline, run it here, and run and watch it on a cluster."""

import argparse
import dataclasses
from typing import Any

from xlnet.cli.tables import print_table
from xlnet.errors import UserError
from xlnet.flags import Parser

SUMMARY = "compile, run, submit and schedule the whole chain as a Kubeflow pipeline"
CHAIN = ("corpus", "heldout", "task_train", "task_dev", "config")


def flags(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="compile|run", parser_class=Parser)
    _compile_flags(actions.add_parser("compile", help="write the pipeline's IR YAML"))
    _run_flags(actions.add_parser("run", help="run the whole chain here"))


def _compile_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", required=True, metavar="FILE", help="for example retraining.yaml")
    parser.add_argument("--target", default="kubeflow", choices=["kubeflow", "vertex"], help="default kubeflow")
    _cluster_flags(parser)


def _cluster_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cluster", metavar="FILE", help="machines, retries, secrets: as in configs/cluster.yaml")
    parser.add_argument("--image", metavar="IMAGE", help="the image of every step, by digest if you can")


def _run_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--parameters", metavar="FILE", help="run the retraining pipeline with these, a YAML file")
    parser.add_argument("--corpus", nargs="+", metavar="FILE", help="without --parameters: text to pretrain on")
    parser.add_argument("--heldout", nargs="+", metavar="FILE", help="text to measure pretraining on")
    parser.add_argument("--task-train", metavar="FILE", help="labelled examples to fine-tune on")
    parser.add_argument("--task-dev", metavar="FILE", help="labelled examples to evaluate on")
    parser.add_argument("--config", metavar="FILE", help="a YAML preset, as in configs/")
    parser.add_argument("--title", help="the report's title")
    parser.add_argument("--output", required=True, metavar="DIR", help="the run's folder")
    parser.add_argument("--runner", default="subprocess", choices=["subprocess", "docker"], help="where steps run")
    parser.add_argument("--parallel", type=int, default=1, metavar="N", help="steps at a time (default 1)")
    parser.add_argument("--cache", metavar="DIR", help="a folder in which runs find what earlier ones have made")


def run(parsed: argparse.Namespace) -> None:
    """What the verb does."""
    {"compile": _compile, "run": _run}[parsed.action](parsed)


def _compile(parsed: argparse.Namespace) -> None:
    from pipelines.compiling import compile_to

    compile_to(parsed.output, target=parsed.target, cluster=_cluster(parsed))
    print(f"pipeline {parsed.output}")


def _cluster(parsed: argparse.Namespace) -> Any:
    """The settings of the cluster, with the image that was given."""
    from pipelines import cluster

    found = cluster.read(parsed.cluster)
    return dataclasses.replace(found, image=cluster.require_image(parsed.image)) if parsed.image else found


def _run(parsed: argparse.Namespace) -> None:
    from pipelines import local, parameters

    options = {"runner": parsed.runner, "parallel": parsed.parallel, "cache": parsed.cache}
    given = {name: getattr(parsed, name) for name in CHAIN}
    if parsed.parameters:
        if unused := [name for name, value in given.items() if value]:
            raise UserError(f"--{unused[0].replace('_', '-')} goes without --parameters; put it into that file")
        told = parameters.read(parsed.parameters, **({"title": parsed.title} if parsed.title else {}))
        print_table(f"pipeline run {parsed.output}", local.retrain(parsed.output, told, **options))
        return
    if missing := [name for name, value in given.items() if not value]:
        raise UserError(f"--{missing[0].replace('_', '-')} is missing; give it, or --parameters")
    paths = local.run(parsed.output, **given, title=parsed.title or "XLNet run", **options)
    print_table(f"pipeline run {parsed.output}", paths)
