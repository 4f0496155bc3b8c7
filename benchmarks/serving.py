"""Texts a second of batch prediction against Hugging Face's PyTorch XLNet, and what 8 bits cost and give.

    python -m benchmarks.serving --peer-python PEER_ENVIRONMENT/bin/python --texts 'raw/*.txt' --books 'xlnet/*.txt'

One classifier with random weights; the peer gets the same through `xlnet convert`. All sides run in processes of their
own and take turns, and their logits are compared before anything is timed. Measured twice: rows of one length, as the
peer's users pad them; and real lengths, where the peer pads every batch to its longest row, in the order of the file
and sorted by length, whichever is faster. Reading and tokenizing are not part of it: all sides get the same ids.
"""

import argparse
import dataclasses
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.serving_texts import Sizes, gather
from benchmarks.turns import Side, best, conditions, threads_flag

NAMES = {
    "ours": "ours",
    "onnx": "ours, ONNX",
    "int8": "ours, ONNX, 8 bits",
    "peer": "Hugging Face",
    "sorted": "Hugging Face, sorted",
}


def prepare(folder: Path, sizes: Sizes, pattern: str, books: str) -> None:
    """The model in our form, in the peer's, and as exports; the rows that all sides read."""
    from dataclasses import replace

    from xlnet import conversion, vocab
    from xlnet.model.checkpoints import save_model
    from xlnet.model.config import ModelConfig
    from xlnet.serving.export import export
    from xlnet.tasks import registry
    from xlnet.tasks.features import features
    from xlnet.text import Tokenizer

    vocabulary = str(folder / "spiece.model")
    vocab.train([books], vocabulary, settings=vocab.VocabularySettings(size=sizes.vocab_size))
    tokenizer = Tokenizer(vocabulary)
    config = ModelConfig(
        vocab_size=tokenizer.size,
        layers=sizes.layers,
        model_dim=sizes.model_dim,
        heads=sizes.heads,
        head_dim=sizes.model_dim // sizes.heads,
        feedforward_dim=4 * sizes.model_dim,
        initializer_stddev=0.05,  # more than usual: logits that are all alike would compare well
    )
    head = {
        "task": "classification",
        "data_set": None,
        "classes": ["a", "b"],
        "summary": "last",
        "projection": True,
        "sequence_length": sizes.length,
        "columns": {"text": "text", "pair": None, "label": "label", "header": None},
    }
    model = registry.from_head(head, where="head").model(replace(config, dropout=0.0))
    written = str(folder / "model")
    text = {"lower": False, "keep_accents": False}
    save_model(written, model, config=config, vocabulary=vocabulary, text=text, head=head, provenance={})
    conversion.convert(written, str(folder / "peer"), to="hugging-face")
    for kind in ("onnx", "int8"):
        export(model=written, output=str(folder / kind), format=kind)
    inputs = features(tokenizer, gather(pattern, sizes.texts), sequence_length=sizes.length)
    np.savez(folder / "rows.npz", **inputs)


def compare(options: argparse.Namespace, sizes: Sizes) -> dict[str, Any]:
    """Seconds of every side for all rows, how far the logits are apart, sizes of files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, sizes, options.texts, options.books)
        given = {"folder": name, "sizes": dataclasses.asdict(sizes)}
        about = {"options": given, "threads": options.threads}
        sides = {"ours": Side("benchmarks.serving_ours", **about)}
        if options.peer_python:
            sides["peer"] = Side("benchmarks.serving_hugging_face", python=options.peer_python, **about)
        figures: dict[str, Any] = {"apart": {}, "sizes": {}}
        for runs in ("logits", "logits_onnx", "logits_int8"):
            sides["ours"].run(runs)
        if "peer" in sides:
            sides["peer"].run("logits")
        ours = np.load(folder / "logits.npy")
        for other in ("onnx", "int8", *(["peer"] if "peer" in sides else [])):
            found = np.load(folder / f"logits_{other}.npy")
            figures["apart"][other] = float(np.abs(found - ours).max())
            figures.setdefault("same_class", {})[other] = float(np.mean(found.argmax(-1) == ours.argmax(-1)))
        for kind in ("onnx", "int8"):
            figures["sizes"][kind] = (folder / kind / "1" / "model.onnx").stat().st_size
        for run in ("fixed", "real"):
            turns = {
                "ours": (sides["ours"], run),
                **{kind: (sides["ours"], f"{run}_{kind}") for kind in ("onnx", "int8")},
            }
            if "peer" in sides:
                turns["peer"] = sides["peer"], run
            if "peer" in sides and run == "real":
                turns["sorted"] = sides["peer"], "sorted"
            figures[run] = take_turns(turns, rounds=options.rounds)
        figures["mean_length"] = float((np.load(folder / "rows.npz")["padding"] == 0).sum(1).mean())
        for side in sides.values():
            side.close()
    return figures


def take_turns(turns: dict[str, tuple[Side, str]], *, rounds: int) -> dict[str, list[float]]:
    """Seconds of each round of each; a first round, that compiles, is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    for counted in [False] + [True] * rounds:
        for name, (side, run) in turns.items():
            spent = side.run(run)[0]
            if counted:
                seconds[name].append(spent)
    return seconds


def report(figures: dict[str, Any], options: argparse.Namespace, sizes: Sizes) -> None:
    """Print what was found."""
    print(conditions(options.threads))
    print(f"{', '.join(f'{key} {value}' for key, value in dataclasses.asdict(sizes).items())}, float32")
    print(f"mean length {figures['mean_length']:.0f} pieces")
    for run in ("fixed", "real"):
        print(f"{run} lengths")
        for side, spent in figures[run].items():
            rate = sizes.texts / statistics.median(spent)
            print(f"  {NAMES[side]:22} {best(spent)} for all, {rate:,.0f} texts/s")
        peers = [statistics.median(figures[run][side]) for side in ("peer", "sorted") if side in figures[run]]
        if peers:
            print(f"  ratio to the better peer: {min(peers) / statistics.median(figures[run]['ours']):.2f}x")
        onnx, int8 = (statistics.median(figures[run][kind]) for kind in ("onnx", "int8"))
        print(f"  8 bits against float32, ONNX: {onnx / int8:.2f}x")
    print(f"size of 8 bits: {figures['sizes']['int8'] / figures['sizes']['onnx']:.3f}x")
    for other, apart in figures["apart"].items():
        print(f"largest difference of logits, {other}: {apart:.1e}; same class {figures['same_class'][other]:.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", help="an interpreter with torch and transformers; without it, ours alone")
    parser.add_argument("--texts", required=True, help="files with a paragraph a line")
    parser.add_argument("--books", required=True, help="files with a sentence a line, to learn the vocabulary from")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", help="also write the figures to this file")
    parser.add_argument("--sizes", type=json.loads, default={}, help="other sizes, e.g. '{\"layers\": 2}'")
    threads_flag(parser)
    options = parser.parse_args()
    sizes = dataclasses.replace(Sizes(), **options.sizes)
    figures = compare(options, sizes)
    report(figures, options, sizes)
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
