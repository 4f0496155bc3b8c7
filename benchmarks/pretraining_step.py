"""Seconds for one pretraining step, forward and backward, against Hugging Face's PyTorch XLNet on the same machine.

    python -m benchmarks.pretraining_step --peer-python PEER_ENVIRONMENT/bin/python

The peer's interpreter needs torch and transformers (the extra `bench`). Both sides run in processes of their own and
take turns, so that what else the machine does hits both. Same sizes, weights, inputs and threads; the peer gets its
masks ready made, ours makes them from the orders inside the step. The logits are compared before anything is timed.
"""

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SEP, CLS = 4, 3


@dataclass(frozen=True)
class Sizes:
    """The step that is measured; half of the rows are read backward."""

    layers: int = 4
    model_dim: int = 512
    heads: int = 8
    head_dim: int = 64
    feedforward_dim: int = 2048
    vocab_size: int = 8000
    batch: int = 4
    length: int = 512
    memory: int = 384
    reuse: int = 256
    predictions: int = 85
    dropout: float = 0.0


def products(sizes: Sizes) -> float:
    """Floating point operations in the matrix products of our step.

    Backward counts twice forward, except where nothing is learned below: the memories and the distances.
    """
    wide, inner = sizes.heads * sizes.head_dim, sizes.feedforward_dim
    keys, encodings = sizes.memory + sizes.length, sizes.memory + 2 * sizes.length
    projection = sizes.model_dim * wide

    def stream(queries: int) -> float:
        dense = queries * (2 * projection + 2 * sizes.model_dim * inner)
        return sizes.batch * (dense + queries * wide * (2 * keys + encodings))

    fixed = sizes.layers * (2 * sizes.batch * sizes.memory + encodings) * projection
    learned = (
        sizes.layers * (2 * sizes.batch * sizes.length * projection + stream(sizes.predictions))
        + (sizes.layers - 1) * stream(sizes.length)
        + sizes.batch * sizes.predictions * sizes.model_dim * sizes.vocab_size
    )
    return 2.0 * (2 * fixed + 3 * learned)


def example(sizes: Sizes, *, seed: int = 0) -> dict[str, np.ndarray]:
    """A batch as pretraining sees it, and memories; rows alternate forward, backward."""
    random = np.random.default_rng(seed)
    batch, length, half = sizes.batch, sizes.length, sizes.reuse
    pieces = random.integers(9, sizes.vocab_size, (batch, length)).astype("int32")
    pieces[:, -1], pieces[:, [length // 2, -2]] = CLS, SEP
    order = np.stack(
        [np.concatenate([random.permutation(half), random.permutation(length - half)]) for _ in range(batch)]
    )
    is_target = np.zeros((batch, length), bool)
    for row in is_target:
        row[random.choice(length - 2, sizes.predictions, replace=False)] = True
    is_target &= ~np.isin(pieces, [SEP, CLS])
    shape = (sizes.layers, batch, sizes.memory, sizes.model_dim)
    segments = np.repeat([[0] * (length // 2) + [1] * (length - length // 2 - 1) + [2]], batch, axis=0)
    return {
        "pieces": pieces,
        "segments": segments.astype("int32"),
        "order": order.astype("int32"),
        "is_target": is_target,
        "memories": random.standard_normal(shape).astype("float32"),
    }


def masks(batch: dict[str, np.ndarray], sizes: Sizes) -> dict[str, np.ndarray]:
    """What the peer wants instead of orders, in NumPy."""
    order, target = batch["order"], batch["is_target"]
    ordered = target | np.isin(batch["pieces"], [SEP, CLS])
    rank = np.where(ordered, order, -1)
    own = np.where(target, rank, rank + 1)
    new = np.arange(sizes.length) >= sizes.reuse
    seen = np.where(new[:, None] == new[None, :], own[:, :, None] > rank[:, None, :], new[:, None])
    mapping = np.zeros((sizes.batch, sizes.predictions, sizes.length), "float32")
    labels = np.full((sizes.batch, sizes.predictions), -100)
    for row, chosen in enumerate(target):
        positions = np.flatnonzero(chosen)
        mapping[row, np.arange(len(positions)), positions] = 1
        labels[row, : len(positions)] = batch["pieces"][row, positions]
    return {"perm_mask": 1.0 - seen.astype("float32"), "target_mapping": mapping, "labels": labels}


# Our side.


def our_side(sizes: Sizes, folder: Path) -> dict[str, Callable[[], Any]]:
    import keras
    from keras import ops

    backbone, head = our_model(sizes, folder)
    predict = our_prediction(backbone, sizes)

    def loss(*inputs: Any) -> Any:
        hidden, targets, mask, remembered = predict(*inputs)
        return ops.sum(head.loss(hidden, targets) * mask) / ops.sum(mask), remembered

    compile_step = tensorflow_step if keras.backend.backend() == "tensorflow" else jax_step
    batch = example(sizes)
    inputs = [batch[name] for name in ("pieces", "segments", "order", "is_target", "memories")]
    step, once, product = compile_step(
        loss,
        lambda *inputs: head.logits(predict(*inputs)[0]),
        [*backbone.trainable_weights, *head.trainable_weights],
        backbone,
    )

    def logits() -> float:
        np.save(folder / "ours.npy", once(*inputs))
        return 0.0

    square = np.random.default_rng(2).standard_normal((2048, 2048)).astype("float32")
    return {"step": lambda: step(*inputs), "peak": lambda: product(square), "logits": logits}


def our_model(sizes: Sizes, folder: Path) -> tuple[Any, Any]:
    """The backbone and its head with weights that are also left in the folder for the peer."""
    from keras import ops

    from xlnet.model.backbone import Backbone
    from xlnet.model.config import ModelConfig
    from xlnet.model.heads import LanguageModelHead

    shared = {field.name for field in dataclasses.fields(ModelConfig)} & set(dataclasses.asdict(sizes))
    settings = {name: getattr(sizes, name) for name in shared} | {"attention_dropout": sizes.dropout}
    backbone = Backbone(ModelConfig(**settings), bidirectional=True, seed=0)
    head = LanguageModelHead(backbone)
    named = backbone.reference_variables() | head.reference_variables()
    random = np.random.default_rng(1)
    for name, weight in named.items():  # biases too: an error in one that is zero would not show
        if "gamma" not in name:
            weight.assign(random.standard_normal(weight.shape) * 0.05)
    np.savez(folder / "weights.npz", **{name: ops.convert_to_numpy(weight) for name, weight in named.items()})
    return backbone, head


def our_prediction(backbone: Any, sizes: Sizes) -> Callable[..., Any]:
    from keras import ops

    from xlnet.model.permutation import target_positions, visible, visible_from

    def predict(pieces: Any, segments: Any, order: Any, is_target: Any, memories: Any) -> Any:
        """The hidden states at the targets, the targets, their mask, the new memories."""
        functional = ops.logical_or(pieces == SEP, pieces == CLS)
        positions, mask = target_positions(is_target, sizes.predictions)
        about = (order, is_target, functional)
        hidden, remembered = backbone.two_stream(
            pieces,
            segments,
            visible=visible(*about, reuse_length=sizes.reuse),
            query_visible=visible_from(positions, *about, reuse_length=sizes.reuse),
            target_positions=positions,
            target_mask=mask,
            memories=[memories[layer] for layer in range(sizes.layers)],
            memory_length=sizes.memory,
            reuse_length=sizes.reuse,
            training=True,
        )
        return hidden, ops.take_along_axis(pieces, positions, axis=1), mask, remembered

    return predict


def tensorflow_step(loss: Any, logits: Any, weights: Any, _: Any) -> tuple[Any, Any, Any]:
    import tensorflow as tf

    variables = [weight.value for weight in weights]

    @tf.function(jit_compile=True)
    def compiled(*inputs: Any) -> Any:
        with tf.GradientTape() as tape:
            value, remembered = loss(*inputs)
        return value, remembered, tape.gradient(value, variables)

    square = tf.function(lambda values: values @ values, jit_compile=True)
    once = tf.function(logits, jit_compile=True)
    ready: dict[int, list[Any]] = {}

    def step(*inputs: Any) -> float:
        held = ready.setdefault(0, [tf.constant(value) for value in inputs])
        return float(compiled(*held)[0])

    return step, lambda *inputs: once(*map(tf.constant, inputs)).numpy(), lambda values: square(values).numpy()


def jax_step(loss: Any, logits: Any, weights: Any, backbone: Any) -> tuple[Any, Any, Any]:
    import jax
    import keras

    state = [*weights, backbone.random.state]

    def scoped(run: Any) -> Any:
        def within(values: Any, *inputs: Any) -> Any:
            with keras.StatelessScope(state_mapping=list(zip(state, values, strict=True))):
                return run(*inputs)

        return within

    def learned(values: Any, random: Any, *inputs: Any) -> Any:
        return scoped(loss)([*values, random], *inputs)

    compiled = jax.jit(jax.value_and_grad(learned, has_aux=True))
    once, square = jax.jit(scoped(logits)), jax.jit(lambda values: values @ values)
    values = [weight.value for weight in weights]
    ready: dict[int, list[Any]] = {}

    def step(*inputs: Any) -> float:
        held = ready.setdefault(0, [jax.numpy.asarray(value) for value in inputs])
        return float(jax.block_until_ready(compiled(values, backbone.random.state.value, *held))[0][0])

    return (
        step,
        lambda *inputs: np.asarray(once([*values, backbone.random.state.value], *inputs)),
        lambda given: jax.block_until_ready(square(given)),
    )


# The peer's side.


def peer_side(sizes: Sizes, folder: Path) -> dict[str, Callable[[], Any]]:
    import torch
    from transformers import XLNetConfig, XLNetLMHeadModel

    model = XLNetLMHeadModel(
        XLNetConfig(
            vocab_size=sizes.vocab_size,
            d_model=sizes.model_dim,
            n_layer=sizes.layers,
            n_head=sizes.heads,
            d_inner=sizes.feedforward_dim,
            ff_activation="gelu_pytorch_tanh",  # the tanh form, as in the paper's code; PyTorch fuses it
            bi_data=True,
            mem_len=sizes.memory,
            reuse_len=sizes.reuse,
            dropout=sizes.dropout,
        )
    )
    load_peer(model, dict(np.load(folder / "weights.npz")))
    model.train()
    batch = example(sizes)
    rows = np.r_[0 : sizes.batch : 2, 1 : sizes.batch : 2]  # the peer wants all forward rows first
    inputs = peer_inputs(batch, rows, sizes)

    def step() -> float:
        model.zero_grad(set_to_none=True)
        output = model(**inputs)
        output.loss.backward()
        return float(output.loss.detach())

    def logits() -> float:
        with torch.no_grad():
            given = {name: value for name, value in inputs.items() if name != "labels"}
            np.save(folder / "peer.npy", model(**given).logits.numpy()[np.argsort(rows)])
        return 0.0

    return {"step": step, "logits": logits}


def peer_inputs(batch: dict[str, np.ndarray], rows: np.ndarray, sizes: Sizes) -> dict[str, Any]:
    import torch

    ready = masks(batch, sizes)
    return {
        "input_ids": torch.tensor(batch["pieces"][rows]).long(),
        "token_type_ids": torch.tensor(batch["segments"][rows]).long(),
        "perm_mask": torch.tensor(ready["perm_mask"][rows]),
        "target_mapping": torch.tensor(ready["target_mapping"][rows]),
        "labels": torch.tensor(ready["labels"][rows]).long(),
        "mems": [torch.tensor(memory[rows].swapaxes(0, 1).copy()) for memory in batch["memories"]],
    }


def load_peer(model: Any, weights: dict[str, np.ndarray]) -> None:
    """Give the peer our weights, under its names and in its layouts."""
    import torch

    trunk = "model/transformer/"
    state = {
        "transformer.mask_emb": weights[f"{trunk}mask_emb/mask_emb"],
        "transformer.word_embedding.weight": weights[f"{trunk}word_embedding/lookup_table"],
        "lm_loss.weight": weights[f"{trunk}word_embedding/lookup_table"],
        "lm_loss.bias": weights["model/lm_loss/bias"],
    }
    for layer in range(model.config.n_layer):
        ours, theirs = f"{trunk}layer_{layer}/", f"transformer.layer.{layer}."
        for role in "qkvor":
            state[f"{theirs}rel_attn.{role}"] = weights[f"{ours}rel_attn/{role}/kernel"]
        for name in ("r_w_bias", "r_r_bias", "r_s_bias", "seg_embed"):
            state[f"{theirs}rel_attn.{name}"] = weights[f"{trunk}{name}"][layer]
        for part in ("rel_attn", "ff"):
            state[f"{theirs}{part}.layer_norm.weight"] = weights[f"{ours}{part}/LayerNorm/gamma"]
            state[f"{theirs}{part}.layer_norm.bias"] = weights[f"{ours}{part}/LayerNorm/beta"]
        for dense in ("layer_1", "layer_2"):
            state[f"{theirs}ff.{dense}.weight"] = weights[f"{ours}ff/{dense}/kernel"].T
            state[f"{theirs}ff.{dense}.bias"] = weights[f"{ours}ff/{dense}/bias"]
    model.load_state_dict({name: torch.tensor(value) for name, value in state.items()})


# Both sides take turns.


def serve(side: str, sizes: Sizes, folder: Path) -> None:
    """Answer each line of the input, a name of something to run, with its seconds and its value."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    runs = {"ours": our_side, "peer": peer_side}[side](sizes, folder)
    print(json.dumps("ready"), file=answers, flush=True)
    for line in sys.stdin:
        begin = time.perf_counter()
        value = runs[line.strip()]()
        seconds = time.perf_counter() - begin
        print(json.dumps([seconds, value if isinstance(value, float) else 0.0]), file=answers, flush=True)


class Side:
    """A process that waits to be told what to run."""

    def __init__(self, python: str, side: str, *, options: argparse.Namespace, folder: Path) -> None:
        threads = str(options.threads)
        environment = os.environ | {
            "KERAS_BACKEND": options.backend,
            "OMP_NUM_THREADS": threads,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "TOKENIZERS_PARALLELISM": "false",
            "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
        }
        command = [python, __file__, "--serve", side, "--folder", str(folder), "--dropout", str(options.dropout)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self._answer()

    def run(self, name: str) -> tuple[float, float]:
        """Run what has that name on that side -> seconds, value."""
        assert self.process.stdin is not None
        print(name, file=self.process.stdin, flush=True)
        return tuple(self._answer())

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("error: one side of the benchmark ended early; its message stands above")
        return json.loads(line)

    def close(self) -> None:
        """Let the process end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def compare(options: argparse.Namespace) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours = Side(sys.executable, "ours", options=options, folder=folder)
        sides = {"ours": ours}
        if options.peer_python:
            sides["peer"] = Side(options.peer_python, "peer", options=options, folder=folder)
            if not options.dropout:
                for process in sides.values():
                    process.run("logits")
                difference = np.abs(np.load(folder / "ours.npy") - np.load(folder / "peer.npy")).max()
                figures["largest_difference_of_logits"] = float(difference)
        losses = {side: process.run("step")[1] for side, process in sides.items()}
        seconds: dict[str, list[float]] = {side: [] for side in sides}
        peaks: list[float] = [ours.run("peak")[0]][1:]
        for _ in range(options.rounds):
            for side, process in sides.items():
                seconds[side].append(process.run("step")[0])
            peaks.extend(ours.run("peak")[0] for _ in range(3))
        for process in sides.values():
            process.close()
    return figures | {"loss": losses, "seconds": seconds, "peak": 2 * 2048**3 / min(peaks)}


def report(figures: dict[str, Any], options: argparse.Namespace) -> None:
    from benchmarks.machine import processor  # not at the top: the peer's process runs this file alone

    sizes = Sizes(dropout=options.dropout)
    pieces, operations = sizes.batch * sizes.length, products(sizes)
    print(f"machine: {processor()}, {os.cpu_count()} cores, {options.threads} threads; load {os.getloadavg()[0]:.1f}")
    print(f"step: {', '.join(f'{key} {value}' for key, value in dataclasses.asdict(sizes).items())}, float32")
    print(f"peak of a float32 matrix product: {figures['peak'] / 1e9:.0f} GFLOP/s; ours: {operations / 1e9:.0f} GFLOP")
    names = {"ours": f"ours, {options.backend}, XLA", "peer": "Hugging Face, PyTorch"}
    for side, seconds in figures["seconds"].items():
        middle, best = statistics.median(seconds), min(seconds)
        share = f", {operations / best / figures['peak']:.0%} of the peak" if side == "ours" else ""
        print(
            f"{names[side]:24} median {middle:.2f} s, best {best:.2f} s a step, "
            f"{pieces / middle:.0f} pieces/s (best {pieces / best:.0f}){share}, loss {figures['loss'][side]:.5f}"
        )
    if "peer" in figures["seconds"]:
        ours, peer = figures["seconds"]["ours"], figures["seconds"]["peer"]
        print(
            f"ratio: {statistics.median(peer) / statistics.median(ours):.2f}x by medians, "
            f"{min(peer) / min(ours):.2f}x by the best"
        )
    if "largest_difference_of_logits" in figures:
        print(f"largest difference of the logits: {figures['largest_difference_of_logits']:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", help="an interpreter with torch and transformers; without it, ours alone")
    parser.add_argument("--backend", choices=["tensorflow", "jax"], default="tensorflow")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--json", help="also write the figures to this file")
    parser.add_argument("--serve", choices=["ours", "peer"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, Sizes(dropout=options.dropout), options.folder)
        return
    figures = compare(options)
    report(figures, options)
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
