"""The peer's side of batch prediction: Hugging Face's XLNet on PyTorch, with our weights and rows."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.serving_texts import Sizes


def imports() -> None:
    import torch  # noqa: F401
    import transformers.models.xlnet.modeling_xlnet  # noqa: F401


def runs(options: Any) -> dict[str, Callable[[], Any]]:
    """`options`: sizes, folder (with the model and the rows; the logits go there)."""
    import torch
    from transformers import XLNetForSequenceClassification

    sizes, folder = Sizes(**options.sizes), Path(options.folder)
    rows = dict(np.load(folder / "rows.npz"))
    lengths = (rows["padding"] == 0).sum(axis=1)
    model = XLNetForSequenceClassification.from_pretrained(str(folder / "peer")).eval()

    def batches(order: np.ndarray, *, cut: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(order), sizes.batch):
            chosen = order[start : start + sizes.batch]
            length = int(lengths[chosen].max()) if cut else sizes.length
            with torch.inference_mode():
                given = {name: torch.tensor(values[chosen, -length:]).long() for name, values in rows.items()}
                output = model(
                    input_ids=given["pieces"],
                    token_type_ids=given["segments"],
                    attention_mask=(1 - given["padding"]).float(),
                    use_mems=False,
                )
            yield chosen, output.logits.numpy()

    def every(order: np.ndarray, *, cut: bool) -> np.ndarray:
        found = np.zeros((len(order), 2), np.float32)
        for chosen, logits in batches(order, cut=cut):
            found[chosen] = logits
        return found

    def logits() -> float:
        np.save(folder / "logits_peer.npy", every(np.arange(len(lengths)), cut=False))
        return 0.0

    in_order = np.arange(len(lengths))
    return {
        "logits": logits,
        "fixed": lambda: float(every(in_order, cut=False).sum()),
        "real": lambda: float(every(in_order, cut=True).sum()),
        "sorted": lambda: float(every(np.argsort(-lengths), cut=True).sum()),
    }
