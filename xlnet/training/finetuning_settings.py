"""Settings of fine-tuning. Light: importing this file imports no framework."""

from dataclasses import dataclass

from xlnet.errors import UserError, require
from xlnet.model.config import SUMMARIES
from xlnet.settings import LARGEST_SEED, setting, suggestion
from xlnet.tasks import known, registry, sentence
from xlnet.tasks.span_questions import SPAN_SETS
from xlnet.training.settings import PRECISIONS, OptimizerSettings

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

    task: str = setting("classification", "kind of task, or a data set with files of its own, such as squad2 or sts-b")
    text_column: str = setting("text", "column of the text, name or number; A+B joins two; of CoNLL files the first")
    pair_column: str | None = setting(None, "column of the second text of a pair (default: single texts)")
    label_column: str = setting("label", "column of the label; of CoNLL files the last")
    header: bool | None = setting(None, "tables have a header (default: where a column is asked for by name)")
    sequence_length: int = setting(128, "pieces of a row, at most")
    option_length: int = setting(128, "pieces of a question with an option, at most; the passage gets the rest")
    stride: int = setting(128, "of question answering: pieces from a window's first to that of the next")
    question_length: int = setting(64, "pieces of a question, at most; the context gets the rest of a window")
    answer_length: int = setting(64, "pieces of an answer, at most")
    best_answers: int = setting(5, "answers that are told of a question")
    start_top: int = setting(5, "starts that are tried for an answer")
    end_top: int = setting(5, "ends that are tried for each start")
    epochs: int = setting(3, "times that the examples are learned from")
    steps: int | None = setting(None, "steps of the run, instead of epochs (default: by epochs)")
    batch_size: int = setting(32, "rows of a step")
    learning_rate: float = setting(3e-5, "highest learning rate")
    warmup_fraction: float = setting(0.1, "share of the steps in which the rate rises from 0")
    decay: str = setting("polynomial", "how the rate falls afterwards: polynomial, which is linear, or cosine")
    weight_decay: float = setting(0.0, "share that weights lose in a step, times the rate")  # as the reference
    epsilon: float = setting(1e-6, "Adam's epsilon")
    clip_norm: float = setting(1.0, "largest norm of all gradients together")
    layer_decay: float = setting(1.0, "each layer's rate, as a share of that of the layer above; 1: all alike")
    dropout: float | None = setting(None, "rate of dropout, also of attention (default: the model's)")
    summary: str = setting("last", "what stands for the text: last, which is <cls>, first, mean or attn, an attention")
    projection: bool = setting(True, "a tanh layer on the summary")
    class_weights: str | None = setting(None, "balanced, or CLASS=WEIGHT,... (default: examples weigh alike)")
    frozen_layers: int = setting(0, "lowest layers that stay as they are, with the embeddings; 0: all learn")
    lora_rank: int = setting(0, "rank of LoRA's matrices, learned beside kernels that stay; 0: all weights learn")
    lora_alpha: float | None = setting(None, "LoRA's product counts alpha / rank times (default: once)")
    lora_kernels: str = setting("q,v", "kernels with LoRA: some of q, k, v, o, r (attention) and ff")
    length_buckets: int | None = setting(None, "how many lengths batches have (default: 4, or 1 where padding matters)")
    accumulation_steps: int = setting(1, "parts of a batch that are computed one after the other, to save memory")
    precision: str = setting("float32", "of the computation: float32, bfloat16 or float16; weights are float32")
    remat: bool = setting(False, "compute layers again for the gradient: less memory, a third more time")
    evaluation_interval: int = setting(0, "steps between measurements on the dev examples; 0: an epoch")
    patience: int = setting(0, "measurements without a better one before the run ends; 0: it goes on to its last step")
    averaged: int = setting(1, "best weights to average, where their mean is as good as the best; 1: no mean")
    checkpoint_interval: int = setting(0, "steps between checkpoints; 0: an epoch")
    keep_checkpoints: int = setting(2, "newest checkpoints that are kept until the run has ended")
    most_skipped_steps: int = setting(10, "skipped steps in a row, not finite, that end the run")
    seed: int = setting(0, "of new weights, dropout and the order of the examples", largest=LARGEST_SEED)
    jit_compile: bool = setting(True, "compile steps; off: slower steps that start at once, for small runs")

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
