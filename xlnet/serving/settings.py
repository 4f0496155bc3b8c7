"""Settings of vectors and predictions. Nothing here imports a framework: help must be fast."""

from dataclasses import dataclass

from xlnet.errors import UserError, require
from xlnet.settings import suggestion

UNITS = ("text", "word", "piece")
POOLINGS = ("mean", "max", "first", "last", "cls")
LONG_TEXTS = ("cut", "windows")
SPECIAL = 2  # <sep> and <cls>


@dataclass(frozen=True)
class EmbeddingSettings:
    """What is embedded, and how."""

    text_column: str = "text"  # the column or key of the text
    unit: str = "text"
    layers: str = "-1"  # 0 is the embeddings, -1 the last; several are added up: 9,10,11,12 or 11:0.3,12:0.7
    pooling: str = "mean"  # of a text's or word's pieces; cls is the vector at <cls>, of texts only
    sequence_length: int = 512  # pieces of a window, <sep> and <cls> among them
    stride: int = 384  # pieces from one window of a long text to the next
    batch_size: int = 32

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

    batch_size: int = 32
    text_column: str | None = None  # where the input has other names than the examples of the training
    pair_column: str | None = None
    long_texts: str = "cut"  # as in training; or in windows, the mean of whose outputs counts
    stride: int = 384  # pieces from one window to the next

    def __post_init__(self) -> None:
        if self.long_texts not in LONG_TEXTS:
            raise UserError(f"long_texts is {self.long_texts!r}{suggestion(self.long_texts, LONG_TEXTS)}")
        require(self.batch_size >= 1, "batch_size", self.batch_size, "1 or more")
        require(self.stride >= 1, "stride", self.stride, "1 piece or more")
