"""The peer's side of the pretraining step: Hugging Face's XLNet on PyTorch, with our weights and inputs."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.step import Sizes, example, masks


def imports() -> None:
    import torch  # noqa: F401
    import transformers.models.xlnet.modeling_xlnet  # noqa: F401


def runs(options: Any) -> dict[str, Callable[[], Any]]:
    """`options`: sizes, folder (our weights; the logits go there), peer (eager, compiled, layers)."""
    import torch
    from transformers import XLNetConfig, XLNetLMHeadModel

    sizes, folder = Sizes(**options.sizes), Path(options.folder)
    model = XLNetLMHeadModel(
        XLNetConfig(
            vocab_size=sizes.vocab_size,
            d_model=sizes.model_dim,
            n_layer=sizes.layers,
            n_head=sizes.heads,
            d_inner=sizes.feedforward_dim,
            ff_activation="gelu_pytorch_tanh",  # the tanh form, as in the paper's code; PyTorch fuses it
            bi_data=sizes.bidirectional,
            mem_len=sizes.memory,
            reuse_len=sizes.reuse,
            dropout=sizes.dropout,
        )
    )
    load(model, dict(np.load(folder / "weights.npz")))
    device = "cpu" if sizes.precision == "float32" else "cuda"
    model.train().to(device)
    batch = example(sizes)
    rows = np.r_[0 : sizes.batch : 2, 1 : sizes.batch : 2]  # the peer wants all forward rows first
    inputs = given(batch, rows, sizes, device=device)
    run = torch.compile(model) if options.peer == "compiled" else model
    if options.peer == "layers":
        for layer in model.transformer.layer:  # alike, so that what one of them is compiled to serves all
            layer.compile()
    mixed = partial(torch.autocast, device, dtype=torch.bfloat16, enabled=sizes.precision == "bfloat16")

    def step() -> float:
        model.zero_grad(set_to_none=True)
        with mixed():
            output = run(**inputs)
        output.loss.backward()
        if device == "cuda":
            torch.cuda.synchronize()
        return float(output.loss.detach())

    def logits() -> float:
        with torch.no_grad(), mixed():
            unlabelled = {name: value for name, value in inputs.items() if name != "labels"}
            found = model(**unlabelled).logits.float().cpu().numpy()
            np.save(folder / "peer.npy", found[np.argsort(rows)])
        return 0.0

    return {"step": step, "logits": logits}


def given(batch: dict[str, np.ndarray], rows: np.ndarray, sizes: Sizes, *, device: str) -> dict[str, Any]:
    import torch

    ready = masks(batch, sizes)
    found = {
        "input_ids": torch.tensor(batch["pieces"][rows]).long(),
        "token_type_ids": torch.tensor(batch["segments"][rows]).long(),
        "perm_mask": torch.tensor(ready["perm_mask"][rows]),
        "target_mapping": torch.tensor(ready["target_mapping"][rows]),
        "labels": torch.tensor(ready["labels"][rows]).long(),
    }
    memories = [torch.tensor(memory[rows].swapaxes(0, 1).copy()).to(device) for memory in batch["memories"]]
    return {name: value.to(device) for name, value in found.items()} | {"mems": memories}


def load(model: Any, weights: dict[str, np.ndarray]) -> None:
    """Give the peer our weights, under its names and in its layouts."""
    import torch

    state = trunk(weights, layers=model.config.n_layer)
    state |= {
        "lm_loss.weight": state["transformer.word_embedding.weight"],
        "lm_loss.bias": weights["model/lm_loss/bias"],
    }
    model.load_state_dict({name: torch.tensor(value) for name, value in state.items()})


def trunk(weights: dict[str, np.ndarray], *, layers: int) -> dict[str, np.ndarray]:
    """The weights of the transformer under the peer's names."""
    trunk = "model/transformer/"
    state = {
        "transformer.mask_emb": weights[f"{trunk}mask_emb/mask_emb"],
        "transformer.word_embedding.weight": weights[f"{trunk}word_embedding/lookup_table"],
    }
    for layer in range(layers):
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
    return state
