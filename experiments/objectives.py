"""What each part of pretraining buys: objectives, memories, bidirectional data and spans, at equal steps.

Every variant is trained on the same text for the same number of steps with three seeds, of pretraining and of the
fine-tuning after it, which learns to tell praise from blame; shown are medians, with the lowest and the highest.
Nothing is chosen by the texts that accuracy is measured on. Losses are in nats a piece of one held-out text, forward
rows only, with the memory that the variant was trained with: of permutation variants over the same predicted spans of
words, of causal ones over every next piece. The two do not compare, the accuracies do.

    python -m experiments.objectives --books 'books/*.txt' --heldout valid.txt \
        --train rt/train.tsv --dev rt/dev.tsv --output experiments-run
"""

import argparse
import glob
from dataclasses import dataclass
from pathlib import Path

from experiments.chain import SEEDS, median_of, table, xlnet

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
        accuracies = [_accuracy(parsed, "from-scratch", seed) for seed in range(SEEDS)]
        return ["from scratch", "", "", "", median_of(accuracies)]
    data = _data(parsed, variant.corpus, "train")
    seconds, losses, accuracies = [], [], []
    for seed in range(SEEDS):
        name = f"{variant.name.replace(' ', '-')}-{seed}"
        run = parsed.output / "runs" / name
        flags = ["--data", data, "--output", run, "--config", CONFIG, "--seed", seed, *variant.training]
        seconds.append(xlnet("pretrain", *flags, result=run / "summary.json")["seconds"])
        losses.append(_held_out_loss(parsed, name))
        accuracies.append(_accuracy(parsed, name, seed, init=run / "model"))
    columns = ["", median_of(losses)] if variant.is_causal else [median_of(losses), ""]
    return [variant.name, f"{sum(seconds):.0f}", *columns, median_of(accuracies)]


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


def _accuracy(parsed: argparse.Namespace, name: str, seed: int, *, init: Path | None = None) -> float:
    """Without `init`: of new weights of the first variant's sizes."""
    folder = parsed.output / "tasks" / (name if init else f"{name}-{seed}")
    sizes = parsed.output / "runs" / f"{VARIANTS[0].name}-0" / "model"
    words = ["--train", parsed.train, "--dev", parsed.dev, "--text-column", "sentence", "--label-column", "label"]
    words += ["--init", init or sizes, "--output", folder, "--config", CONFIG, "--seed", seed]
    return xlnet("finetune", *words, *([] if init else ["--fresh"]), result=folder / "summary.json")["dev_accuracy"]


if __name__ == "__main__":
    main()
