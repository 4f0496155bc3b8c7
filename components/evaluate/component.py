"""A fine-tuned model and labelled texts in, its metrics out."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def evaluate(
    examples: str,
    finetuned: dsl.Input[dsl.Model],
    evaluation: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    confusion: dsl.Output[dsl.ClassificationMetrics],
):
    """Measure a fine-tuned model.

    Args:
        examples: Labelled examples, .tsv, .csv or .jsonl.
        finetuned: The fine-tuning run.
        evaluation: evaluation.json and predictions.jsonl.
        metrics: The task's metrics.
        confusion: The confusion matrix, for classification.
    """
    import os

    from components.step import step
    from xlnet.training.evaluation import evaluate as run

    with step():
        result = run(model=os.path.join(finetuned.path, "model"), data=examples, output=evaluation.path)
        for name, value in result["metrics"].items():
            if value is not None:  # a correlation with a constant
                metrics.log_metric(name, value)
        if result.get("confusion"):
            confusion.log_confusion_matrix(result["classes"], result["confusion"])
