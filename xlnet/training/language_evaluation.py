"""Evaluation of a pretrained language model on a data set: what it loses on each piece, with a memory of any length."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xlnet import storage
from xlnet.corpus import reference
from xlnet.corpus.manifest import Manifest
from xlnet.errors import require
from xlnet.model.checkpoints import read_description
from xlnet.model.pretrained import load_language_model, trained_memory
from xlnet.progress import Progress
from xlnet.special_pieces import SPECIAL_PIECES, UNK
from xlnet.tasks.predictor import load_tokenizer
from xlnet.text import Tokenizer
from xlnet.training.data import check_shards, naming_damage, validation_batches
from xlnet.training.pretrainer import Pretrainer

FORMAT = "xlnet-language-model-evaluation/1"
MEASURES = {
    "causal": "every next piece of the text, given all before it that memory reaches; losses of a language model",
    "permutation": "the targets of the data set's windows, each given what its order lets it see; "
    "not the perplexity of a text",
}
DIRECTIONS = ("forward", "backward")


def evaluate_language_model(
    *,
    model: str,
    data: str,
    output: str | None = None,
    memory_length: int | None = None,
    clamp_length: int | None = None,
    batch_size: int = 32,
    jit_compile: bool = True,
    progress: bool = True,
) -> dict[str, Any]:
    """Measure a pretrained model directory on a data set of held-out text; publishes evaluation.json in `output`.

    A model that reads from left to right is measured on every next piece, by segments of the data's reuse_length and
    from empty memories; any other on the data's targets in their stored orders. `memory_length`: pieces, by default
    as in pretraining; where it is longer, `clamp_length` bounds distances to those that were trained. `batch_size`: at
    most so many rows side by side (or those of one file); no result depends on it.
    Raises UserError for a model or data that do not fit.
    """
    require(batch_size >= 1, "batch_size", batch_size, "1 or more")
    require(memory_length is None or memory_length >= 0, "memory_length", memory_length, "0 or more pieces")
    if output is not None:
        storage.refuse_occupied(output)
    manifest = reference.open_data(data)
    check_shards(data, manifest)
    described = read_description(model)
    manifest.verify_vocabulary()
    manifest.require_vocabulary(described["vocabulary_sha256"])
    manifest.require(**described["text"])
    memory_length = trained_memory(model, described) if memory_length is None else memory_length
    batches, rows = validation_batches(data, manifest, most_rows=batch_size)
    changed = {} if clamp_length is None else {"clamp_length": clamp_length}
    measured = _load(model, manifest, rows=rows, memory_length=memory_length, **changed)
    measured.compile(jit_compile=jit_compile)
    shown = Progress(len(batches), unit="batches", name="evaluating") if progress else None
    tally = Tally(load_tokenizer(model), directions=2 if manifest.settings.bidirectional else 1)
    with naming_damage(data, manifest):
        for number, answer in enumerate(_answers(measured, batches), start=1):
            tally.add(**answer)
            if shown is not None:
                shown.update(number, note=f"{tally.nats_per_piece:.4f} nats a piece")
    objective = measured.objective.name
    result = {
        "format": FORMAT,
        "objective": objective,
        "measure": MEASURES[objective],
        "memory_length": memory_length,
        "clamp_length": measured.backbone.config.clamp_length,
        "segment_length": measured.objective.length,
        "loss": tally.nats_per_piece,  # the name that every evaluation has for it
        **tally.result(characters=objective == "causal"),
        "model": model,
        "data": data,
        "vocabulary_sha256": described["vocabulary_sha256"],
    }
    if output is not None:
        with storage.publishing(output, marker="evaluation.json") as folder:
            storage.publish_json(str(folder / "evaluation.json"), result)
    return result


def _load(model: str, manifest: Manifest, *, rows: int, memory_length: int, **changed: Any) -> Pretrainer:
    backbone, head = load_language_model(model, bidirectional=manifest.settings.bidirectional, **changed)
    objective = "causal" if backbone.config.attention == "uni" else "permutation"
    measured = Pretrainer(
        backbone, head, corpus=manifest.settings, objective=objective, rows=rows, memory_length=memory_length
    )
    measured.built = True  # all weights exist
    return measured


def _answers(model: Pretrainer, batches: Any) -> Iterator[dict[str, NDArray[Any]]]:
    """Losses, counts and targets [rows, targets] of batch after batch."""
    for batch in batches.as_numpy_iterator():
        yield model.predict_on_batch(batch)


class Tally:
    """What is lost on the pieces of rows that alternate between directions."""

    def __init__(self, tokenizer: Tokenizer, *, directions: int):
        self.lengths = characters_of_pieces(tokenizer)
        self.nats = np.zeros(directions)
        self.pieces = np.zeros((directions, tokenizer.size), np.int64)

    @property
    def nats_per_piece(self) -> float:
        """The mean so far."""
        return float(self.nats.sum() / max(1, self.pieces.sum()))

    def add(self, *, losses: NDArray[Any], counts: NDArray[Any], targets: NDArray[Any]) -> None:
        """Count a batch: losses in nats, 1 where one counts, and the pieces, [rows, targets] each."""
        directions = len(self.nats)
        for direction in range(directions):
            rows = slice(direction, None, directions)
            counted = counts[rows] > 0
            self.nats[direction] += losses[rows][counted].astype(np.float64).sum()
            self.pieces[direction] += np.bincount(targets[rows][counted], minlength=len(self.lengths))

    def result(self, *, characters: bool) -> dict[str, Any]:
        """The measures of all rows, then of each direction where there are two."""
        whole = self._measures(self.nats.sum(), self.pieces.sum(axis=0), characters=characters)
        if len(self.nats) == 1:
            return whole
        each = zip(DIRECTIONS, self.nats, self.pieces, strict=True)
        return whole | {name: self._measures(nats, pieces, characters=characters) for name, nats, pieces in each}

    def _measures(self, nats: float, pieces: NDArray[np.int64], *, characters: bool) -> dict[str, Any]:
        count = int(pieces.sum())
        mean = float(nats / max(1, count))
        found: dict[str, Any] = {
            "pieces": count,
            "nats_per_piece": mean,
            "bits_per_piece": mean / math.log(2),
            "perplexity": math.exp(min(mean, 700.0)),
        }
        if characters:
            length = int(pieces @ self.lengths)
            found |= {"characters": length, "bits_per_character": float(nats / math.log(2) / max(1, length))}
            found |= {"unknown_pieces": int(pieces[UNK])}
        return found


def characters_of_pieces(tokenizer: Tokenizer) -> NDArray[np.int64]:
    """How many characters of normalised text each piece of the vocabulary stands for [size].

    A mark of a word's beginning is a space. `<unk>` counts as one character, whatever it hides; `<eop>`, `<eod>` and
    the other special pieces as none, though what is lost on them counts: bits per character are never flattered.
    """
    lengths = np.array([len(tokenizer.piece(index)) for index in range(tokenizer.size)], np.int64)
    lengths[: len(SPECIAL_PIECES)] = 0
    lengths[UNK] = 1
    return lengths
