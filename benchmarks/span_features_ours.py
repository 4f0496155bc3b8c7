"""Our side of the features of span answers."""

from collections.abc import Callable
from typing import Any


def imports() -> None:
    import xlnet.tasks.span_windows  # noqa: F401


def runs(options: Any) -> dict[str, Callable[[], Any]]:
    """`options`: data, model, sequence_length, stride."""
    from xlnet.tasks.span_questions import read
    from xlnet.tasks.span_windows import WindowSettings, windows
    from xlnet.text import Tokenizer

    questions, tokenizer = read(options.data), Tokenizer(options.model)
    settings = WindowSettings(options.sequence_length, options.stride)
    found: list[int] = []

    def features() -> None:
        found[:] = [len(windows(tokenizer, questions, settings=settings))]

    return {"features": features, "windows": lambda: float(found[0])}
