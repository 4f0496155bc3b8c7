"""Paths in, their checksums out, or an error before anything expensive has begun."""

from typing import Dict, List, NamedTuple  # noqa: UP035  (as Kubeflow's compiler wants them)

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def check_inputs(
    corpus: List[str],  # noqa: UP006
    heldout: List[str],  # noqa: UP006
    tasks: List[Dict],  # noqa: UP006
    config: str,
    store: str,
    skip_unchanged: bool,
    found: dsl.Output[dsl.Markdown],
) -> NamedTuple(  # type: ignore[valid-type]
    "Outputs",
    [("corpus_digest", str), ("heldout_digest", str), ("tasks", list[dict]), ("digest", str), ("is_wanted", bool)],
):
    """Check what a run is given, and tell whether there is anything new.

    Args:
        corpus: Paths or globs of text, local or gs://, also `name=glob:weight`.
        heldout: The same of the text to measure pretraining on.
        tasks: A mapping each: name, train, dev, and settings over the preset's for fine-tuning.
        config: The preset, as YAML text.
        store: The folder of the champion.
        skip_unchanged: Whether a run of what the champion was made of is not wanted.
        found: A page about the inputs.
        corpus_digest: A hash of the corpus' content.
        heldout_digest: A hash of the held-out text's content.
        digest: A hash of all that the run is given, its settings too.
        is_wanted: Whether the rest of the pipeline is to run.
    """
    from components.step import step
    from pipelines import inputs

    with step():
        checked = inputs.check(corpus=corpus, heldout=heldout, tasks=tasks, config=config, store=store)
        is_wanted = checked.is_new or not skip_unchanged
        with open(found.path, "w", encoding="utf-8") as page:
            page.write(checked.page(is_wanted=is_wanted))
    return (checked.corpus, checked.heldout, checked.tasks, checked.digest, is_wanted)
