"""Gradients of our own, where the one that a framework derives is slow."""

from collections.abc import Callable
from typing import Any

from keras import ops


def custom_gradient(function: Callable[..., tuple[Any, Callable[[Any], Any]]]) -> Callable[..., Any]:
    """As Keras has it, but the gradient is handed what comes from above in one way, whatever the backend.

    function(*arrays) -> (its result, gradient), and gradient(upstream) -> the gradient towards each of the arrays.
    """

    @ops.custom_gradient
    def run(*arrays: Any) -> tuple[Any, Callable[..., Any]]:
        result, gradient = function(*arrays)

        def handed(*arguments: Any, upstream: Any = None) -> Any:
            return gradient(arguments[0] if upstream is None else upstream)

        return result, handed

    return run
