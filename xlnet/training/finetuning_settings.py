"""Settings of fine-tuning. Light: importing this file imports no framework."""

from dataclasses import dataclass

from xlnet.errors import UserError, require
from xlnet.settings import suggestion
from xlnet.tasks import known, registry, sentence
from xlnet.tasks.span_questions import SPAN_SETS
from xlnet.training.settings import PRECISIONS, OptimizerSettings

SUMMARIES = ("last", "first", "mean", "attn")
LORA_KERNELS = ("q", "k", "v", "o", "r", "ff")
FREE = (  # may change when a run goes on from a checkpoint; the middle ones change rounding, nothing else
    "checkpoint_interval",
    "keep_checkpoints",
    "most_skipped_steps",
    "accumulation_steps",
    "remat",
    "jit_compile",
)


@dataclass(frozen=True)
class FinetuningSettings:
    """What is learned from which columns, and how. Rates are per step; a step is one batch."""

    task: str = "classification"  # or another kind of task, or a published data set, read from its own files
    text_column: str = "text"  # of a CoNLL file, whose columns have numbers, the first
    pair_column: str | None = None
    label_column: str = "label"  # of a CoNLL file the last: -1
    header: bool | None = None  # None: there is one when a column is asked for by name
    sequence_length: int = 128
    option_length: int = 128  # pieces of a question with an option, at most; the passage gets the rest of a row
    stride: int = 128  # of question answering: pieces from a window's first to that of the next
    question_length: int = 64  # pieces of a question, at most; the context gets the rest of a window
    answer_length: int = 64  # pieces of an answer, at most
    best_answers: int = 5  # how many are told
    start_top: int = 5  # starts that are tried for an answer
    end_top: int = 5  # ends that are tried for each start
    epochs: int = 3
    steps: int | None = None  # instead of epochs
    batch_size: int = 32
    learning_rate: float = 3e-5
    warmup_fraction: float = 0.1  # of all steps
    decay: str = "polynomial"
    weight_decay: float = 0.0  # as in the reference's fine-tuning
    epsilon: float = 1e-6
    clip_norm: float = 1.0
    layer_decay: float = 1.0  # each layer learns at this share of the rate of the one above it; 1: all alike
    dropout: float | None = None  # also of attention; None: as the model has it
    summary: str = "last"  # what stands for the text: its last piece is <cls>
    projection: bool = True
    class_weights: str | None = None  # "balanced", or CLASS=WEIGHT,...
    frozen_layers: int = 0  # so many of the lowest layers stay as they are, with the embeddings; see docs/finetuning.md
    lora_rank: int = 0  # train pairs of matrices of this rank beside the kernels, which stay; 0: train all weights
    lora_alpha: float | None = None  # their product counts alpha / rank times; None: once
    lora_kernels: str = "q,v"  # some of q, k, v, o, r (attention) and ff
    length_buckets: int | None = None  # lengths that batches are padded to; None: 4, or 1 where padding matters
    accumulation_steps: int = 1  # parts of a batch that are computed one after the other; 1: at once
    precision: str = "float32"  # of the computation; weights and their updates are float32
    remat: bool = False  # compute layers again for the gradient instead of keeping what they computed
    evaluation_interval: int = 0  # steps between measuring on the dev examples; 0: after every epoch
    patience: int = 0  # evaluations without a better one before the run ends; 0: it goes on to the last step
    averaged: int = 1  # the mean of the weights of so many best evaluations is taken, where it is better
    checkpoint_interval: int = 0  # steps; 0: after every epoch
    keep_checkpoints: int = 2  # the newest, until the run has ended
    most_skipped_steps: int = 10  # in a row, with a loss or gradient that is not finite, before the run stops
    seed: int = 0
    jit_compile: bool = True  # False: slower steps that start at once, for small runs

    def __post_init__(self) -> None:
        names = [*registry.KINDS, *known.DATA_SETS, *SPAN_SETS]
        if self.task not in names:
            raise UserError(f"task is {self.task!r}, wanted is one of {', '.join(names)}{suggestion(self.task, names)}")
        require(self.summary in SUMMARIES, "summary", self.summary, f"one of {', '.join(SUMMARIES)}")
        require(self.sequence_length >= 8, "sequence_length", self.sequence_length, "8 pieces or more")
        require(self.option_length >= 1, "option_length", self.option_length, "1 piece or more")
        for name in ("stride", "question_length", "answer_length", "best_answers", "start_top", "end_top"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        require(self.epochs >= 1, "epochs", self.epochs, "1 or more")
        require(self.steps is None or self.steps >= 1, "steps", self.steps, "1 or more")
        require(self.batch_size >= 1, "batch_size", self.batch_size, "1 or more")
        require(0 <= self.warmup_fraction <= 1, "warmup_fraction", self.warmup_fraction, "a share from 0 to 1")
        require(self.dropout is None or 0 <= self.dropout < 1, "dropout", self.dropout, "from 0 up to below 1")
        for name in ("accumulation_steps", "averaged", "keep_checkpoints", "most_skipped_steps"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        for name in ("frozen_layers", "lora_rank", "evaluation_interval", "patience", "checkpoint_interval"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        require(self.length_buckets is None or self.length_buckets >= 1, "length_buckets", self.length_buckets, "1 up")
        require(self.precision in PRECISIONS, "precision", self.precision, f"one of {', '.join(PRECISIONS)}")
        require(self.lora_alpha is None or self.lora_alpha > 0, "lora_alpha", self.lora_alpha, "a number above 0")
        is_known = set(self.lora_kernels.split(",")) <= set(LORA_KERNELS)
        require(is_known, "lora_kernels", self.lora_kernels, f"some of {','.join(LORA_KERNELS)}")
        require(not (self.lora_rank and self.frozen_layers), "frozen_layers", self.frozen_layers, "0 with lora_rank")
        require(0 <= self.seed < 2**32, "seed", self.seed, "a number from 0 to 2^32 - 1")
        _ = self.columns, self.optimizer(1)  # their own checks

    @property
    def data_set(self) -> str | None:
        """The published data set that `task` names, if it does."""
        return self.task if self.task in known.DATA_SETS or self.task in SPAN_SETS else None

    @property
    def kind(self) -> str:
        """The kind of task."""
        if self.task in SPAN_SETS:
            return "question-answering"
        return known.DATA_SETS[self.task].task if self.task in known.DATA_SETS else self.task

    @property
    def columns(self) -> sentence.Columns:
        """Where text, pair and label stand."""
        return sentence.Columns(self.text_column, self.pair_column, self.label_column, self.header)

    def optimizer(self, steps: int) -> OptimizerSettings:
        """The optimizer's settings for a run of that many steps."""
        return OptimizerSettings(
            learning_rate=self.learning_rate,
            warmup_steps=round(self.warmup_fraction * steps),
            decay=self.decay,
            weight_decay=self.weight_decay,
            epsilon=self.epsilon,
            clip_norm=self.clip_norm,
            layer_decay=self.layer_decay,
        )
