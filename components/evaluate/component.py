"""A fine-tuned model and labelled texts in, its metrics out."""

from typing import Dict  # noqa: UP035  (as Kubeflow's compiler wants it)

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def evaluate(
    task: Dict,  # noqa: UP006
    finetuned: dsl.Input[dsl.Model],
    evaluation: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    confusion: dsl.Output[dsl.ClassificationMetrics],
):
    """Measure a fine-tuned model.

    Args:
        task: name and dev, the labelled examples.
        finetuned: The fine-tuning run.
        evaluation: evaluation.json and predictions.jsonl.
        metrics: The task's metrics.
        confusion: The confusion matrix, for classification.
    """
    from components.step import step, verb
    from xlnet import runs, storage

    with step():
        model = storage.join(finetuned.path, "model")
        verb("evaluate", "--model", model, "--data", task["dev"], "--output", evaluation.path)
        result = runs.read_object(evaluation.path, "evaluation.json")
        for name, value in result["metrics"].items():
            if value is not None:  # a correlation with a constant
                metrics.log_metric(name, value)
        if result.get("confusion"):
            confusion.log_confusion_matrix(result["classes"], result["confusion"])
        evaluation.metadata |= {"task": task["name"], "examples": result["examples"]}
