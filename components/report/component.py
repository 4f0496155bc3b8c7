"""A whole run in, one HTML page out."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def report(
    title: str,
    data: str,
    validation: str,
    pretrained: str,
    finetuned: dsl.Input[dsl.Model],
    evaluation: dsl.Input[dsl.Artifact],
    scratch: dsl.Input[dsl.Model],
    scratch_evaluation: dsl.Input[dsl.Artifact],
    exported: dsl.Input[dsl.Model],
    page: dsl.Output[dsl.HTML],
):
    """Write the report.

    Args:
        title: The page's title.
        data: Where the data set lies.
        validation: Where the data set of held-out text lies.
        pretrained: Where the pretraining run lies.
        finetuned: The fine-tuning from it.
        evaluation: Its evaluation.
        scratch: The same fine-tuning from scratch.
        scratch_evaluation: Its evaluation.
        exported: The export.
        page: The page.
    """
    from components.step import step
    from xlnet.report import Task, write

    with step():
        write(
            page.path,
            data=data,
            validation=validation,
            pretraining=pretrained,
            tasks=[
                Task("pretrained", finetuned.path, evaluation.path),
                Task("from scratch", scratch.path, scratch_evaluation.path),
            ],
            exported=exported.path,
            title=title,
        )
