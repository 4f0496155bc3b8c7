"""Labelled texts and a pretrained model in, a fine-tuned model out."""

from typing import Dict  # noqa: UP035  (as Kubeflow's compiler wants it)

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def finetune(
    task: Dict,  # noqa: UP006
    config: str,
    pretrained: str,
    finetuned: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    from_scratch: bool = False,
):
    """Fine-tune on labelled examples.

    Args:
        task: name, train, dev, and settings over the preset's.
        config: The preset, as YAML text; its section `finetuning` holds.
        pretrained: Where the pretraining run lies.
        from_scratch: Take only the shape and the vocabulary of the pretrained model, not its weights.
        finetuned: The run: metrics and the model directory.
        metrics: The best epoch's metrics on `dev`.
    """
    from components.step import preset, step, verb
    from xlnet import runs, storage

    with step():
        with preset(config, finetuning=task.get("settings", {})) as path:
            words = ["--train", task["train"], "--dev", task["dev"], "--output", finetuned.path, "--config", path]
            words += ["--init", storage.join(pretrained, "model")]
            verb("finetune", *words, *(["--fresh"] if from_scratch else []))
        for name, value in runs.read_object(finetuned.path, "summary.json").items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                metrics.log_metric(name, value)
        finetuned.metadata |= {"task": task["name"], "from_scratch": from_scratch, "pretrained": pretrained}
