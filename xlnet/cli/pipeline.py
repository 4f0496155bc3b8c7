"""`xlnet pipeline`: compile the retraining pipeline, run it here, and run and watch it on a cluster."""

import argparse
from typing import Any

from xlnet.cli.tables import print_table
from xlnet.errors import UserError
from xlnet.flags import Parser, whole

SUMMARY = "compile, run, submit and schedule the whole chain as a Kubeflow pipeline"
WATCHING = {
    "list": "the runs and schedules there",
    "status": "how a run there fares, step by step",
    "logs": "what its steps said",
    "cancel": "stop it",
}
CHAIN = ("corpus", "heldout", "task_train", "task_dev", "config")


def flags(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=Parser)
    _compile_flags(actions.add_parser("compile", help="write the pipeline's IR YAML"))
    _run_flags(actions.add_parser("run", help="run the whole chain here"))
    _submit_flags(actions.add_parser("submit", help="run it on a Kubeflow cluster"))
    _schedule_flags(actions.add_parser("schedule", help="run it there again and again; pause, resume, remove"))
    for name, told in WATCHING.items():
        parser = actions.add_parser(name, help=told)
        if name != "list":
            parser.add_argument("name", metavar="RUN", help="the run's name or id")
        if name == "logs":
            parser.add_argument("--step", metavar="NAME", help="of this step only")
        _service_flags(parser)


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
    parser.add_argument("--store", metavar="DIR", help="with --parameters: another store than the file's")
    parser.add_argument("--output", required=True, metavar="DIR", help="the run's folder")
    parser.add_argument("--runner", default="subprocess", choices=["subprocess", "docker"], help="where steps run")
    parser.add_argument("--image", default="", metavar="IMAGE", help="of the containers (default: the project's own)")
    parser.add_argument("--parallel", type=whole, default=1, metavar="N", help="steps at a time (default 1)")
    parser.add_argument("--cache", metavar="DIR", help="a folder in which runs find what earlier ones have made")


def _submit_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--name", required=True, metavar="NAME", help="the run's; one of it that runs is not started again"
    )
    parser.add_argument("--parameters", required=True, metavar="FILE", help="as in configs/retraining.yaml, on gs://")
    parser.add_argument("--pipeline-root", metavar="URI", help="where Kubeflow keeps small outputs")
    _cluster_flags(parser)
    _service_flags(parser)


def _schedule_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", required=True, metavar="NAME", help="the schedule's")
    parser.add_argument("--cron", metavar="CRON", help="'0 3 * * 1': Mondays at three, UTC")
    parser.add_argument("--parameters", metavar="FILE", help="as in configs/retraining.yaml, on gs://")
    parser.add_argument("--pipeline-root", metavar="URI", help="where Kubeflow keeps small outputs")
    parser.add_argument("--max-concurrency", type=whole, default=1, metavar="N", help="runs at a time (default 1)")
    parser.add_argument("--catch-up", action="store_true", help="make up for times that were missed")
    parser.add_argument("--even-unchanged", action="store_true", help="run also where no text, task or setting is new")
    for name, told in (("pause", "let it rest"), ("resume", "let it go on"), ("remove", "end it")):
        parser.add_argument(f"--{name}", dest="change", action="store_const", const=name, help=told)
    _cluster_flags(parser)
    _service_flags(parser)


def _service_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", metavar="URL", help="the address of Kubeflow Pipelines (or KF_PIPELINES_ENDPOINT)")
    parser.add_argument("--experiment", default="xlnet", metavar="NAME", help="the experiment (default xlnet)")
    parser.add_argument("--namespace", metavar="NAME", help="of your profile, where several share the cluster")


def run(parsed: argparse.Namespace) -> None:
    """What the verb does."""
    {"compile": _compile, "run": _run, "submit": _submit, "schedule": _schedule}.get(parsed.action, _watch)(parsed)


def _compile(parsed: argparse.Namespace) -> None:
    from pipelines.compiling import compile_to

    compile_to(parsed.output, target=parsed.target, cluster=_cluster(parsed))
    print(f"pipeline {parsed.output}")


def _cluster(parsed: argparse.Namespace) -> Any:
    """The settings of the cluster, with the image that was given."""
    from pipelines import cluster

    found = cluster.read(parsed.cluster)
    return found.with_image(parsed.image) if parsed.image else found


def _run(parsed: argparse.Namespace) -> None:
    from pipelines import local, parameters

    options = {"runner": parsed.runner, "parallel": parsed.parallel, "cache": parsed.cache, "image": parsed.image}
    given = {name: getattr(parsed, name) for name in CHAIN}
    if parsed.parameters:
        if unused := [name for name, value in given.items() if value]:
            raise UserError(f"--{unused[0].replace('_', '-')} goes without --parameters; put it into that file")
        more = {name: getattr(parsed, name) for name in ("title", "store") if getattr(parsed, name)}
        told = parameters.read(parsed.parameters, **more)
        print_table(f"pipeline run {parsed.output}", local.retrain(parsed.output, told, **options))
        return
    if parsed.store:
        raise UserError("--store goes with --parameters; the simple chain pushes nothing")
    if missing := [name for name, value in given.items() if not value]:
        raise UserError(f"--{missing[0].replace('_', '-')} is missing; give it, or --parameters")
    paths = local.run(parsed.output, **given, title=parsed.title or "XLNet run", **options)
    print_table(f"pipeline run {parsed.output}", paths)


def _service(parsed: argparse.Namespace) -> Any:
    from pipelines.kubeflow import Kubeflow

    return Kubeflow(parsed.host, experiment=parsed.experiment, namespace=parsed.namespace)


def _submit(parsed: argparse.Namespace) -> None:
    from pipelines import parameters

    told = parameters.read(parsed.parameters)
    made = _service(parsed).submit(parsed.name, told, _cluster(parsed), root=parsed.pipeline_root)
    print(f"run {made.name} ({made.id}) {made.state.lower()}{'' if made.is_new else ', it was there already'}")


def _schedule(parsed: argparse.Namespace) -> None:
    from pipelines import parameters

    service = _service(parsed)
    if parsed.change:
        getattr(service, parsed.change)(parsed.name)
        print(f"schedule {parsed.name}: {parsed.change}d")
        return
    if missing := [name for name in ("cron", "parameters") if not getattr(parsed, name)]:
        raise UserError(f"--{missing[0]} is missing; give it, or --pause, --resume or --remove")
    made = service.schedule(
        parsed.name,
        parsed.cron,
        parameters.read(parsed.parameters, skip_unchanged=not parsed.even_unchanged),
        _cluster(parsed),
        root=parsed.pipeline_root,
        concurrency=parsed.max_concurrency,
        catches_up=parsed.catch_up,
    )
    print(f"schedule {made.name} ({made.id}){'' if made.is_new else ' stands already'}")


def _watch(parsed: argparse.Namespace) -> None:
    service = _service(parsed)
    if parsed.action == "list":
        runs, schedules = service.listed()
        print_table(
            "schedules", {plan.display_name: f"{plan.status} {plan.trigger.cron_schedule.cron}" for plan in schedules}
        )
        print_table(
            "runs", {f"{run.display_name} ({run.run_id})": f"{run.state} {run.created_at:%F %R}" for run in runs}
        )
    elif parsed.action == "status":
        _status(service.run(parsed.name))
    elif parsed.action == "logs":
        for step, text in service.logs(parsed.name, step=parsed.step):
            print(f"== {step}\n{text.rstrip()}")
    else:
        run = service.cancel(parsed.name)
        print(f"run {run.display_name} ({run.run_id}) was {str(run.state).lower()}; it is asked to end")


def _status(run: Any) -> None:
    from pipelines.kubeflow import steps

    rows: dict[str, Any] = {"state": run.state, "error": run.error.message if run.error else None}
    for task in steps(run):
        told = f" {task.error.message}" if task.error else ""
        rows[task.display_name] = f"{rows.get(task.display_name, '')} {task.state}{told}".strip()
    print_table(f"run {run.display_name} ({run.run_id})", rows)
