"""Runs in the environment of the peer (torch, transformers): python hugging_face_peer.py JOBS

Each folder in JOBS has job.json ({"class": name, "make": settings or null}), inputs.npz and, unless it is to be made,
the model in model/. What the model answers is left in outputs.npz.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import transformers


def made(kind, settings, folder):
    """A model of random weights, biases and layer norms included: an error in one that is zero would not show."""
    model = kind(transformers.XLNetConfig(**settings))
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(("norm.weight" in name.lower()) + 0.3 * torch.randn(weight.shape))
    model.save_pretrained(folder)


def answered(job, folder):
    kind = getattr(transformers, job["class"])
    if job["make"] is not None:
        made(kind, job["make"], folder / "model")
    model, report = kind.from_pretrained(folder / "model", local_files_only=True, output_loading_info=True)
    wrong = {name: found for name, found in report.items() if found and name.endswith("_keys")}
    assert not wrong, wrong
    given = {name: torch.tensor(array) for name, array in np.load(folder / "inputs.npz").items()}
    given = {name: array.long() if array.dtype == torch.int32 else array for name, array in given.items()}
    with torch.no_grad():
        output = model.eval()(**given)
    found = {name: value.numpy() for name, value in output.items() if isinstance(value, torch.Tensor)}
    np.savez(folder / "outputs.npz", **found)


for place in sorted(Path(sys.argv[1]).iterdir()):
    answered(json.loads((place / "job.json").read_text()), place)
