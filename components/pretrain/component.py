"""A data set in, a pretrained model out."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def pretrain(
    config: str,
    data: str,
    validation: str,
    pretrained: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    init: str = "",
    work: str = "",
) -> str:
    """Pretrain a model; a retried step goes on from its newest checkpoint.

    Args:
        config: The preset, as YAML text; its sections `model` and `pretraining` hold.
        data: Where the data set to train on lies.
        validation: Where the data set of held-out text lies.
        init: A model directory to begin from; "" begins with fresh weights.
        work: The folder of runs by what they are made of; "" writes to the artifact's own URI.
        pretrained: The run: metrics, checkpoints and the model directory.
        metrics: Losses on held-out text and speed.
        Output: Where the run lies.
    """
    from components.step import location, preset, step, verb
    from xlnet import runs, storage
    from xlnet.settings import parse_preset

    with step():
        sections = parse_preset(config, where="config")
        made_of = [storage.sha256(storage.join(folder, "manifest.json")) for folder in (data, validation)]
        place = location(pretrained, work, made_of, sections["model"], sections["pretraining"], init)
        if not storage.exists(storage.join(place, "summary.json")):  # else an attempt before this one has finished
            with preset(config) as path:
                words = ["--data", data, "--validation", validation, "--output", place, "--config", path]
                verb("pretrain", *words, *(["--init", init] if init else []))
        summary = runs.read_object(place, "summary.json")
        for name in ("loss", "validation_loss", "unigram_loss", "pieces_per_second", "seconds"):
            if isinstance(summary.get(name), int | float):  # a retry that finds all steps done has no speed to tell
                metrics.log_metric(name, summary[name])
        pretrained.metadata |= {"steps": summary["steps"], "parameters": summary["parameters"], "init": init}
        pretrained.metadata |= {"data": data, "manifest_sha256": made_of[0]}
    return place
