"""Settings of training. Light: importing this file imports no framework."""

import math
from dataclasses import dataclass

from xlnet.errors import require
from xlnet.settings import LARGEST_SEED, setting
from xlnet.training import devices

DECAYS = ("polynomial", "cosine")
OBJECTIVES = ("permutation", "causal")
OPTIMIZERS = ("adamw", "reference")
ORDERS = ("stored", "on-the-fly")
PRECISIONS = ("float32", "bfloat16", "float16")

FREE = (  # may change when a run goes on from a checkpoint, besides where the held-out data lie
    "log_interval",
    "validation_interval",
    "checkpoint_interval",
    "keep_checkpoints",
    "keep_interval",
    "most_skipped_steps",
    "spike_deviations",
    "peak_teraflops",
    "accumulation_steps",  # this and what follows change rounding, and what dropout draws, nothing else
    "remat",
    "jit_compile",
    "devices",
)


MAY_BE_0 = ("keep_interval", "spike_deviations", "peak_teraflops", "remat", "jit_compile")


@dataclass(frozen=True)
class OptimizerSettings:
    """How weights are updated. Rates are per step; a step is one batch."""

    learning_rate: float = setting(4e-4, "highest learning rate")  # paper, appendix A.4.1
    warmup_steps: int = setting(40_000, "steps in which the rate rises from 0")  # paper, appendix A.4.1
    decay: str = setting("polynomial", "how the rate falls afterwards: polynomial, which is linear, or cosine")
    end_rate: float = setting(0.0, "learning rate at the last step, as a share of the highest")
    weight_decay: float = setting(0.01, "share that weights lose in a step, times the rate")
    epsilon: float = setting(1e-6, "Adam's epsilon")  # as in the reference; Keras' 1e-7 moves early steps
    clip_norm: float = setting(1.0, "largest norm of all gradients together")
    layer_decay: float = setting(1.0, "each layer's rate, as a share of that of the layer above; 1: all alike")
    optimizer: str = setting("adamw", "adamw, or reference: no bias correction when weights decay, as the original")

    def __post_init__(self) -> None:
        require(self.decay in DECAYS, "decay", self.decay, f"one of {', '.join(DECAYS)}")
        require(self.optimizer in OPTIMIZERS, "optimizer", self.optimizer, f"one of {', '.join(OPTIMIZERS)}")
        require(0 < self.learning_rate < math.inf, "learning_rate", self.learning_rate, "a number above 0")
        require(0 <= self.end_rate <= 1, "end_rate", self.end_rate, "a share from 0 to 1")
        require(self.warmup_steps >= 0, "warmup_steps", self.warmup_steps, "0 or more steps")
        require(0 <= self.weight_decay < math.inf, "weight_decay", self.weight_decay, "a number from 0")
        require(0 < self.epsilon < math.inf, "epsilon", self.epsilon, "a number above 0")
        require(self.clip_norm > 0, "clip_norm", self.clip_norm, "a number above 0")
        require(0 < self.layer_decay <= 1, "layer_decay", self.layer_decay, "a share above 0, at most 1")


@dataclass(frozen=True)
class PretrainingSettings(OptimizerSettings):
    """How a model is pretrained. The shape of its input comes with the data."""

    objective: str = setting("permutation", "permutation, or causal: each next piece, from left to right")
    batch_size: int = setting(32, "rows of a step on all devices; half of them backward if data are bidirectional")
    steps: int = setting(500_000, "steps of the run, warmup included")
    memory_length: int = setting(384, "pieces before a window that are remembered; 0: none")
    seed: int = setting(0, "of the first weights, dropout and the order of the data", largest=LARGEST_SEED)
    orders: str = setting("stored", "factorization orders: stored with the data, or on-the-fly, by seed and step")
    accumulation_steps: int = setting(1, "parts of a batch that are computed one after the other, to save memory")
    precision: str = setting("float32", "of the computation: float32, bfloat16 or float16; weights are float32")
    remat: bool = setting(False, "compute layers again for the gradient: less memory, a third more time")
    jit_compile: bool = setting(True, "compile steps; off: slower steps that start at once, for small runs")
    devices: str = setting("auto", "cpu, cpu:2 (virtual ones), gpu (all), gpu:0,1, tpu; auto: the best that are there")
    most_skipped_steps: int = setting(10, "skipped steps in a row, not finite or a spike, that end the run")
    spike_deviations: float = setting(10.0, "skip a loss so many standard deviations above its running mean; 0: none")
    peak_teraflops: float = setting(0.0, "a second, of all devices, for mfu; 0: measured on a CPU, else no mfu")
    log_interval: int = setting(20, "steps between lines of metrics")
    validation_interval: int = setting(1000, "steps between measurements on the held-out text")
    checkpoint_interval: int = setting(1000, "steps between checkpoints")
    keep_checkpoints: int = setting(3, "newest checkpoints that are kept")
    keep_interval: int = setting(0, "steps between checkpoints that are kept besides; 0: none")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("batch_size", "steps", *FREE):
            if name == "devices":
                continue
            least = 0 if name in MAY_BE_0 else 1
            require(getattr(self, name) >= least, name, getattr(self, name), f"{least} or more")
        most = f"no more of them than batch_size, {self.batch_size}"  # thousands take a minute to be made
        require(devices.parse(self.devices).count <= self.batch_size, "devices", self.devices, most)
        require(self.memory_length >= 0, "memory_length", self.memory_length, "0 or more")
        require(0 <= self.seed < 2**32, "seed", self.seed, "a number from 0 to 2^32 - 1")
        require(self.objective in OBJECTIVES, "objective", self.objective, f"one of {', '.join(OBJECTIVES)}")
        require(self.orders in ORDERS, "orders", self.orders, f"one of {', '.join(ORDERS)}")
        require(self.precision in PRECISIONS, "precision", self.precision, f"one of {', '.join(PRECISIONS)}")
