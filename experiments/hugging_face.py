"""The peer's side of `experiments.tasks`, in an environment with torch and transformers: python hugging_face.py JOB

JOB holds job.json, train.npz and dev.npz; what the fine-tuned model says of dev is left there in outputs.npz.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from transformers import XLNetForQuestionAnswering, XLNetForSequenceClassification


class Sequences:
    """Classes of texts and pairs, or a rating where there are no classes."""

    def __init__(self, told):
        settings, self.classes = told["settings"], len(told["head"]["classes"] or [])
        self.model = XLNetForSequenceClassification.from_pretrained(
            told["model"],
            local_files_only=True,
            num_labels=self.classes or 1,
            summary_type=settings["summary"],
            summary_last_dropout=settings["dropout"],
            dropout=settings["dropout"],
            initializer_range=told["stddev"],
        )

    def loss(self, train, rows):
        """Of some rows, the mean."""
        logits, labels = self.model(**given(train, rows)).logits, torch.tensor(train["label"][rows])
        if self.classes:
            return torch.nn.functional.cross_entropy(logits, labels.long())
        return torch.nn.functional.mse_loss(logits[:, 0], labels.float())

    def outputs(self, dev, rows):
        """What ours measures."""
        logits = self.model(**given(dev, rows)).logits.numpy()
        return {"logits": logits if self.classes else logits[:, 0]}


class Spans:
    """Spans of a context, and whether there is one."""

    def __init__(self, told):
        self.beam = told["head"]["start_top"], told["head"]["end_top"]
        self.model = XLNetForQuestionAnswering.from_pretrained(
            told["model"],
            local_files_only=True,
            start_n_top=self.beam[0],
            end_n_top=self.beam[1],
            dropout=told["settings"]["dropout"],
            initializer_range=told["stddev"],
        )

    def given(self, arrays, rows):
        """What the model takes."""
        cls = torch.full((len(rows),), arrays["pieces"].shape[1] - 1)
        return given(arrays, rows) | {"p_mask": torch.tensor(arrays["excluded"][rows]).float(), "cls_index": cls}

    def loss(self, train, rows):
        """Of some rows, the mean."""
        last = train["pieces"].shape[1] - 1  # from which ours counts
        start, end = (last - torch.tensor(train[name][rows]).long() for name in ("start", "end"))
        impossible = torch.tensor(train["impossible"][rows]).float()
        right = {"start_positions": start, "end_positions": end, "is_impossible": impossible}
        return self.model(**self.given(train, rows), **right).loss

    def outputs(self, dev, rows):
        """The beam that ours measures."""
        found, (starts, ends) = self.model(**self.given(dev, rows)), self.beam

        def by_start(beams):
            return beams.reshape(-1, ends, starts).swapaxes(1, 2).numpy()

        return {  # what it calls log probabilities are probabilities
            "start_log_probs": torch.log(found.start_top_log_probs).numpy(),
            "starts": found.start_top_index.numpy(),
            "end_log_probs": by_start(torch.log(found.end_top_log_probs)),
            "ends": by_start(found.end_top_index),
            "impossible": found.cls_logits.numpy(),
        }


def main(job: Path) -> None:
    told = json.loads((job / "job.json").read_text())
    settings, steps = told["settings"], told["steps"]
    torch.manual_seed(settings["seed"])
    task = (Sequences if "classes" in told["head"] else Spans)(told)
    model = task.model
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
    for step, rows in enumerate(batches(len(train["pieces"]), settings["batch_size"], steps, order)):
        loss = task.loss(train, rows)
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
        found = [task.outputs(dev, np.arange(a, min(a + size, count))) for a in range(0, count, size)]
    np.savez(job / "outputs.npz", **{name: np.concatenate([part[name] for part in found]) for name in found[0]})


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
