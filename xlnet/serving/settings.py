"""Settings of vectors and predictions. Nothing here imports a framework: help must be fast."""

from dataclasses import dataclass

from xlnet.errors import UserError, require
from xlnet.settings import setting, suggestion

UNITS = ("text", "word", "piece")
POOLINGS = ("mean", "max", "first", "last", "cls")
LONG_TEXTS = ("cut", "windows")
SPECIAL = 2  # <sep> and <cls>


@dataclass(frozen=True)
class EmbeddingSettings:
    """What is embedded, and how."""

    text_column: str = setting("text", "column or key of the text")
    unit: str = setting("text", "what gets a vector: text, word or piece")
    layers: str = setting("-1", "layer, 0: embeddings, -1: last; or a sum: 9,10,11,12 or 11:0.3,12:0.7")
    pooling: str = setting("mean", "of a unit's pieces: mean, max, first or last; of a text also cls, that at <cls>")
    sequence_length: int = setting(512, "pieces of a window, <sep> and <cls> among them")
    stride: int = setting(384, "pieces from one window of a long text to the next")
    batch_size: int = setting(32, "windows that are computed together")

    def __post_init__(self) -> None:
        for name, known in (("unit", UNITS), ("pooling", POOLINGS)):
            if getattr(self, name) not in known:
                value = getattr(self, name)
                raise UserError(f"{name} is {value!r}{suggestion(value, known)}")
        if self.pooling == "cls" and self.unit != "text":
            raise UserError(f"pooling is 'cls', which a {self.unit} has not; choose one of {', '.join(POOLINGS[:-1])}")
        require(self.batch_size >= 1, "batch_size", self.batch_size, "1 or more")
        require(self.sequence_length > SPECIAL, "sequence_length", self.sequence_length, "3 pieces or more")
        require(self.stride >= 1, "stride", self.stride, "1 piece or more")

    @property
    def room(self) -> int:
        """Pieces of text in a window."""
        return self.sequence_length - SPECIAL


@dataclass(frozen=True)
class PredictionSettings:
    """How rows are answered."""

    batch_size: int = setting(32, "rows that are computed together")
    text_column: str | None = setting(None, "column or key of the text (default: as in training)")
    pair_column: str | None = setting(None, "column or key of a pair's second text (default: as in training)")
    long_texts: str = setting("cut", "cut: as in training; windows: their mean output counts")
    stride: int = setting(384, "pieces from one window of a long text to the next")

    def __post_init__(self) -> None:
        if self.long_texts not in LONG_TEXTS:
            raise UserError(f"long_texts is {self.long_texts!r}{suggestion(self.long_texts, LONG_TEXTS)}")
        require(self.batch_size >= 1, "batch_size", self.batch_size, "1 or more")
        require(self.stride >= 1, "stride", self.stride, "1 piece or more")
