"""One step of pretraining: gradients of a batch, at once or in parts, an update, memories; on TensorFlow and on JAX.

And one of measuring, of a model that is not trained.

Each of many devices finds the gradients of its own rows, and they are summed: see `training.replicas` for TensorFlow,
`training.mesh` for JAX.

A batch in parts is split by rows; each row's memory stays with it. The loss of every part is divided by the targets
of the whole batch, so that gradients add up to those of the batch at once, but for rounding.

A step that is not sound (see `training.guard`) leaves the memories as it found them: emptied where a stream begins.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
from keras import ops

from xlnet.training.devices import SEED


def of_backend() -> Callable[..., Any]:
    """The step for the running backend, as Keras wants `train_step` to be."""
    return jax_step if keras.backend.backend() == "jax" else tensorflow_step


def measuring_of_backend() -> Callable[..., Any]:
    """As `of_backend`, of what is only measured: Keras' `test_step`."""
    return jax_measuring if keras.backend.backend() == "jax" else tensorflow_measuring


def tensorflow_step(model: Any, batch: dict[str, Any]) -> dict[str, Any]:
    """Train on a batch -> what Keras logs."""
    from xlnet.training import replicas

    run = replicas.compiled(model)
    total = replicas.across(model.target_count(batch))

    def find(batch: dict[str, Any], total: Any) -> Any:
        memories = model.carried(batch) or []
        gradients = _tensorflow_at_once if model.parts == 1 else _tensorflow_in_parts
        return *gradients(model, batch, memories, total), memories

    loss, grads, new, memories = run(find)(batch, total)
    loss, grads = replicas.across([loss, grads])

    def update(loss: Any, grads: Any, new: Any, memories: Any, total: Any) -> dict[str, Any]:
        is_sound = model.optimizer.apply(grads, model.trainable_variables, loss=loss)
        for memory, value in zip(model.memories, _chosen(is_sound, new, memories), strict=True):
            memory.assign(value)
        return _count(model, loss, total=total, is_sound=is_sound)

    return run(update)(loss, grads, new, memories, total)


def _tensorflow_at_once(model: Any, batch: dict[str, Any], memories: list[Any], total: Any) -> Any:
    """-> loss [], gradients, new memories."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss, new = _share(model, batch, memories, total)
        scaled = model.optimizer.scale_loss(loss)
    weights = [weight.value for weight in model.trainable_variables]
    return loss, [tf.convert_to_tensor(grad) for grad in tape.gradient(scaled, weights)], new


def _tensorflow_in_parts(model: Any, batch: dict[str, Any], memories: list[Any], total: Any) -> Any:
    import tensorflow as tf

    split, remembered = _split(model, batch), _split(model, dict(enumerate(memories)))

    def part(index: Any, loss: Any, grads: Any, new: Any) -> Any:
        rows = {name: values[index] for name, values in split.items()}
        found, added, fresh = _tensorflow_at_once(model, rows, [memory[index] for memory in remembered.values()], total)
        new = [tf.tensor_scatter_nd_update(all_, [[index]], one[None]) for all_, one in zip(new, fresh, strict=True)]
        return index + 1, loss + found, [grad + more for grad, more in zip(grads, added, strict=True)], new

    zeros = [tf.zeros(weight.shape, weight.dtype) for weight in model.trainable_variables]
    start = (0, 0.0, zeros, [tf.zeros_like(memory) for memory in remembered.values()])
    _, loss, grads, new = tf.while_loop(lambda index, *_: index < model.parts, part, start)
    return loss, grads, [ops.reshape(value, memory.shape) for value, memory in zip(new, model.memories, strict=True)]


def jax_step(model: Any, state: Any, batch: dict[str, Any]) -> Any:
    """Train on a batch -> what Keras logs, and the new state: of weights, other variables, optimizer, metrics."""
    from xlnet.training import mesh

    weights, others, optimized, measured = state
    updates = model.optimizer
    known = [*zip(model.trainable_variables, weights, strict=True), *zip(updates.variables, optimized, strict=True)]
    with keras.StatelessScope(state_mapping=[*zip(model.non_trainable_variables, others, strict=True), *known]):
        memories, total = model.carried(batch) or [], model.target_count(batch)
        scale = updates.scale_loss(ops.ones(()))
    gradients = _jax_at_once if model.parts == 1 else _jax_in_parts
    rest, values = _rest(model), dict(zip(map(id, model.non_trainable_variables), others, strict=True))
    found = mesh.across(partial(gradients, model), seeds=[variable.name == SEED for variable in rest])
    kept = [values[id(variable)] for variable in rest]
    (loss, grads), new, changed = found(batch, memories, (total, scale, weights), kept)
    with keras.StatelessScope(state_mapping=known) as scope:
        is_sound = updates.apply(grads, loss=loss)
    weights, optimized = (
        _values(scope, model.trainable_variables, weights),
        _values(scope, updates.variables, optimized),
    )
    values |= zip(map(id, rest), changed, strict=True)
    values |= zip(map(id, model.memories), _chosen(is_sound, new, memories), strict=True)
    others = [values[id(variable)] for variable in model.non_trainable_variables]
    with keras.StatelessScope(state_mapping=list(zip(model.metrics_variables, measured, strict=True))) as scope:
        logs = _count(model, loss, total=total, is_sound=is_sound)
    return logs, (weights, others, optimized, _values(scope, model.metrics_variables, measured))


def _jax_at_once(model: Any, batch: dict[str, Any], memories: list[Any], known: Any, others: Any) -> Any:
    """`known`: targets in all, loss scale, weights -> (loss [], gradients), new memories, the other variables."""
    import jax

    total, scale, weights = known

    def scaled_loss(weights: Any) -> Any:
        known = zip(model.trainable_variables, weights, strict=True)
        with keras.StatelessScope(state_mapping=[*known, *zip(_rest(model), others, strict=True)]) as scope:
            loss, new = _share(model, batch, memories, total)
        return loss * scale, (loss, new, _values(scope, _rest(model), others))

    (_, (loss, new, changed)), grads = jax.value_and_grad(scaled_loss, has_aux=True)(weights)
    return (loss, grads), new, changed


def _jax_in_parts(model: Any, whole: dict[str, Any], carried: list[Any], known: Any, others: Any) -> Any:
    import jax

    def part(carry: Any, rows: Any) -> Any:
        loss, grads, others = carry
        batch, memories = rows
        (found, added), new, others = _jax_at_once(model, batch, memories, known, others)
        return (loss + found, [grad + more for grad, more in zip(grads, added, strict=True)], others), new

    remembered = list(_split(model, dict(enumerate(carried))).values())
    *_, weights = known
    start = (ops.zeros(()), [ops.zeros_like(weight) for weight in weights], others)
    (loss, grads, others), new = jax.lax.scan(part, start, (_split(model, whole), remembered))
    return (loss, grads), [ops.reshape(value, (-1, *value.shape[2:])) for value in new], others


def tensorflow_measuring(model: Any, batch: dict[str, Any]) -> dict[str, Any]:
    """Measure a batch -> what Keras logs."""
    from xlnet.training import replicas

    def find(batch: dict[str, Any]) -> list[Any]:
        found = model(batch)
        return model.sums(batch, found["losses"], found["counts"])

    model.measure(replicas.across(replicas.compiled(model)(find)(batch)))
    return model.get_metrics_result()


def jax_measuring(model: Any, state: Any, batch: dict[str, Any]) -> Any:
    """Measure a batch -> what Keras logs, and the new state: of weights, other variables, metrics."""
    from xlnet.training import mesh

    weights, others, measured = state
    rest, values = _rest(model), dict(zip(map(id, model.non_trainable_variables), others, strict=True))

    def find(batch: dict[str, Any], memories: list[Any], weights: Any, others: Any) -> Any:
        known = zip(model.trainable_variables, weights, strict=True)
        with keras.StatelessScope(state_mapping=[*known, *zip(rest, others, strict=True)]):
            losses, counts, new = model.row_losses(batch, memories or None, training=False)
            return model.sums(batch, losses, counts), new, others

    with keras.StatelessScope(state_mapping=list(zip(model.non_trainable_variables, others, strict=True))):
        memories = model.carried(batch) or []
    found = mesh.across(find, seeds=[False] * len(rest))  # nothing is drawn
    sums, new, _ = found(batch, memories, weights, [values[id(variable)] for variable in rest])
    values |= zip(map(id, model.memories), new, strict=True)
    others = [values[id(variable)] for variable in model.non_trainable_variables]
    with keras.StatelessScope(state_mapping=list(zip(model.metrics_variables, measured, strict=True))) as scope:
        model.measure(sums)
        logs = model.get_metrics_result()
    return logs, (weights, others, _values(scope, model.metrics_variables, measured))


def _rest(model: Any) -> list[Any]:
    """The variables that are neither trained nor memories."""
    memories = set(map(id, model.memories))
    return [variable for variable in model.non_trainable_variables if id(variable) not in memories]


def _share(model: Any, batch: dict[str, Any], memories: list[Any], total: Any) -> Any:
    """What these rows add to the mean loss over `total` targets, and their new memories."""
    losses, counts, new = model.row_losses(batch, memories, training=True)
    return ops.sum(losses * ops.cast(counts, losses.dtype)) / ops.maximum(total, 1.0), new


def _split(model: Any, batch: dict[Any, Any]) -> dict[Any, Any]:
    """[rows, ...] -> [parts, rows / parts, ...], neighbours together: forward and backward rows alternate."""
    return {name: ops.reshape(values, (model.parts, -1, *ops.shape(values)[1:])) for name, values in batch.items()}


def _chosen(is_sound: Any, new: list[Any], old: list[Any]) -> list[Any]:
    if is_sound is None:
        return new
    return [ops.where(is_sound, value, before) for value, before in zip(new, old, strict=True)]


def _count(model: Any, loss: Any, *, total: Any, is_sound: Any) -> dict[str, Any]:
    """The loss of the interval; a step that is not sound is not counted."""
    if is_sound is not None:
        loss, total = (ops.where(is_sound, value, 0.0) for value in (loss, total))
    model.target_loss.update_state(loss, sample_weight=total)
    return {"target_loss": model.target_loss.result()}


def _values(scope: Any, variables: Any, before: Any) -> list[Any]:
    found = [scope.get_current_value(variable) for variable in variables]
    return [value if new is None else new for new, value in zip(found, before, strict=True)]
