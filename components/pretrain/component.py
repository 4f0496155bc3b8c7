"""A data set in, a pretrained model out."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def pretrain(
    config: str,
    data: dsl.Input[dsl.Dataset],
    validation: dsl.Input[dsl.Dataset],
    pretrained: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
):
    """Pretrain a model; a retried step goes on from its newest checkpoint.

    Args:
        config: The preset, as YAML text; its sections `model` and `pretraining` hold.
        data: The data set to train on, read at its URI.
        validation: The data set of held-out text.
        pretrained: The run: metrics, checkpoints and the model directory.
        metrics: Losses on held-out text and speed.
    """
    from components.step import step
    from xlnet.model.config import ModelConfig
    from xlnet.settings import make, parse_preset
    from xlnet.training.pretraining import pretrain as run
    from xlnet.training.settings import PretrainingSettings

    with step():
        preset = parse_preset(config, where="config")
        summary = run(
            data=data.uri,
            validation=validation.uri,
            output=pretrained.path,
            settings=make(PretrainingSettings, preset["pretraining"], where="config"),
            model=make(ModelConfig, preset["model"], where="config"),
        )
        for name in ("loss", "validation_loss", "unigram_loss", "pieces_per_second", "seconds"):
            if name in summary:  # a retry that finds all steps done has no speed to tell
                metrics.log_metric(name, summary[name])
        pretrained.metadata |= {"steps": summary["steps"], "parameters": summary["parameters"]}
