"""Preprocessing against SentencePiece alone: pieces a second, in one run, on one core each.

    python -m benchmarks.preprocessing --text 'books/*.txt' --vocabulary spiece.model --sequence-length 512

SentencePiece encodes all lines, as they are, in one thread, without making anything of the ids. The job does all that
`xlnet preprocess` does, with one worker: reads, normalises, tokenises, arranges, samples, encodes, writes, checks. Its
time runs from when the first worker opens the first file to when the last shard is on the disk: the start of Beam's
runner is left out, and stated apart. Both are repeated, in turns; the best of each counts. The size of the records is
told for both layouts, in bytes a piece of the text.
"""

import argparse
import json
import os
import tempfile
import time

import sentencepiece

from benchmarks.machine import processor
from pipelines.journal import Advance
from pipelines.preprocess import run
from xlnet import storage, vocab
from xlnet.corpus.settings import CorpusSettings


def main() -> None:
    arguments = parse()
    files = storage.match(arguments.text)
    with tempfile.TemporaryDirectory() as folder:
        vocabulary = arguments.vocabulary or train(arguments.text, folder)
        alone, ours = [], []
        for turn in range(arguments.repeats):
            alone.append(sentencepiece_alone([file.path for file in files], vocabulary))
            ours.append(whole_job(arguments, vocabulary, os.path.join(folder, f"data-{turn}")))
        reference = whole_job(arguments, vocabulary, os.path.join(folder, "data-reference"), layout="reference")
    best_alone = max(alone, key=lambda result: result["pieces_per_second"])
    best_ours = max(ours, key=lambda result: result["pieces_per_second"])
    size = sum(file.bytes for file in files)
    result = {
        "text_bytes": size,
        "bytes_per_piece": round(size / best_alone["pieces"], 2),
        "sentencepiece": best_alone,
        "preprocess": best_ours,
        "ratio": round(best_ours["pieces_per_second"] / best_alone["pieces_per_second"], 3),
        "record_bytes_per_piece": {
            "compact": round(best_ours["record_bytes"] / best_ours["pieces_in_records"], 2),
            "reference": round(reference["record_bytes"] / reference["pieces_in_records"], 2),
        },
        "repeats": arguments.repeats,
        "machine": {"cpu": processor(), "cores": os.cpu_count()},
    }
    print(json.dumps(result, indent=1))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", nargs="+", required=True, help="text files or globs")
    parser.add_argument("--vocabulary", help="a SentencePiece model; one of 32,000 pieces is trained when missing")
    parser.add_argument("--sequence-length", type=int, default=512)
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


def train(text: list[str], folder: str) -> str:
    path = os.path.join(folder, "spiece.model")
    vocab.train(text, path, settings=vocab.VocabularySettings())
    return path


def sentencepiece_alone(paths: list[str], vocabulary: str) -> dict[str, float]:
    lines = [line for path in paths for line in storage.read_bytes(path).decode().split("\n") if line]
    processor = sentencepiece.SentencePieceProcessor(model_file=vocabulary)
    started = time.perf_counter()
    pieces = sum(len(processor.EncodeAsIds(line)) for line in lines)
    return measured(pieces, time.perf_counter() - started)


def whole_job(
    arguments: argparse.Namespace, vocabulary: str, output: str, *, layout: str = "compact"
) -> dict[str, float]:
    length = arguments.sequence_length
    settings = CorpusSettings(
        sequence_length=length,
        reuse_length=length // 2,
        permutation_size=length // 2,
        predictions=length // 6,
        shards=arguments.shards,
        layout=layout,
    )
    advances: list[Advance] = []
    started = time.perf_counter()
    manifest = run(arguments.text, output, vocabulary=vocabulary, settings=settings, progress=advances.append)
    total = time.perf_counter() - started
    return measured(manifest.counts["pieces"], advances[-1].seconds) | {
        "seconds_with_runner": round(total, 2),
        "records": manifest.counts["records"],
        "pieces_in_records": manifest.counts["pieces_in_records"],
        "record_bytes": sum(shard.bytes for shard in manifest.shards),
    }


def measured(pieces: int, seconds: float) -> dict[str, float]:
    return {"pieces": pieces, "seconds": round(seconds, 3), "pieces_per_second": round(pieces / seconds)}


if __name__ == "__main__":
    main()
