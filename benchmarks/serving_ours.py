"""Our side of batch prediction: the model compiled by XLA, and its exports in ONNX."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.serving_texts import Sizes


def imports() -> None:
    from xlnet import frameworks

    frameworks.load()  # as all commands do

    import onnxruntime  # noqa: F401

    import xlnet.tasks.predictor  # noqa: F401


def runs(options: Any) -> dict[str, Callable[[], Any]]:
    """`options`: sizes, folder (with the model, its exports and the rows; logits go there)."""
    import onnxruntime

    from xlnet.tasks.batching import answered
    from xlnet.tasks.predictor import Predictor, answers

    sizes, folder = Sizes(**options.sizes), Path(options.folder)
    rows = dict(np.load(folder / "rows.npz"))
    predictor = Predictor.load(str(folder / "model"))
    calls: dict[str, Callable[[Any], Any]] = {"": predictor.model.predict_on_batch}
    for kind in ("onnx", "int8"):
        threads = onnxruntime.SessionOptions()
        threads.intra_op_num_threads = _threads()
        session = onnxruntime.InferenceSession(str(folder / kind / "1" / "model.onnx"), threads)
        calls[f"_{kind}"] = lambda inputs, session=session: session.run(["logits"], inputs)[0]

    def save(suffix: str) -> Callable[[], float]:
        def run() -> float:
            np.save(folder / f"logits{suffix}.npy", answers(calls[suffix], rows, batch_size=sizes.batch))
            return 0.0

        return run

    found: dict[str, Callable[[], Any]] = {}
    for suffix, call in calls.items():
        found[f"logits{suffix}"] = save(suffix)
        found[f"fixed{suffix}"] = lambda call=call: float(answers(call, rows, batch_size=sizes.batch).sum())
        found[f"real{suffix}"] = lambda call=call: float(answered(call, rows, batch_size=sizes.batch).sum())
    return found


def _threads() -> int:
    import os

    return int(os.environ["OMP_NUM_THREADS"])
