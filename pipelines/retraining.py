"""The retraining pipeline: what runs again and again, with a champion to beat.

check inputs -> vocabulary -> preprocess -> pretrain -> for each task: fine-tune, evaluate, compare, export -> push the
challenger if it is better -> report; and a summary and a notice, whatever happened. The same definition compiles for
Kubeflow and Vertex (`pipelines.compiling`) and runs on this machine (`pipelines.local`).

Cached are the steps that are functions of their inputs: of texts and tasks these have hashes. What reads the champion
or writes to the store runs each time.
"""

from collections.abc import Callable
from typing import Any, Dict, List  # noqa: UP035  (as Kubeflow's compiler wants them)

from kfp import dsl

from components.check_inputs.component import check_inputs
from components.compare.component import compare
from components.evaluate.component import evaluate
from components.export.component import export
from components.find_champion.component import find_champion
from components.finetune.component import finetune
from components.preprocess.component import preprocess
from components.pretrain.component import pretrain
from components.push.component import push
from components.report_tasks.component import report_tasks
from components.summarize.component import summarize
from components.train_vocabulary.component import train_vocabulary

NAME = "xlnet-retraining"
STEPS = (
    "check_inputs",
    "find_champion",
    "train_vocabulary",
    "preprocess",
    "pretrain",
    "finetune",
    "evaluate",
    "compare",
    "export",
    "push",
    "report_tasks",
    "summarize",
)
UNCACHED = ("check_inputs", "find_champion", "push", "report_tasks", "summarize")  # read or write what changes
Place = Callable[[str, dsl.PipelineTask], dsl.PipelineTask]


def build(place: Place = lambda name, task: task) -> Any:
    """The pipeline; `place` gives a step, by its component's name, what it needs of a cluster."""

    def placed(name: str, task: dsl.PipelineTask, title: str = "") -> dsl.PipelineTask:
        if name in UNCACHED:
            task.set_caching_options(False)
        return place(name, task.set_display_name(title or name.replace("_", " ")))

    @dsl.pipeline(name=NAME, description="Retrain XLNet; push it if it beats the champion.")
    def retraining(
        corpus: List[str],  # noqa: UP006
        heldout: List[str],  # noqa: UP006
        tasks: List[Dict],  # noqa: UP006
        config: str,
        store: str,
        title: str = "XLNet retraining",
        vocabulary: str = "",
        goes_on: bool = False,
        skip_unchanged: bool = False,
        confidence: float = 0.95,
        heldout_shards: int = 4,
        workers: int = 1,
        beam: List[str] = [],  # noqa: B006, UP006  (read, never changed: it becomes a default in the compiled pipeline)
    ):
        """Retrain, and push what is better.

        Args:
            corpus: Paths or globs of the text to pretrain on, also `name=glob:weight`.
            heldout: Paths or globs of the text to measure pretraining on.
            tasks: A mapping each: name, train, dev, and settings over the preset's for fine-tuning.
            config: A preset, as YAML text.
            store: The folder of the champion, of what runs leave and of unfinished work.
            title: The report's title.
            vocabulary: A SentencePiece model to take; "" has one trained.
            goes_on: Whether pretraining goes on from the champion.
            skip_unchanged: Whether nothing is done where the champion was made of the same.
            confidence: How sure a difference to the champion must be.
            heldout_shards: How many streams the held-out text is cut into; it is small.
            workers: Local worker processes of the Beam jobs.
            beam: Further options of the Beam jobs, for example `--runner=DataflowRunner`.
        """
        run = dsl.PIPELINE_JOB_NAME_PLACEHOLDER
        work = f"{store}/work"
        last = placed("summarize", summarize(store=store, run=run, title=title))
        with dsl.ExitHandler(last, name="run"):
            checking = check_inputs(
                corpus=corpus, heldout=heldout, tasks=tasks, config=config, store=store, skip_unchanged=skip_unchanged
            )
            checked = placed("check_inputs", checking).outputs
            with dsl.If(checked["is_wanted"] == True, name="something is new"):  # noqa: E712
                known = placed("find_champion", find_champion(store=store, goes_on=goes_on, vocabulary=vocabulary))
                digest = checked["corpus_digest"]
                vocabulary_task = train_vocabulary(
                    corpus=corpus, config=config, reuse=known.outputs["reuse"], digest=digest
                )
                pieces = placed("train_vocabulary", vocabulary_task).outputs["vocabulary"]
                common = {"config": config, "workers": workers, "beam": beam, "vocabulary": pieces, "work": work}
                making = preprocess(corpus=corpus, shards=0, digest=digest, **common)
                data = placed("preprocess", making).outputs["Output"]
                measuring = preprocess(
                    corpus=heldout, shards=heldout_shards, digest=checked["heldout_digest"], **common
                )
                validation = placed("preprocess", measuring, "preprocess the held-out text").outputs["Output"]
                pretraining = pretrain(
                    config=config, data=data, validation=validation, init=known.outputs["init"], work=work
                )
                pretrained = placed("pretrain", pretraining).outputs["Output"]
                with dsl.ParallelFor(checked["tasks"], name="tasks") as task:
                    tuned = placed("finetune", finetune(task=task, config=config, pretrained=pretrained))
                    model = tuned.outputs["finetuned"]
                    measured = placed("evaluate", evaluate(task=task, finetuned=model)).outputs["evaluation"]
                    comparing = compare(task=task, champion=known.outputs["champion"], evaluation=measured)
                    compared = placed("compare", comparing).outputs["comparison"]
                    exported = placed("export", export(finetuned=model)).outputs["exported"]
                # A Collected belongs to the one step that it goes into: the compiler writes into it.
                reporting = report_tasks(
                    title=title,
                    store=store,
                    run=run,
                    data=data,
                    validation=validation,
                    pretrained=pretrained,
                    finetuned=dsl.Collected(model),
                    evaluations=dsl.Collected(measured),
                )
                reported = placed("report_tasks", reporting)
                pushing = push(
                    store=store,
                    run=run,
                    champion=known.outputs["champion"],
                    confidence=confidence,
                    corpus=corpus,
                    heldout=heldout,
                    tasks=tasks,
                    config=config,
                    title=title,
                    vocabulary=vocabulary,
                    goes_on=goes_on,
                    heldout_shards=heldout_shards,
                    digest=checked["digest"],
                    data=data,
                    pretrained=pretrained,
                    exported=dsl.Collected(exported),
                    comparisons=dsl.Collected(compared),
                    finetuned=dsl.Collected(model),
                    evaluations=dsl.Collected(measured),
                )
                placed("push", pushing.after(reported))

    return retraining
