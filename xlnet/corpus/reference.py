"""Data sets as the original has them (zihangdai/xlnet, data_utils.py)."""

from xlnet.corpus.settings import CorpusSettings

FOLDER = "tfrecords"


def file_name(shard: int, pass_index: int, settings: CorpusSettings, *, split: str = "train") -> str:
    """The file of a shard, which is a task of the original, in the data set."""
    return f"{FOLDER}/{split}-{shard}-{pass_index}.{described(settings)}.tfrecords"


def info_name(shard: int, pass_index: int, settings: CorpusSettings, *, split: str = "train") -> str:
    """The file beside it that says what is in it."""
    return f"{FOLDER}/record_info-{split}-{shard}-{pass_index}.{described(settings)}.json"


def described(settings: CorpusSettings) -> str:
    """The settings, as the names of files have them."""
    return ".".join(
        [
            f"bsz-{settings.reference_rows}",
            f"seqlen-{settings.sequence_length}",
            f"reuse-{settings.reuse_length}",
            *(["uncased"] if settings.lower else []),
            "bi" if settings.bidirectional else "uni",
            f"alpha-{settings.span_alpha}",
            f"beta-{settings.span_beta}",
            f"fnp-{settings.predictions}",
        ]
    )
