"""The peer's side of `experiments.tasks`, in an environment with torch and transformers: python hugging_face.py JOB

JOB holds job.json, train.npz and dev.npz; what the fine-tuned model says of dev is left there in outputs.npy.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from transformers import XLNetForSequenceClassification


def main(job: Path) -> None:
    told = json.loads((job / "job.json").read_text())
    settings, classes, steps = told["settings"], told["classes"], told["steps"]
    torch.manual_seed(settings["seed"])
    model = XLNetForSequenceClassification.from_pretrained(
        told["model"],
        local_files_only=True,
        num_labels=classes or 1,
        summary_type=settings["summary"],
        summary_last_dropout=settings["dropout"],
        dropout=settings["dropout"],
        initializer_range=told["stddev"],
    )
    train, dev = (dict(np.load(job / f"{part}.npz")) for part in ("train", "dev"))
    updates = torch.optim.AdamW(
        model.parameters(), lr=settings["learning_rate"], eps=settings["epsilon"], weight_decay=0
    )
    warmup = round(settings["warmup_fraction"] * steps)
    rates = torch.optim.lr_scheduler.LambdaLR(
        updates, lambda step: step / warmup if step < warmup else max(0.0, (steps - step) / (steps - warmup))
    )
    order, began = np.random.default_rng(settings["seed"]), time.monotonic()
    model.train()
    for step, rows in enumerate(batches(len(train["label"]), settings["batch_size"], steps, order)):
        logits = model(**given(train, rows)).logits
        labels = torch.tensor(train["label"][rows])
        if classes:
            loss = torch.nn.functional.cross_entropy(logits, labels.long())
        else:
            loss = torch.nn.functional.mse_loss(logits[:, 0], labels.float())
        updates.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings["clip_norm"])
        updates.step()
        rates.step()
        if step % 100 == 0:
            print(f"step {step}/{steps}  loss {loss.item():.3f}", flush=True)
    print(f"{time.monotonic() - began:.0f} s", flush=True)
    model.eval()
    with torch.no_grad():
        size, count = settings["batch_size"], len(dev["pieces"])
        found = [model(**given(dev, np.arange(a, min(a + size, count)))).logits.numpy() for a in range(0, count, size)]
    outputs = np.concatenate(found)
    np.save(job / "outputs.npy", outputs if classes else outputs[:, 0])


def batches(count, size, steps, order):
    """Rows of each step; an epoch's odd rows go into the next one's first batch."""
    left = np.zeros(0, np.int64)
    for _ in range(steps):
        while len(left) < size:
            left = np.concatenate([left, order.permutation(count)])
        yield left[:size]
        left = left[size:]


def given(arrays, rows):
    """What the model takes."""
    return {
        "input_ids": torch.tensor(arrays["pieces"][rows]).long(),
        "token_type_ids": torch.tensor(arrays["segments"][rows]).long(),
        "attention_mask": 1.0 - torch.tensor(arrays["padding"][rows]).float(),
        "use_mems": False,
    }


main(Path(sys.argv[1]))
