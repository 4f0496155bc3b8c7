"""Tokenizer against SentencePiece alone: the same lines, one thread, in one run.

python -m benchmarks.tokenization --text 'books/*.txt' [--vocabulary spiece.model | --size 32000]
"""

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable

from sentencepiece import SentencePieceProcessor

from benchmarks.machine import processor
from xlnet import storage, vocab
from xlnet.corpus import documents
from xlnet.text import Tokenizer, normalize_lines

REPEATS = 5


def machine() -> str:
    """The processor, and how many of its cores this process may use."""
    return f"{processor()}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}"


def read_lines(pattern: str) -> list[str]:
    """All lines of all documents of the files that the pattern names."""
    files = [file.path for file in storage.match([pattern])]
    found = (item for path in files for item in documents.read(path))
    return [line for item in found if isinstance(item, documents.Document) for line in item.lines]


def interleaved(runs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Best seconds of each run; they take turns, so that a busy machine slows all of them."""
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(REPEATS):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def train(pattern: str, size: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "spiece.model")
        vocab.train([pattern], path, settings=vocab.VocabularySettings(size=size))
        return storage.read_bytes(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--text", required=True, help="a glob of text files")
    parser.add_argument("--vocabulary", help="a SentencePiece model; without it one is trained on the text")
    parser.add_argument("--size", type=int, default=32_000, help="pieces of the vocabulary to train")
    options = parser.parse_args()
    lines = read_lines(options.text)
    model = storage.read_bytes(options.vocabulary) if options.vocabulary else train(options.text, options.size)
    tokenizer, processor = Tokenizer(model), SentencePieceProcessor(model_proto=model)
    seconds = interleaved(
        {
            "SentencePiece alone": lambda: processor.EncodeAsIds(lines, num_threads=1),
            "Tokenizer.encode_lines": lambda: tokenizer.encode_lines(lines),
            "  of it normalize_lines": lambda: normalize_lines(lines),
        }
    )
    pieces = len(tokenizer.encode_lines(lines)[0])
    megabytes = sum(len(line.encode()) + 1 for line in lines) / 1e6
    print(f"{len(lines):,} lines, {megabytes:.1f} MB, {pieces:,} pieces of {tokenizer.size:,}; {machine()}")
    print(f"{'':24} {'seconds':>8} {'pieces/s':>10} {'MB/s':>6} {'ratio':>6}")
    alone = seconds["SentencePiece alone"]
    for name, taken in seconds.items():
        print(f"{name:24} {taken:8.3f} {pieces / taken:10,.0f} {megabytes / taken:6.1f} {alone / taken:6.2f}")


if __name__ == "__main__":
    main()
