"""What pretraining is worth: a small model fine-tuned from its pretrained weights, and from none, by us and by a peer.

Sentiment, similarity, entailment and span answers, each with three seeds, for a fixed number of epochs: nothing is
chosen by the examples that are measured. The peer is Hugging Face's XLNet on PyTorch, from the same weights converted,
with the same features, optimizer and rates; its outputs are measured by the same code.

    python -m experiments.tasks --text 'text/*.txt' --heldout valid.txt --sst-2 rt-polarity --sts-b stsb --snli snli \
        --squad2 squad2 --peer-python .venv-bench/bin/python --output tasks-run

Each task's folder holds its files as they are published: train.tsv and dev.tsv (dev_matched.tsv), or SQuAD's two. Of
SQuAD 2.0 the questions that have an answer are taken: a model this small learns of the others to answer nothing, ever.
"""

import argparse
import glob
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.chain import SEEDS, median, median_of, table, xlnet

CONFIG = Path(__file__).with_name("tasks.yaml")
PEER = Path(__file__).with_name("hugging_face.py")


@dataclass(frozen=True)
class Measured:
    """A task, its files, what it is measured by, and what it wants beside the settings of all."""

    name: str
    train: str
    dev: str
    metric: str
    flags: tuple[str, ...] = ()
    answerable_of: str = ""  # the task whose questions with an answer are this one's examples

    @property
    def given_as(self) -> str:
        """The task whose files are handed over."""
        return self.answerable_of or self.name

    def files(self, folder: Path, output: Path) -> Path:
        """The folder of the files to train on, of the folder that was handed over."""
        return answerable(folder, output) if self.answerable_of else folder


SPANS = ("--sequence-length", "256", "--batch-size", "16")
TASKS = (
    Measured("sst-2", "train.tsv", "dev.tsv", "accuracy"),
    Measured("sts-b", "train.tsv", "dev.tsv", "pearson", ("--epochs", "5")),
    Measured("snli", "train.tsv", "dev_matched.tsv", "accuracy"),
    Measured("squad1", "train.json", "dev.json", "f1", SPANS, answerable_of="squad2"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", required=True, help="files to pretrain on, a pattern")
    parser.add_argument("--heldout", required=True, help="a file of held-out text")
    for task in TASKS:
        parser.add_argument(f"--{task.given_as}", type=Path, metavar="DIR", help="this task's files; left out without")
    parser.add_argument("--peer-python", metavar="FILE", help="a Python with torch and transformers; none without")
    parser.add_argument("--output", required=True, type=Path, help="where runs go; finished ones are taken as they are")
    parsed = parser.parse_args()
    model = pretrained(parsed)
    chosen = [
        (task, task.files(folder, parsed.output))
        for task in TASKS
        if (folder := getattr(parsed, task.given_as.replace("-", "_")))
    ]
    rows = [row(task, folder, model, parsed) for task, folder in chosen]
    print("\n" + table(["", "measured by", "from scratch", "pretrained", "the peer, pretrained"], rows))


def pretrained(parsed: argparse.Namespace) -> Path:
    """The model directory."""
    output, files = parsed.output, sorted(glob.glob(parsed.text))
    vocabulary, run = output / "spiece.model", output / "pretrained"
    settings = ["--config", CONFIG]
    xlnet("train-vocab", *files, "--output", vocabulary, *settings, result=Path(f"{vocabulary}.json"))
    for part, texts, more in (("train", files, []), ("heldout", [parsed.heldout], ["--shards", "4"])):
        data = output / "data" / part
        flags = ["--vocabulary", vocabulary, "--output", data, *settings, *more]
        xlnet("preprocess", *texts, *flags, result=data / "manifest.json")
    data = ["--data", output / "data" / "train", "--validation", output / "data" / "heldout"]
    xlnet("pretrain", *data, "--output", run, *settings, result=run / "summary.json")
    return run / "model"


def answerable(folder: Path, output: Path) -> Path:
    """A folder with the questions of SQuAD 2.0 that have an answer, as SQuAD 1.1 has them."""
    kept = output / "answerable"
    kept.mkdir(parents=True, exist_ok=True)
    for part in ("train", "dev"):
        told = json.loads((folder / f"{part}-v2.0.json").read_text(encoding="utf-8"))
        for article in told["data"]:
            for paragraph in article["paragraphs"]:
                paragraph["qas"] = [question for question in paragraph["qas"] if not question["is_impossible"]]
        (kept / f"{part}.json").write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
    return kept


def row(task: Measured, files: Path, model: Path, parsed: argparse.Namespace) -> list[str]:
    """A line of the table."""
    scratch, started = (_spread(task, files, model, parsed.output, start) for start in ("from-scratch", "pretrained"))
    peer = ""
    if parsed.peer_python:
        peer = median_of([_peer(task, files, model, parsed, seed) for seed in range(SEEDS)])
    return [task.name, task.metric, median(scratch), median(started), peer]


def _spread(task: Measured, files: Path, model: Path, output: Path, start: str) -> dict[str, float]:
    run = output / task.name / start
    flags = ["--task", task.name, "--train", files / task.train, "--dev", files / task.dev, "--init", model]
    flags += ["--output", run, "--config", CONFIG, *task.flags, *(["--fresh"] if start == "from-scratch" else [])]
    summary = xlnet("finetune", *flags, "--seeds", SEEDS, result=run / "summary.json")
    return summary["spread"][f"dev_{task.metric}"]


def _peer(task: Measured, files: Path, model: Path, parsed: argparse.Namespace, seed: int) -> float:
    """The metric of the peer's outputs; features and measuring are ours."""
    from xlnet.model.checkpoints import read_description
    from xlnet.tasks import registry
    from xlnet.tasks.predictor import load_tokenizer

    ours, job = parsed.output / task.name / "pretrained" / f"seed-{seed}", parsed.output / task.name / f"peer-{seed}"
    converted = parsed.output / "hugging-face"
    xlnet("convert", model, converted, "--to", "hugging-face", result=converted / "config.json")
    kind = registry.from_head(read_description(str(ours / "model"))["head"], where=str(ours))
    tokenizer = load_tokenizer(str(ours / "model"))
    dev = kind.read(str(files / task.dev))
    features = kind.features(tokenizer, dev)
    outputs = job / "outputs.npz"
    if not outputs.exists():
        job.mkdir(parents=True, exist_ok=True)
        train = kind.features(tokenizer, kind.read(str(files / task.train)))
        np.savez(job / "train.npz", **train.inputs, **train.targets)
        np.savez(job / "dev.npz", **features.inputs)
        summary = json.loads((ours / "summary.json").read_text())
        told = {
            "model": str(converted),
            "head": kind.head,
            "stddev": json.loads((model / "config.json").read_text())["model"]["initializer_stddev"],
            "steps": summary["steps"],
            "settings": summary["settings"] | {"seed": seed},
        }
        (job / "job.json").write_text(json.dumps(told, indent=1))
        subprocess.run([parsed.peer_python, str(PEER), str(job)], check=True)
    found = dict(np.load(outputs))
    return kind.measure(dev, features, found.get("logits", found))["metrics"][task.metric]


if __name__ == "__main__":
    main()
