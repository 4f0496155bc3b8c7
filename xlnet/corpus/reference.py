"""Data sets as the original (zihangdai/xlnet) names and reads them: `tfrecords/`, with a record_info-*.json a file.

A file holds the rows of a whole batch, batch after batch; the original's trainer must ask for just as many. A shard of
ours is a task of the original. Source: reference `data_utils.py`.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xlnet import storage
from xlnet.corpus.manifest import COUNTS, NAME, Manifest, Shard
from xlnet.corpus.settings import CorpusSettings
from xlnet.errors import UserError
from xlnet.file_names import VOCABULARY

FOLDER = "tfrecords"
CORPUS_INFO = "corpus_info.json"
_INFO = re.compile(
    r"record_info-(?P<split>[a-z]+)-(?P<task>\d+)-(?P<pass>\d+)"
    r"\.(?P<kind>bsz-(?P<rows>\d+)\.seqlen-(?P<length>\d+)\.(?:reuse-(?P<reuse>\d+)\.)?(?P<uncased>uncased\.)?"
    r"(?P<direction>bi|uni)\.alpha-(?P<alpha>\d+)\.beta-(?P<beta>\d+)\.(?:fnp-(?P<predictions>\d+)\.)?)json"
)

Fields = Mapping[str, Any]  # what a name says: text, or None


def file_name(shard: int, pass_index: int, settings: CorpusSettings) -> str:
    """The file of a shard, in the data set."""
    return f"{FOLDER}/train-{shard}-{pass_index}.{_kind(settings)}tfrecords"


def record_info(shard: int, pass_index: int, settings: CorpusSettings, *, records: int) -> tuple[str, dict[str, Any]]:
    """The file beside it, by which the original's trainer finds it: name and content."""
    content = {
        "filenames": [file_name(shard, pass_index, settings)],
        "num_batch": records // settings.reference_rows,
    }
    return f"{FOLDER}/record_info-train-{shard}-{pass_index}.{_kind(settings)}json", content


def corpus_info(settings: CorpusSettings, *, vocabulary_size: int) -> dict[str, Any]:
    """The content of corpus_info.json, one for the whole data set."""
    return {
        "vocab_size": vocabulary_size,
        "bsz_per_host": settings.reference_rows,
        "num_core_per_host": settings.reference_cores,
        "seq_len": settings.sequence_length,
        "reuse_len": settings.reuse_length,
        "uncased": settings.lower,
        "bi_data": settings.bidirectional,
        "mask_alpha": settings.span_alpha,
        "mask_beta": settings.span_beta,
        "num_predict": settings.predictions,
        "use_eod": True,
        "sp_path": VOCABULARY,
    }


def _kind(settings: CorpusSettings) -> str:
    """The settings, as names of files have them."""
    parts = [
        f"bsz-{settings.reference_rows}",
        f"seqlen-{settings.sequence_length}",
        f"reuse-{settings.reuse_length}",
        *(["uncased"] if settings.lower else []),
        "bi" if settings.bidirectional else "uni",
        f"alpha-{settings.span_alpha}",
        f"beta-{settings.span_beta}",
        f"fnp-{settings.predictions}",
    ]
    return "".join(f"{part}." for part in parts)


@dataclass(frozen=True)
class Original(Manifest):
    """What is known of a data set that the original wrote: its settings and its files.

    Its records hold no factorization orders, and nobody counted its text.
    """


def open_data(folder: str) -> Manifest:
    """The manifest of a data set: of one of ours, or of one that the original wrote. Raises UserError for neither."""
    is_ours = storage.exists(storage.join(folder, NAME))
    return Manifest.read(folder) if is_ours or not _infos(folder) else open_folder(folder)


def open_folder(folder: str) -> Original:
    """A folder that the original wrote: its record_info-*.json, or the folder tfrecords/ with them, and spiece.model.

    Raises UserError where files are missing, or are of several kinds.
    """
    from xlnet.text import load_model  # not at the top: writing a data set needs no SentencePiece

    infos = _infos(folder)
    kinds = {(found["split"], found["kind"]) for found in infos.values()}
    if len(kinds) != 1:
        names = ", ".join(sorted(".".join(kind) + "*" for kind in kinds)) or "no record_info-*.json"
        raise UserError(f"{folder} holds {names}; name a folder with files of one kind, as the original writes them")
    vocabulary = storage.join(folder, VOCABULARY)
    if not storage.exists(vocabulary):
        raise UserError(f"{vocabulary} does not exist; copy the vocabulary that the data were made with there")
    size = load_model(vocabulary)[0].get_piece_size()
    settings = _settings(folder, next(iter(infos.values())))
    shards = [_shard(folder, name, found, settings) for name, found in infos.items()]
    return Original(
        settings=settings,
        cleaning={},
        vocabulary={"file": VOCABULARY, "sha256": storage.sha256(vocabulary), "size": size},
        sources=[],
        inputs=[],
        counts=dict.fromkeys(COUNTS, 0) | {"records": sum(shard.records for shard in shards)},
        dropped={},
        removed={},
        dead_letter_reasons={},
        document_lengths={},
        by_source=[],
        shards=sorted(shards, key=lambda shard: (shard.pass_index, shard.shard)),
        libraries={},
        directory=folder,
    )


def _infos(folder: str) -> dict[str, Fields]:
    """The record_info files of a folder, or of tfrecords/ in it, by their names in it."""
    for inside in ("", f"{FOLDER}/"):
        names = storage.list_folder(storage.join(folder, inside.rstrip("/")) if inside else folder)
        found: dict[str, Fields] = {
            inside + name: match.groupdict() for name in names if (match := _INFO.fullmatch(name))
        }
        if found:
            return found
    return {}


def _settings(folder: str, found: Fields) -> CorpusSettings:
    """The settings in a file's name. The cores, which are not in it, are in corpus_info.json; without one it is one."""
    if found["predictions"] is None or found["reuse"] is None:
        raise UserError(f"the data in {folder} were made without num_predict; make them with it, as --num_predict 85")
    info = storage.join(folder, CORPUS_INFO)
    cores = storage.read_json(info).get("num_core_per_host", 1) if storage.exists(info) else 1
    length, reuse = int(found["length"]), int(found["reuse"])
    try:
        return CorpusSettings(
            sequence_length=length,
            reuse_length=reuse,
            permutation_size=math.gcd(reuse, length - reuse),  # chosen when training; this is what most take
            predictions=int(found["predictions"]),
            span_alpha=int(found["alpha"]),
            span_beta=int(found["beta"]),
            span_unit="piece",
            bidirectional=found["direction"] == "bi",
            lower=found["uncased"] is not None,
            layout="reference",
            reference_rows=int(found["rows"]),
            reference_cores=cores,
        )
    except UserError as error:
        raise UserError(f"the data in {folder} cannot be trained on: {error}") from None


def _shard(folder: str, name: str, found: Fields, settings: CorpusSettings) -> Shard:
    path = storage.join(folder, name)
    try:
        content = storage.read_json(path)
        (file,) = content["filenames"]
        steps = int(content["num_batch"])
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{path} does not name one file and its num_batch, as the original writes it") from None
    file = name.rpartition("/")[0] + "/" + file.rpartition("/")[2]  # beside it, wherever it was once written
    rows = settings.reference_rows // 2 if settings.bidirectional else settings.reference_rows
    return Shard(
        file=file.lstrip("/"),
        pass_index=int(found["pass"]),
        part=0,
        shard=int(found["task"]),
        records=steps * settings.reference_rows,
        documents=0,
        pieces=steps * rows * settings.reuse_length,
        dropped={},
        bytes=storage.size(storage.join(folder, file.lstrip("/"))),
        sha256="",
        address="",
    )
