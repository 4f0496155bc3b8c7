"""The peer's side of the fine-tuning step: Hugging Face's XLNet on PyTorch, with our weights and inputs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.finetuning import CLASSES, CLIP, EPSILON, RATE, Sizes, example
from benchmarks.step_hugging_face import trunk


def imports() -> None:
    import torch  # noqa: F401
    import transformers.models.xlnet.modeling_xlnet  # noqa: F401


def runs(options: Any) -> dict[str, Callable[[], Any]]:
    """`options`: sizes, folder (with our weights; the logits go there), compiled (by torch.compile)."""
    import torch
    from transformers import XLNetConfig, XLNetForSequenceClassification

    sizes, folder = Sizes(**options.sizes), Path(options.folder)
    model = XLNetForSequenceClassification(
        XLNetConfig(
            vocab_size=sizes.vocab_size,
            d_model=sizes.model_dim,
            n_layer=sizes.layers,
            n_head=sizes.heads,
            d_inner=sizes.feedforward_dim,
            ff_activation="gelu_pytorch_tanh",  # the tanh form, as in the paper's code; PyTorch fuses it
            dropout=sizes.dropout,
            summary_last_dropout=sizes.dropout,
            num_labels=CLASSES,
        )
    )
    load(model, dict(np.load(folder / "weights.npz")))
    model.train()
    batch = example(sizes)
    inputs = {
        "input_ids": torch.tensor(batch["pieces"]).long(),
        "token_type_ids": torch.tensor(batch["segments"]).long(),
        "labels": torch.tensor(batch["label"]).long(),
    }
    updates = torch.optim.AdamW(model.parameters(), lr=RATE, eps=EPSILON, weight_decay=0.0, fused=True)
    run = torch.compile(model) if options.compiled else model

    def step() -> float:
        updates.zero_grad(set_to_none=True)
        output = run(**inputs, use_mems=False)
        output.loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        updates.step()
        return float(output.loss.detach())

    def logits() -> float:
        model.eval()
        with torch.no_grad():
            unlabelled = {name: value for name, value in inputs.items() if name != "labels"}
            np.save(folder / "peer.npy", model(**unlabelled, use_mems=False).logits.numpy())
        model.train()
        return 0.0

    return {"step": step, "logits": logits}


def load(model: Any, weights: dict[str, np.ndarray]) -> None:
    """Give the peer our weights, under its names and in its layouts."""
    import torch

    state = trunk(weights, layers=model.config.n_layer)
    dense = {
        "sequence_summary.summary": "model/sequnece_summary/summary",
        "logits_proj": "model/classification/logit",
    }
    for theirs, ours in dense.items():
        state[f"{theirs}.weight"] = weights[f"{ours}/kernel"].T
        state[f"{theirs}.bias"] = weights[f"{ours}/bias"]
    model.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
