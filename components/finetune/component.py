"""Labelled texts and a pretrained model in, a fine-tuned model out."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def finetune(
    train: str,
    dev: str,
    config: str,
    from_scratch: bool,
    pretrained: dsl.Input[dsl.Model],
    finetuned: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
):
    """Fine-tune on single texts or pairs.

    Args:
        train: Labelled examples, .tsv, .csv or .jsonl.
        dev: Labelled examples to choose the best epoch by.
        config: The preset, as YAML text; its section `finetuning` holds.
        from_scratch: Take only the shape and the vocabulary of the pretrained model, not its weights.
        pretrained: The pretraining run.
        finetuned: The run: metrics and the model directory.
        metrics: The best epoch's metrics on `dev`.
    """
    import os

    from components.step import step
    from xlnet.settings import make, parse_preset
    from xlnet.training.finetuning import finetune as run
    from xlnet.training.finetuning_settings import FinetuningSettings

    with step():
        settings = make(FinetuningSettings, parse_preset(config, where="config")["finetuning"], where="config")
        model = os.path.join(pretrained.path, "model")
        summary = run(train=train, dev=dev, output=finetuned.path, init=model, fresh=from_scratch, settings=settings)
        for name, value in summary.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                metrics.log_metric(name, value)
