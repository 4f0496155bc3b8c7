"""A fine-tuned model in, a checked SavedModel out."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def export(finetuned: dsl.Input[dsl.Model], exported: dsl.Output[dsl.Model]):
    """Export for serving, and check that the export answers as the model does.

    Args:
        finetuned: The fine-tuning run.
        exported: Version folders with a SavedModel, its vocabulary and its card.
    """
    from components.step import step, verb
    from xlnet import provenance, storage

    with step():
        verb("export", "--model", storage.join(finetuned.path, "model"), "--output", exported.path)
        exported.metadata |= provenance.export(exported.path)["facts"]
        exported.metadata["task"] = finetuned.metadata.get("task", "")
