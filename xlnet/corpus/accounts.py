"""What came in and what went out: counted on both sides, compared, and written down as the manifest."""

import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata

import numpy as np
from numpy.typing import NDArray

from xlnet import storage
from xlnet.corpus.documents import DeadLetter
from xlnet.corpus.manifest import DEAD_LETTERS, PIECE_COUNTS, VOCABULARY, Manifest, Shard
from xlnet.corpus.settings import CorpusSettings
from xlnet.corpus.shards import ShardSummary, shard_file
from xlnet.errors import UserError

LIBRARIES = ("apache-beam", "numpy", "sentencepiece", "xlnet-pipelines")


@dataclass(frozen=True)
class Tally:
    """What was read from one file; `documents` are those that went on as pieces."""

    path: str
    documents: int
    characters: int
    pieces: int
    dead_letters: list[DeadLetter]

    def to_bytes(self) -> bytes:
        """The tally as JSON, for transport."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> "Tally":
        """What `to_bytes` wrote."""
        values = json.loads(content)
        return cls(**values | {"dead_letters": [DeadLetter(**letter) for letter in values["dead_letters"]]})


def close(
    directory: str,
    *,
    tallies: Sequence[Tally],
    summaries: Sequence[ShardSummary],
    inputs: Sequence[storage.File],
    settings: CorpusSettings,
    vocabulary_size: int,
) -> Manifest:
    """Compare what came in with what went out, and write all that makes the folder a data set, the manifest last.

    Raises UserError when documents or pieces are missing, or when there are too few for a single record.
    """
    shards = sorted((file for summary in summaries for file in summary.files), key=_place)
    counts = _reconcile(tallies, shards, inputs=inputs, settings=settings)
    shards = sorted([*shards, *_empty_shards(directory, shards, settings)], key=_place)
    piece_counts = sum((summary.piece_counts for summary in summaries), np.zeros(vocabulary_size, np.int64))
    dead = sorted((letter for tally in tallies for letter in tally.dead_letters), key=_letter_place)
    lengths: Counter[int] = sum((Counter(summary.lengths) for summary in summaries), Counter())
    storage.publish(storage.join(directory, DEAD_LETTERS), b"".join(map(_json_line, dead)))
    storage.publish(storage.join(directory, PIECE_COUNTS), _npy(piece_counts))
    vocabulary = storage.join(directory, VOCABULARY)
    manifest = Manifest(
        settings=settings,
        vocabulary={"file": VOCABULARY, "sha256": storage.sha256(vocabulary), "size": vocabulary_size},
        inputs=[{"path": file.path, "bytes": file.bytes} for file in sorted(inputs)],
        counts=counts | {"unknown_pieces": int(piece_counts[0])},
        dead_letter_reasons=dict(Counter(letter.reason for letter in dead)),
        document_lengths={str(power): lengths[power] for power in sorted(lengths)},
        shards=shards,
        libraries={name: metadata.version(name) for name in LIBRARIES},
    )
    manifest.write(directory)
    return manifest


def _reconcile(
    tallies: Sequence[Tally], shards: Sequence[Shard], *, inputs: Sequence[storage.File], settings: CorpusSettings
) -> dict[str, int]:
    read = {tally.path for tally in tallies}
    lost = sorted({file.path for file in inputs} - read)
    if lost or len(tallies) != len(read):
        raise UserError(_lossy(f"of {len(inputs)} files {len(tallies)} were read, each should be once", lost[:3]))
    dead = sum(len(tally.dead_letters) for tally in tallies)
    documents = sum(tally.documents for tally in tallies)
    pieces = sum(tally.pieces for tally in tallies)
    for number in range(settings.passes):
        files = [file for file in shards if file.pass_index == number]
        found = sum(file.documents for file in files), sum(file.pieces for file in files)
        if found != (documents, pieces):
            raise UserError(
                _lossy(f"{documents:,} documents of {pieces:,} pieces were read, {found[0]:,} of {found[1]:,} arrived")
            )
    if not documents:
        reasons = ", ".join(sorted({letter.reason for tally in tallies for letter in tally.dead_letters})) or "no text"
        raise UserError(
            f"there is no document to write: {len(inputs)} files with {dead:,} rejected documents ({reasons})"
        )
    rows = 2 if settings.bidirectional else 1
    for file in shards:
        in_records = file.records // rows * settings.reuse_length
        if in_records + file.pieces_dropped != file.pieces:
            raise UserError(
                f"{file.file}: of {file.pieces:,} pieces {in_records:,} are in records and {file.pieces_dropped:,} "
                "were dropped, which does not add up; this is a fault of preprocess, please report it"
            )
    records = sum(file.records for file in shards)
    if not records:
        raise UserError(
            f"{documents:,} documents have {pieces:,} pieces, in {settings.shards} shards: none fills a window of "
            f"{settings.sequence_length}; give more text, fewer shards, or a smaller sequence_length"
        )
    dropped = sum(file.pieces_dropped for file in shards if file.pass_index == 0)
    return {
        "documents_in": documents + dead,
        "documents_out": documents,
        "dead_letters": dead,
        "characters": sum(tally.characters for tally in tallies),
        "pieces": pieces,
        "pieces_in_records": pieces - dropped,
        "pieces_dropped": dropped,
        "records": records,
    }


def _empty_shards(directory: str, shards: Iterable[Shard], settings: CorpusSettings) -> list[Shard]:
    """Files for shards that no document came to: every shard of the manifest has its file."""
    written = {file.file for file in shards}
    empty = []
    for number in range(settings.passes):
        for shard in range(settings.shards):
            file = shard_file(shard, pass_index=number, settings=settings)
            if file not in written:
                storage.publish(storage.join(directory, file), b"")
                empty.append(Shard(file, number, 0, 0, 0, 0, 0, hashlib.sha256().hexdigest()))
    return empty


def _lossy(what: str, examples: Sequence[str] = ()) -> str:
    named = f" (missing: {', '.join(examples)})" if examples else ""
    return f"{what}{named}: the Beam runner lost or repeated work; run again, with another runner or --workers 1"


def _place(shard: Shard) -> tuple[int, str]:
    return shard.pass_index, shard.file


def _letter_place(letter: DeadLetter) -> tuple[str, int, str]:
    return letter.path, letter.line, letter.reason


def _json_line(letter: DeadLetter) -> bytes:
    return (json.dumps(asdict(letter), ensure_ascii=False) + "\n").encode(errors="replace")


def _npy(array: NDArray[np.int64]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()
