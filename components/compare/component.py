"""A challenger's evaluation and the champion in, how they compare on the same examples out."""

from typing import Dict  # noqa: UP035  (as Kubeflow's compiler wants it)

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def compare(
    task: Dict,  # noqa: UP006
    champion: str,
    evaluation: dsl.Input[dsl.Artifact],
    comparison: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    page: dsl.Output[dsl.HTML],
):
    """Measure the champion on the challenger's examples, and compare both with a paired bootstrap.

    Args:
        task: name and dev, the labelled examples.
        champion: The folder of the champion's version, "" where there is none.
        evaluation: The challenger's evaluation.
        comparison: comparison.json; it holds null where the champion does not know the task.
        metrics: The difference, its interval, and how likely it is by chance.
        page: The challenger's evaluation, against the champion's where it knows the task.
    """
    import os
    import tempfile

    from components.step import step, verb
    from xlnet import storage
    from xlnet.evaluations.comparison import of_evaluations
    from xlnet.evaluations.page import write

    with step(), tempfile.TemporaryDirectory() as folder:
        model = storage.join(champion, "tasks", task["name"], "model") if champion else ""
        found, measured = None, os.path.join(folder, "champion")
        if model and storage.exists(model):
            verb("evaluate", "--model", model, "--data", task["dev"], "--output", measured)
            found = of_evaluations(evaluation.path, measured).to_json()
            for name, value in found.items():
                if isinstance(value, int | float):
                    metrics.log_metric(name, value)
        against = None if found is None else measured
        title = f"{task['name']}, the challenger" + ("" if found is None else " against the champion")
        write(page.path, evaluation=evaluation.path, against=against, title=title)
        os.makedirs(comparison.path, exist_ok=True)
        storage.publish_json(os.path.join(comparison.path, "comparison.json"), found)
        comparison.metadata |= {"task": task["name"], "champion": champion}
