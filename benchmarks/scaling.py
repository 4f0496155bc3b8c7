"""The job on growing text: seconds, shuffle, output and memory, against what `--estimate` says of it.

    python -m benchmarks.scaling --text 'books/*.txt' --megabytes 10 30 100 300 [--workers 2]

The books are repeated, with a mark in every document of each copy, so that no two are the same. Each size is a process
of its own, `xlnet preprocess`; all its processes are looked at twenty times a second. Seconds are those of the
processors (start and imports, as a run on next to nothing takes them, are left out), so that other work on the machine
does not count; the seconds of the clock stand beside. With `--workers N` each size runs again with N processes.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.machine import processor
from benchmarks.watching import watched
from pipelines import estimate
from pipelines.cost import Prices, Work, bill
from xlnet import storage, vocab
from xlnet.corpus.manifest import Manifest
from xlnet.corpus.settings import CorpusSettings
from xlnet.settings import parse_mapping

FILE = 8 << 20  # bytes of one file
NOTHING = 0.05  # megabytes whose run is all start


def main() -> None:
    arguments = parse()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        vocabulary = arguments.vocabulary or train(arguments.text, folder)
        start = {
            workers: measure(arguments, NOTHING, vocabulary, folder, workers=workers) for workers in counts(arguments)
        }
        rows = [
            described(arguments, size, vocabulary, folder, workers=workers, start=start[workers])
            for size in arguments.megabytes
            for workers in counts(arguments)
        ]
    for row in rows:
        alone = next(each for each in rows if each["megabytes"] == row["megabytes"] and each["workers"] == 1)
        row["speedup"] = round(alone["seconds"] / row["seconds"], 2)
    largest = carried(rows[-1].pop("estimate"), arguments)
    rows = [{name: value for name, value in row.items() if name != "estimate"} for row in rows]
    result = {"rows": rows, "carried": largest, "machine": {"cpu": processor(), "cores": os.cpu_count()}}
    print(json.dumps(result, indent=1))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", nargs="+", required=True, help="text files or globs")
    parser.add_argument("--megabytes", nargs="+", type=float, default=[10, 30, 100, 300])
    parser.add_argument("--workers", type=int, default=1, help="also with so many")
    parser.add_argument("--vocabulary", help="a SentencePiece model; one of 32,000 pieces is trained when missing")
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--grow", action="store_true", help="more shards with the text: --shards for the first size")
    parser.add_argument("--passes", type=int, default=1)
    parser.add_argument(
        "--carry", type=float, default=32.89e9, help="pieces to carry the model to (default: the paper's)"
    )
    parser.add_argument("--carry-shards", type=int, default=1024, help="shards then, at least")
    parser.add_argument("--deadline", type=float, default=1.0, help="hours that it may take then")
    parser.add_argument("--prices", default="configs/prices.yaml")
    parser.add_argument("--folder", help="where to put text and data (default: the system's temporary folder)")
    return parser.parse_args()


def counts(arguments: argparse.Namespace) -> list[int]:
    return sorted({1, arguments.workers})


def train(text: list[str], folder: str) -> str:
    path = os.path.join(folder, "spiece.model")
    vocab.train(text, path, settings=vocab.VocabularySettings())
    return path


def described(
    arguments: argparse.Namespace,
    size: float,
    vocabulary: str,
    folder: str,
    *,
    workers: int,
    start: dict[str, Any],
) -> dict[str, Any]:
    """A size measured, and what was estimated."""
    found = measure(arguments, size, vocabulary, folder, workers=workers)
    expected = found["estimate"]
    seconds = found["cpu_seconds"] - start["cpu_seconds"]
    estimated = expected["read_core_seconds"] + expected["write_core_seconds"]
    return {
        "megabytes": size,
        "workers": workers,
        "shards": shards(arguments, size),
        "pieces": found["pieces"],
        "seconds": round(found["seconds"] - start["seconds"], 2),
        "cpu_seconds": round(seconds, 2),
        "cpu_seconds_estimated": round(estimated, 2),
        "cpu_seconds_without_beam": round(estimated / expected["beam_factor"], 2),
        "measured_by_without_beam": round(seconds * expected["beam_factor"] / estimated, 3),
        "shuffle_megabytes": round(found["shuffle_bytes"] / 1e6, 2),
        "shuffle_megabytes_estimated": round(expected["shuffle_bytes"] / 1e6, 2),
        "output_megabytes": round(found["output_bytes"] / 1e6, 2),
        "output_megabytes_estimated": round(expected["output_bytes"] / 1e6, 2),
        "pieces_estimated": expected["pieces"],
        "largest_process_megabytes": round(found["largest_bytes"] / 1e6),
        "all_processes_megabytes": round(found["tree_bytes"] / 1e6),
        "start_seconds": round(start["seconds"], 2),
        "estimate": expected,
    }


def measure(
    arguments: argparse.Namespace, size: float, vocabulary: str, folder: str, *, workers: int
) -> dict[str, Any]:
    """One run of the command, on so many megabytes of text."""
    text = os.path.join(folder, f"text-{size:g}")
    if not os.path.isdir(text):
        write_text(arguments.text, text, size=int(size * 1e6))
    settings = CorpusSettings(shards=shards(arguments, size), passes=arguments.passes)
    inputs, output = [os.path.join(text, "*.txt")], os.path.join(folder, f"data-{size:g}-{workers}")
    command = [sys.executable, "-m", "xlnet.cli", "preprocess", *inputs, "--vocabulary", vocabulary, "--output", output]
    command += [f"--workers={workers}", f"--shards={settings.shards}", f"--passes={settings.passes}"]
    found = watched(command, output)
    made = Manifest.read(output)
    found |= {
        "pieces": made.counts["pieces"],
        "output_bytes": sum(shard.bytes for shard in made.shards),
        "estimate": estimate.run(inputs, vocabulary=vocabulary, settings=settings),
    }
    storage.remove_folder(output)
    return found


def shards(arguments: argparse.Namespace, size: float) -> int:
    """With `--grow` a shard is equally long at every size."""
    return max(1, round(arguments.shards * size / arguments.megabytes[0])) if arguments.grow else arguments.shards


def write_text(patterns: list[str], folder: str, *, size: int) -> None:
    """Copies of the books, in files of some megabytes, cut at a document's end when there is enough."""
    books = [storage.read_bytes(file.path).decode().split("\n\n") for file in storage.match(patterns)]
    documents = [document.strip("\n") for book in books for document in book if document.strip()]
    os.makedirs(folder)
    left, copy, number = size, 0, 0
    while left > 0:
        parts: list[str] = []
        room = min(left, FILE)
        while room > 0:
            if number == len(documents):
                copy, number = copy + 1, 0
            parts.append(f"Copy {copy}, document {number}.\n{documents[number]}\n")
            room -= len(parts[-1].encode()) + 1
            number += 1
        content = "\n".join(parts).encode()
        Path(folder, f"{left:012d}.txt").write_bytes(content)
        left -= len(content)


def carried(expected: dict[str, Any], arguments: argparse.Namespace) -> dict[str, Any]:
    """What a text of `--carry` pieces takes, by the model, from what was measured on one core here."""
    factor = arguments.carry / expected["pieces"]
    prices = Prices.of(parse_mapping(storage.read_bytes(arguments.prices), where=arguments.prices, wanted="prices"))
    shards = max(arguments.carry_shards, -(-int(2 * arguments.carry) // estimate.STREAM))
    work = Work(
        read=factor * expected["read_core_seconds"],
        write=factor * expected["write_core_seconds"],
        longest_read=expected["longest_read_seconds"],
        longest_write=factor * expected["write_core_seconds"] / shards,
        shuffled=factor * expected["shuffle_bytes"],
        output=factor * expected["output_bytes"],
    )
    cores = work.cores_for(arguments.deadline)
    return {
        "pieces": arguments.carry,
        "text_bytes": round(factor * expected["bytes"]),
        "core_hours": round(work.core_hours, 2),
        "shuffle_gigabytes": round(work.shuffled / 1e9, 1),
        "output_gigabytes": round(work.output / 1e9, 1),
        "shards": shards,
        "shard_megabytes_of_pieces": round(2 * arguments.carry / shards / 1e6),
        "deadline_hours": arguments.deadline,
        "cores": cores,
        "hours": round(work.hours(cores), 2),
        "cost": {name: round(amount, 2) for name, amount in bill(work, prices, workers=cores).items()},
        "currency": prices.currency,
    }


if __name__ == "__main__":
    main()
