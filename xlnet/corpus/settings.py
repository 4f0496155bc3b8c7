"""How text becomes training records."""

import re
from dataclasses import dataclass

from xlnet.errors import require
from xlnet.settings import LARGEST_SEED, setting

FUNCTIONAL = 3  # <sep>, <sep> and <cls> stand in every window's second part
SPAN_UNITS = ("word", "piece")
LAYOUTS = ("compact", "reference")
LARGEST = 1 << 15  # pieces in a window: positions are kept as 16-bit integers


@dataclass(frozen=True)
class CorpusSettings:
    """How text becomes training records.

    The defaults are those of the paper's large run (Yang et al. 2019, appendix A.4.1) where the reference states them.
    Raises UserError for wrong values.
    """

    sequence_length: int = setting(512, "pieces of a window: a reuse part and a new part")
    reuse_length: int = setting(256, "pieces of a window's first part, which the next windows find in their memory")
    permutation_size: int = setting(256, "pieces that are ordered among themselves; divides both parts of a window")
    predictions: int = setting(85, "pieces to predict in a window, about a sixth of it")
    span_alpha: int = setting(6, "a span of n units stands in a context of n * alpha / beta units")
    span_beta: int = setting(1, "see span_alpha")
    span_longest: int = setting(5, "units of the longest span that is predicted")
    span_unit: str = setting("word", "spans of whole words, or piece: of pieces, as the original counts by a slip")
    bidirectional: bool = setting(True, "every second row reads the text backwards")
    shards: int = setting(32, "streams, each a file for each pass; more for more workers and larger batches")
    passes: int = setting(1, "times that the text is written, each with other draws and another order of documents")
    seed: int = setting(
        0, "decides all draws: the same text, settings and seed give the same bytes", largest=LARGEST_SEED
    )
    lower: bool = setting(False, "put text in lower case")
    keep_accents: bool = setting(False, "leave accents on their letters")
    wrapped_lines: bool = setting(False, "lines end at a width: an empty line ends a paragraph, two end a document")
    split_sentences: bool = setting(False, "a line is a paragraph, to be cut into sentences")
    language: str = setting("en", "language of the sentences to be cut, an ISO 639 code")
    layout: str = setting("compact", "compact records, or reference: files that the original's trainer reads")
    reference_rows: int = setting(32, "in the reference layout: rows of a host's batch, the original's bsz_per_host")
    reference_cores: int = setting(1, "in the reference layout: cores of a host, the original's num_core_per_host")

    def __post_init__(self) -> None:
        new = self.sequence_length - self.reuse_length
        _require(self, "sequence_length", FUNCTIONAL + 3 <= self.sequence_length <= LARGEST, f"6 to {LARGEST:,}")
        _require(self, "reuse_length", self.reuse_length >= 1, "at least 1")
        _require(self, "reuse_length", new >= FUNCTIONAL + 2, f"at most sequence_length - {FUNCTIONAL + 2}")
        divides = self.permutation_size >= 1 and not (
            self.reuse_length % self.permutation_size or new % self.permutation_size
        )
        _require(self, "permutation_size", divides, f"a divisor of both halves ({self.reuse_length} and {new})")
        most = min(2 * self.reuse_length, 2 * (new - FUNCTIONAL) + 1)
        _require(self, "predictions", 1 <= self.predictions <= most, f"1 to {most} (half of them in each half)")
        _require(self, "span_unit", self.span_unit in SPAN_UNITS, " or ".join(map(repr, SPAN_UNITS)))
        _require(self, "span_longest", self.span_longest >= 1, "at least 1")
        _require(self, "span_beta", self.span_beta >= 1, "at least 1")
        _require(self, "span_alpha", self.span_alpha >= self.span_beta, f"at least span_beta ({self.span_beta})")
        _require(self, "shards", 1 <= self.shards <= 99_999, "1 to 99,999")
        _require(self, "passes", self.passes >= 1, "at least 1")
        is_code = re.fullmatch(r"[a-z]{2,3}([-_][A-Za-z]+)*", self.language) is not None
        _require(self, "language", is_code, "an ISO 639 code, such as 'en' or 'zh'")
        _require(self, "layout", self.layout in LAYOUTS, " or ".join(map(repr, LAYOUTS)))
        rows = self.reference_cores * (2 if self.bidirectional else 1)
        _require(self, "reference_cores", self.reference_cores >= 1, "at least 1")
        _require(self, "reference_rows", self.reference_rows >= 1, "at least 1")
        _require(self, "reference_rows", self.reference_rows % rows == 0, f"a multiple of {rows}")
        _require(self, "seed", 0 <= self.seed < 1 << 63, "0 to 2^63 - 1")

    @property
    def new_length(self) -> int:
        """Pieces in a window's second part: A <sep> B <sep> <cls>."""
        return self.sequence_length - self.reuse_length

    @property
    def goals(self) -> tuple[int, int]:
        """Targets in the reuse part and in the new part, as the reference splits them."""
        return self.predictions - self.predictions // 2, self.predictions // 2


def _require(settings: CorpusSettings, name: str, holds: bool, wanted: str) -> None:
    require(holds, name, getattr(settings, name), wanted)
