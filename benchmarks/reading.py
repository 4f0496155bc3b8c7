"""Reading: records to model batches on one core, against the original's way of parsing, and against the model's step.

    python -m benchmarks.reading

All readers run in turns in one process that is bound to one core; their time is the processor's, of all threads. Ours
parses many records at once. The original's parser is rebuilt in tf.data: record by record it makes the mask [length,
length] of a factorization order and the one-hot matrix [predictions, length] of the targets, and batches them. The step
is that of `benchmarks.pretraining_step`, with all cores. Pieces are drawn, as frequent as in text: a reader does not
look at them.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.machine import processor
from benchmarks.step import Sizes
from benchmarks.turns import Side
from xlnet.corpus import layouts
from xlnet.corpus.settings import CorpusSettings
from xlnet.corpus.streams import Stream
from xlnet.special_pieces import CLS, SEP

VOCABULARY = 32_000
SHARDS, PIECES = 16, 40_000  # in each


def main() -> None:
    arguments = parse()
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})  # before TensorFlow makes its threads
    with tempfile.TemporaryDirectory() as folder:
        readers = {
            "compact": ours(folder, CorpusSettings(shards=SHARDS), arguments.batch),
            "reference layout": ours(folder, CorpusSettings(shards=SHARDS, layout="reference"), arguments.batch),
            "original's parser": originals(folder, arguments.batch),
        }
        best = measure(readers, rounds=arguments.rounds, seconds=arguments.seconds)
        os.sched_setaffinity(0, cores)
        eaten = step(arguments.rounds, folder=Path(folder))
    length = CorpusSettings().sequence_length
    result = {
        "batch": arguments.batch,
        "records_per_second": {name: round(rate, 1) for name, rate in best.items()},
        "pieces_per_second": {name: round(rate * length) for name, rate in best.items()},
        "step_pieces_per_second": round(eaten),
        "ratio_to_original": round(best["compact"] / best["original's parser"], 1),
        "ratio_to_step": round(best["compact"] * length / eaten, 1),
        "step": asdict(Sizes()),
        "machine": {"cpu": processor(), "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)},
    }
    print(json.dumps(result, indent=1))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32, help="rows of a batch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each reader in each round")
    return parser.parse_args()


def write(folder: str, settings: CorpusSettings) -> SimpleNamespace:
    """A data set without a job: what a reader asks of its manifest."""
    chances = 1 / np.arange(1, VOCABULARY - 8)
    generator = np.random.default_rng(0)
    shards = []
    for number in range(settings.shards):
        pieces = generator.choice(np.arange(9, VOCABULARY), PIECES, p=chances / chances.sum()).astype(np.uint16)
        file = layouts.file_name(number, 0, settings)
        path = Path(folder) / file
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as target:
            written = layouts.write(
                target,
                Stream(pieces, np.arange(20, PIECES, 20)),
                settings=settings,
                vocabulary_size=VOCABULARY,
                is_word_start=np.arange(VOCABULARY) % 3 > 0,
                pass_index=0,
                shard=number,
            )
        shards.append(SimpleNamespace(file=file, records=written.records))
    return SimpleNamespace(settings=settings, shards=shards, vocabulary={"size": VOCABULARY})


def ours(folder: str, settings: CorpusSettings, batch: int) -> Callable[[], Iterable[Any]]:
    """What trains from a data set of these settings."""
    from xlnet.training.data import training_batches

    manifest: Any = write(folder, settings)
    return lambda: training_batches(folder, manifest, batch_size=batch, steps=1 << 20, seed=0)


def originals(folder: str, batch: int) -> Callable[[], Iterable[Any]]:
    """The original's reader of the same files."""
    import tensorflow as tf

    settings = replace(CorpusSettings(shards=SHARDS), layout="reference")
    paths = [f"{folder}/{layouts.file_name(number, 0, settings)}" for number in range(SHARDS)]
    length, half, predictions = settings.sequence_length, settings.reuse_length, settings.predictions
    spec = {name: tf.io.FixedLenFeature([length], tf.int64) for name in ("input", "target", "seg_id", "is_masked")}
    spec["label"] = tf.io.FixedLenFeature([1], tf.int64)

    def one_half(record: dict[str, Any], part: slice) -> tuple[Any, Any, Any]:
        pieces, is_masked = record["input"][part], tf.cast(record["is_masked"][part], tf.bool)
        order = tf.random.shuffle(tf.range(half, dtype=tf.int64))
        is_functional = (pieces == SEP) | (pieces == CLS)
        is_ordered = is_masked | is_functional
        is_target = is_ordered & ~is_functional
        rank = tf.where(is_ordered, order, -tf.ones([half], tf.int64))
        own = tf.where(is_target, rank, rank + 1)
        unseen = (own[:, None] <= rank[None, :]) & is_ordered
        before = tf.concat([pieces[:1], record["target"][part][:-1]], axis=0)
        return tf.cast(unseen, tf.float32), before, tf.cast(is_target, tf.float32)

    def parsed(serialized: Any) -> dict[str, Any]:
        record = tf.io.parse_single_example(serialized, spec)
        first, second = one_half(record, slice(0, half)), one_half(record, slice(half, length))
        mask = tf.concat(
            [
                tf.concat([first[0], tf.ones([half, half])], axis=1),
                tf.concat([tf.zeros([half, half]), second[0]], axis=1),
            ],
            axis=0,
        )
        is_target = tf.concat([first[2], second[2]], axis=0)
        positions = tf.boolean_mask(tf.range(length, dtype=tf.int64), tf.cast(is_target, tf.bool))
        missing = predictions - tf.shape(positions)[0]
        mapping = tf.pad(tf.one_hot(positions, length, dtype=tf.float32), [[0, missing], [0, 0]])
        targets = tf.boolean_mask(tf.concat([first[1], second[1]], axis=0), tf.cast(is_target, tf.bool))
        return {
            "perm_mask": tf.reshape(mask, [length, length]),
            "target_mapping": tf.reshape(mapping, [predictions, length]),
            "target": tf.cast(tf.reshape(tf.pad(targets, [[0, missing]]), [predictions]), tf.int32),
            "target_mask": tf.cast(tf.range(predictions) < tf.shape(positions)[0], tf.float32),
            "input_k": tf.cast(record["input"], tf.int32),
            "input_q": is_target,
            "seg_id": tf.cast(record["seg_id"], tf.int32),
            "label": tf.cast(record["label"], tf.int32),
        }

    return lambda: tf.data.TFRecordDataset(paths).cache().map(parsed).repeat().batch(batch).prefetch(2)


def measure(readers: dict[str, Callable[[], Iterable[Any]]], *, rounds: int, seconds: float) -> dict[str, float]:
    """Records a second of each reader: the best of its rounds, without the start."""
    streams = {name: iter(reader()) for name, reader in readers.items()}
    best = dict.fromkeys(readers, 0.0)
    for _ in range(rounds):
        for name, stream in streams.items():
            for _ in range(20):  # what was read ahead while the others ran does not count
                next(stream)
            records, started = 0, time.process_time()
            while time.process_time() < started + seconds:
                batch = next(stream)
                records += next(iter(batch.values())).shape[0]
            best[name] = max(best[name], records / (time.process_time() - started))
    return best


def step(rounds: int, *, folder: Path) -> float:
    """Pieces a second that the model's training step takes."""
    given = {"sizes": asdict(Sizes()), "folder": str(folder), "remat": False}
    side = Side("benchmarks.step_ours", options=given, threads=len(os.sched_getaffinity(0)))
    side.run("step")  # compiles
    best = min(side.run("step")[0] for _ in range(rounds))
    side.close()
    return Sizes().pieces / best


if __name__ == "__main__":
    main()
