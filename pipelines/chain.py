"""The stages in a row as a Kubeflow pipeline: text in; a pretrained, fine-tuned, evaluated and exported model out.

What runs again and again, with a champion to beat, is `pipelines.retraining`.
"""

from kfp import dsl

from components.evaluate.component import evaluate
from components.export.component import export
from components.finetune.component import finetune
from components.preprocess.component import preprocess
from components.pretrain.component import pretrain
from components.report.component import report
from components.train_vocabulary.component import train_vocabulary


@dsl.pipeline(name="xlnet-chain", description="Text in; a pretrained, fine-tuned, evaluated, exported XLNet out.")
def chain(
    corpus: list[str],
    heldout: list[str],
    task: dict,
    config: str,
    title: str = "XLNet run",
    heldout_shards: int = 4,
    workers: int = 1,
    beam: list[str] = [],  # noqa: B006  (read, never changed: it becomes a default in the compiled pipeline)
) -> dsl.HTML:
    """Train a vocabulary, preprocess, pretrain, fine-tune from there and from scratch, evaluate, export, report.

    Args:
        corpus: Paths or globs of the text to pretrain on.
        heldout: Paths or globs of the text to measure pretraining on.
        task: What to fine-tune on: its name, and the paths of labelled examples as train and dev.
        config: A preset, as YAML text.
        title: The report's title.
        heldout_shards: How many streams the held-out text is cut into; it is small.
        workers: Local worker processes of the Beam jobs.
        beam: Further options of the Beam jobs.
    """
    vocabulary = train_vocabulary(corpus=corpus, config=config).output
    common = {"config": config, "workers": workers, "beam": beam, "vocabulary": vocabulary}
    data = preprocess(corpus=corpus, shards=0, **common).outputs["Output"]
    heldout_task = preprocess(corpus=heldout, shards=heldout_shards, **common)
    validation = heldout_task.set_display_name("preprocess the held-out text").outputs["Output"]
    pretrained = pretrain(config=config, data=data, validation=validation).outputs["Output"]
    runs = {}
    for name, from_scratch in (("pretrained", False), ("scratch", True)):
        finetuned = finetune(task=task, config=config, from_scratch=from_scratch, pretrained=pretrained)
        evaluated = evaluate(task=task, finetuned=finetuned.outputs["finetuned"])
        finetuned.set_display_name(f"fine-tune ({name})")
        evaluated.set_display_name(f"evaluate ({name})")
        runs[name] = finetuned.outputs["finetuned"], evaluated.outputs["evaluation"]
    exported = export(finetuned=runs["pretrained"][0]).output
    return report(
        title=title,
        data=data,
        validation=validation,
        pretrained=pretrained,
        finetuned=runs["pretrained"][0],
        evaluation=runs["pretrained"][1],
        scratch=runs["scratch"][0],
        scratch_evaluation=runs["scratch"][1],
        exported=exported,
    ).output
