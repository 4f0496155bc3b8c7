"""A run over several tasks in, one HTML page out."""

from typing import List  # noqa: UP035  (as Kubeflow's compiler wants it)

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def report_tasks(
    title: str,
    store: str,
    run: str,
    data: str,
    validation: str,
    pretrained: str,
    finetuned: dsl.Input[List[dsl.Model]],  # noqa: UP006
    evaluations: dsl.Input[List[dsl.Artifact]],  # noqa: UP006
    page: dsl.Output[dsl.HTML],
):
    """Write the report of a run, here and into the store.

    Args:
        title: The page's title.
        store: The folder of the champion; the page goes to runs/RUN/report.html there.
        run: The name of the run.
        data: Where the data set lies.
        validation: Where the data set of held-out text lies.
        pretrained: Where the pretraining run lies.
        finetuned: The fine-tuning runs.
        evaluations: Their evaluations.
        page: The page.
    """
    from components.step import step
    from pipelines.champion import REPORT, by_task, run_folder
    from xlnet import storage
    from xlnet.report import Task, write

    with step():
        measured = by_task(evaluations)
        tasks = [Task(name, tuned.path, measured[name].path) for name, tuned in sorted(by_task(finetuned).items())]
        write(page.path, data=data, validation=validation, pretraining=pretrained, tasks=tasks, title=title)
        place = storage.join(run_folder(store, run), REPORT)
        storage.publish(place, storage.read_bytes(page.path))
