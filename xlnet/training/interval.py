"""What the steps between two lines of metrics came to."""

from typing import Any

from keras import ops


def measured(trainer: Any) -> dict[str, Any]:
    """Loss of an interval's sound steps (left out where none was), rate and norm of the last one; begins the next.

    `trainer`: a Keras model with `target_loss` and an optimizer that is `Guarded`. In float16 also how many steps
    overflowed since the run began, and the scale of the loss.
    """
    loss, updates = trainer.target_loss, trainer.optimizer
    found = {"loss": _number(loss.result())} if _number(loss.count) else {}
    found |= {"learning_rate": _number(updates.learning_rate), "gradient_norm": _number(updates.gradient_norm)}
    if updates.care.scales_loss:
        found |= {"overflows": int(_number(updates.overflows)), "loss_scale": _number(updates.scale)}
    loss.reset_state()
    return found


def _number(value: Any) -> float:
    return float(ops.convert_to_numpy(value))
