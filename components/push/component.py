"""A challenger and its comparisons in, a new champion out, or the reason why not."""

from typing import Dict, List  # noqa: UP035  (as Kubeflow's compiler wants them)

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def push(
    store: str,
    run: str,
    champion: str,
    confidence: float,
    corpus: List[str],  # noqa: UP006
    heldout: List[str],  # noqa: UP006
    tasks: List[Dict],  # noqa: UP006
    config: str,
    title: str,
    vocabulary: str,
    goes_on: bool,
    heldout_shards: int,
    digest: str,
    data: str,
    pretrained: str,
    finetuned: dsl.Input[List[dsl.Model]],  # noqa: UP006
    evaluations: dsl.Input[List[dsl.Artifact]],  # noqa: UP006
    exported: dsl.Input[List[dsl.Model]],  # noqa: UP006
    comparisons: dsl.Input[List[dsl.Artifact]],  # noqa: UP006
    decision: dsl.Output[dsl.Markdown],
) -> bool:
    """Make the challenger the champion if it is better; its marker is written last.

    Args:
        store: The folder of the champion.
        run: The name of the run.
        champion: The folder of the champion that it was compared with, "" where there was none.
        confidence: How sure a difference must be, for example 0.95.
        corpus: As the pipeline was given it; kept for the lineage, as what follows.
        heldout: As the pipeline was given it.
        tasks: As the pipeline was given them.
        config: The preset, as YAML text.
        title: The report's title.
        vocabulary: The vocabulary that was given, "" where one was trained.
        goes_on: Whether pretraining went on from the champion.
        heldout_shards: How many streams the held-out text was cut into.
        digest: The hash of what the run was given, as it was checked.
        data: Where the data set lies.
        pretrained: Where the pretraining run lies.
        finetuned: The fine-tuning runs.
        evaluations: Their evaluations.
        exported: Their exports.
        comparisons: Their comparisons with the champion.
        decision: What was decided, and why.
        Output: Whether the challenger is the champion now.
    """
    from components.step import step
    from pipelines import pushing

    with step():
        parameters = {"corpus": corpus, "heldout": heldout, "tasks": tasks, "config": config, "store": store}
        parameters |= {"title": title, "vocabulary": vocabulary, "goes_on": goes_on, "confidence": confidence}
        parameters |= {"heldout_shards": heldout_shards}
        made = pushing.Made(digest, data, pretrained, finetuned, evaluations, exported, comparisons)
        told = pushing.decide(store, run, made, champion=champion, confidence=confidence, parameters=parameters)
        with open(decision.path, "w", encoding="utf-8") as page:
            page.write(told.page())
        decision.metadata |= {"is_pushed": told.is_pushed, "reason": told.reason, "version": told.version}
    return told.is_pushed
