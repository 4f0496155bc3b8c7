"""What each part of pretraining buys: objectives, memories, bidirectional data and spans, at equal steps.

Every variant is trained on the same text for the same number of steps, then fine-tuned to tell praise from blame
with three seeds; nothing is chosen by the texts that accuracy is measured on. Losses are in nats a piece of one
held-out text, forward rows only, with the memory that the variant was trained with: of permutation variants over the
same predicted spans of words, of causal ones over every next piece. The two do not compare, the accuracies do.

    python -m experiments.objectives --books 'books/*.txt' --heldout valid.txt \
        --train rt/train.tsv --dev rt/dev.tsv --output experiments-run
"""

import argparse
import glob
from dataclasses import dataclass
from pathlib import Path

from experiments.chain import SEEDS, median, table, xlnet

CONFIG = Path(__file__).with_name("objectives.yaml")


@dataclass(frozen=True)
class Variant:
    """How a model differs from the first: flags of `xlnet preprocess` and of `xlnet pretrain`."""

    name: str
    corpus: tuple[str, ...] = ()
    training: tuple[str, ...] = ()

    @property
    def is_causal(self) -> bool:
        """Whether its loss is that of every next piece, not of predicted spans."""
        return "causal" in self.training


VARIANTS = (
    Variant("permutation"),
    Variant("without memory", training=("--memory-length", "0")),
    Variant("forward rows only", corpus=("--no-bidirectional",)),
    Variant("spans of pieces", corpus=("--span-unit", "piece")),
    Variant("causal", training=("--objective", "causal")),
    Variant("causal without memory", training=("--objective", "causal", "--memory-length", "0")),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--books", required=True, help="files to train on, a pattern")
    parser.add_argument("--heldout", required=True, help="a file of held-out text")
    parser.add_argument("--train", required=True, help="labelled texts, with the columns sentence and label")
    parser.add_argument("--dev", required=True, help="the same, to measure on")
    parser.add_argument("--output", required=True, type=Path, help="where runs go; finished ones are taken as they are")
    parser.add_argument("--only", help="one variant, by its name")
    parsed = parser.parse_args()
    rows = [
        _row(variant, parsed)
        for variant in (*VARIANTS, None)
        if parsed.only is None or (variant is not None and variant.name == parsed.only)
    ]
    print("\n" + table(["", "seconds", "loss of predicted spans", "loss of next pieces", "accuracy"], rows))


def _row(variant: Variant | None, parsed: argparse.Namespace) -> list[str]:
    if variant is None:  # from scratch
        return ["from scratch", "", "", "", _accuracy(parsed, "permutation", flags=["--fresh"])]
    name = variant.name.replace(" ", "-")
    run = parsed.output / "runs" / name
    data = _data(parsed, variant.corpus, "train")
    flags = ["--data", data, "--output", run, "--config", CONFIG, *variant.training]
    summary = xlnet("pretrain", *flags, result=run / "summary.json")
    loss = f"{_held_out_loss(parsed, name):.3f}"
    losses = ["", loss] if variant.is_causal else [loss, ""]
    return [variant.name, f"{summary['seconds']:.0f}", *losses, _accuracy(parsed, name)]


def _data(parsed: argparse.Namespace, corpus: tuple[str, ...], part: str) -> Path:
    """The records of a part, "train" or "heldout", made as `corpus` says; equal ones are made once."""
    vocabulary = parsed.output / "spiece.model"
    books = sorted(glob.glob(parsed.books))
    xlnet("train-vocab", *books, "--output", vocabulary, "--config", CONFIG, result=Path(f"{vocabulary}.json"))
    folder = parsed.output / "data" / "-".join([part, *(word.strip("-") for word in corpus)])
    shards = [] if part == "train" else ["--shards", "4"]
    files = books if part == "train" else [parsed.heldout]
    flags = ["--vocabulary", vocabulary, "--output", folder, "--config", CONFIG, *shards, *corpus]
    xlnet("preprocess", *files, *flags, result=folder / "manifest.json")
    return folder


def _held_out_loss(parsed: argparse.Namespace, name: str) -> float:
    data = _data(parsed, ("--no-bidirectional",), "heldout")
    folder = parsed.output / "held-out" / name
    flags = ["--model", parsed.output / "runs" / name / "model", "--data", data, "--output", folder]
    return xlnet("evaluate", *flags, result=folder / "evaluation.json")["nats_per_piece"]


def _accuracy(parsed: argparse.Namespace, name: str, flags: list[str] | None = None) -> str:
    folder = parsed.output / "tasks" / ("from-scratch" if flags else name)
    words = ["--train", parsed.train, "--dev", parsed.dev, "--text-column", "sentence", "--label-column", "label"]
    words += ["--init", parsed.output / "runs" / name / "model", "--output", folder, "--config", CONFIG]
    found = xlnet("finetune", *words, "--seeds", SEEDS, *(flags or []), result=folder / "summary.json")
    return median(found["spread"]["dev_accuracy"])


if __name__ == "__main__":
    main()
