"""Settings of training. Light: importing this file imports no framework."""

import math
from dataclasses import dataclass

from xlnet.errors import require
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

    learning_rate: float = 4e-4  # paper, appendix A.4.1
    warmup_steps: int = 40_000  # paper, appendix A.4.1
    decay: str = "polynomial"  # to the end rate over the remaining steps; "polynomial" is linear, as in the reference
    end_rate: float = 0.0  # the last learning rate, as a share of the first
    weight_decay: float = 0.01
    epsilon: float = 1e-6  # as in the reference; Keras' 1e-7 moves early steps
    clip_norm: float = 1.0  # of all gradients together
    layer_decay: float = 1.0  # each layer learns at this share of the rate of the one above it; 1: all alike
    optimizer: str = "adamw"  # "reference": no bias correction when weights decay, as the original has it

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

    objective: str = "permutation"  # "causal": every next piece from left to right, as a Transformer-XL
    batch_size: int = 32  # rows; half of them backward where the data are bidirectional
    steps: int = 500_000
    memory_length: int = 384
    seed: int = 0
    orders: str = "stored"  # "on-the-fly": drawn from the seed and the step, for data without orders
    accumulation_steps: int = 1  # parts of a batch that are computed one after the other; 1: at once
    precision: str = "float32"  # of the computation; weights and their updates are float32
    remat: bool = False  # layers are computed again for the gradient: less memory, a third more time
    jit_compile: bool = True  # False: slower steps that start at once, for small runs
    devices: str = "auto"  # cpu, gpu (all), gpu:0,1, tpu, cpu:2 (virtual ones); "auto": the best that are there
    most_skipped_steps: int = 10  # in a row, not finite or a spike, before the run stops
    spike_deviations: float = 10.0  # a loss so far above its running mean is skipped as well; 0: none is
    peak_teraflops: float = 0.0  # a second, of the devices together, for `mfu`; 0: measured on a CPU, else left out
    log_interval: int = 20  # steps between lines of metrics
    validation_interval: int = 1000
    checkpoint_interval: int = 1000
    keep_checkpoints: int = 3  # the newest
    keep_interval: int = 0  # checkpoints at multiples of so many steps are kept as well; 0: none

    def __post_init__(self) -> None:
        super().__post_init__()
        devices.parse(self.devices)
        for name in ("batch_size", "steps", *FREE):
            if name == "devices":
                continue
            least = 0 if name in MAY_BE_0 else 1
            require(getattr(self, name) >= least, name, getattr(self, name), f"{least} or more")
        require(self.memory_length >= 0, "memory_length", self.memory_length, "0 or more")
        require(0 <= self.seed < 2**32, "seed", self.seed, "a number from 0 to 2^32 - 1")
        require(self.objective in OBJECTIVES, "objective", self.objective, f"one of {', '.join(OBJECTIVES)}")
        require(self.orders in ORDERS, "orders", self.orders, f"one of {', '.join(ORDERS)}")
        require(self.precision in PRECISIONS, "precision", self.precision, f"one of {', '.join(PRECISIONS)}")
