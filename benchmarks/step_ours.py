"""Our side of the pretraining step: forward and backward, compiled by XLA, on either backend."""

import dataclasses
import itertools
from collections.abc import Callable
from functools import cache, reduce
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.step import CLS, SEP, Sizes, example
from xlnet import allocation


def imports() -> None:
    from xlnet import frameworks

    frameworks.load()  # as all commands do

    import xlnet.model.heads  # noqa: F401


def runs(options: Any) -> dict[str, Callable[[], Any]]:
    """`options`: sizes, remat, folder (where weights and logits go)."""
    import keras
    from keras import ops

    sizes, folder = Sizes(**options.sizes), Path(options.folder)
    backbone, head = model(sizes, folder, remat=options.remat)
    predict = prediction(backbone, sizes)

    def loss(*inputs: Any) -> Any:
        hidden, targets, mask, remembered = predict(*inputs)
        return ops.sum(head.loss(hidden, targets) * mask) / ops.sum(mask), remembered

    compile_step = tensorflow_step if keras.backend.backend() == "tensorflow" else jax_step
    batch = example(sizes)
    inputs = [batch[name] for name in ("pieces", "segments", "order", "is_target", "memories")]
    if sizes.precision != "float32":
        inputs[-1] = inputs[-1].astype(backbone.compute_dtype)  # as training keeps them
    inputs = [ops.copy(value) for value in inputs]  # TensorFlow holds an array that it converts twice
    del batch  # nor does training hold them twice
    step, once, multiply = compile_step(
        loss,
        lambda *inputs: head.logits(predict(*inputs)[0]),
        lambda square: reduce(ops.matmul, [square] * (1 + sizes.chained)),
        [*backbone.trainable_weights, *head.trainable_weights],
        backbone,
    )

    def logits() -> float:
        np.save(folder / "ours.npy", once(*inputs).astype("float32"))
        return 0.0

    steps = itertools.count()

    def one() -> float:
        value = step(*inputs)
        if next(steps) == 0:
            allocation.give_back()  # as training does once it has compiled
        return value

    @cache  # when it is asked for: a step's memory is measured without it
    def square() -> Any:
        values = np.random.default_rng(2).standard_normal((sizes.square, sizes.square)) / sizes.square**0.5
        return ops.convert_to_tensor(values, sizes.precision)

    return {"step": one, "peak": lambda: multiply(square()), "logits": logits}


def model(sizes: Sizes, folder: Path, *, remat: bool) -> tuple[Any, Any]:
    """The backbone and its head with weights that are also left in the folder for the peer."""
    from keras import ops

    from xlnet.model.backbone import Backbone
    from xlnet.model.config import ModelConfig
    from xlnet.model.heads import LanguageModelHead

    shared = {field.name for field in dataclasses.fields(ModelConfig)} & set(dataclasses.asdict(sizes))
    settings = {name: getattr(sizes, name) for name in shared} | {"attention_dropout": sizes.dropout}
    policy = sizes.precision if sizes.precision == "float32" else f"mixed_{sizes.precision}"
    backbone = Backbone(ModelConfig(**settings), bidirectional=sizes.bidirectional, remat=remat, seed=0, dtype=policy)
    head = LanguageModelHead(backbone)
    named = backbone.reference_variables() | head.reference_variables()
    random = np.random.default_rng(1)
    for name, weight in named.items():  # biases too: an error in one that is zero would not show
        if "gamma" not in name:
            weight.assign(random.standard_normal(weight.shape) * 0.05)
    np.savez(folder / "weights.npz", **{name: ops.convert_to_numpy(weight) for name, weight in named.items()})
    return backbone, head


def prediction(backbone: Any, sizes: Sizes) -> Callable[..., Any]:
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
            boundary=sizes.reuse,
            training=True,
        )
        return hidden, ops.take_along_axis(pieces, positions, axis=1), mask, remembered

    return predict


def tensorflow_step(loss: Any, logits: Any, product: Any, weights: Any, _: Any) -> tuple[Any, Any, Any]:
    import tensorflow as tf

    variables = [weight.value for weight in weights]

    @tf.function(jit_compile=True, autograph=False)
    def compiled(*inputs: Any) -> Any:
        with tf.GradientTape() as tape:
            value, remembered = loss(*inputs)
        return value, remembered, tape.gradient(value, variables)

    square = tf.function(product, jit_compile=True)
    once = tf.function(logits, jit_compile=True)

    def step(*inputs: Any) -> float:
        return float(compiled(*inputs)[0])

    return step, lambda *inputs: once(*inputs).numpy(), lambda given: square(given)[0, 0].numpy()


def jax_step(loss: Any, logits: Any, product: Any, weights: Any, backbone: Any) -> tuple[Any, Any, Any]:
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
    once, square = jax.jit(scoped(logits)), jax.jit(product)
    values = [weight.value for weight in weights]

    def step(*inputs: Any) -> float:
        return float(jax.block_until_ready(compiled(values, backbone.random.state.value, *inputs))[0][0])

    return (
        step,
        lambda *inputs: np.asarray(once([*values, backbone.random.state.value], *inputs)),
        lambda given: float(square(given)[0, 0]),
    )
