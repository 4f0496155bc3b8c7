"""Texts to vectors: of whole texts, words or pieces, from any layer of a model or a mix of layers.

A text is read as in fine-tuning, `A <sep> <cls>` after padding on the left; a long one in windows that overlap, in
which each piece's vector comes from the window that shows most of what is around it.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from xlnet.errors import UserError
from xlnet.model import checkpoints
from xlnet.model.backbone import Backbone
from xlnet.serving.rows import Row
from xlnet.serving.settings import SPECIAL, EmbeddingSettings
from xlnet.serving.vector_files import Vectors
from xlnet.serving.windows import laid_out, windows
from xlnet.tasks.batching import batches, bucket, trimmed
from xlnet.tasks.predictor import load_tokenizer
from xlnet.text import SPACE, Tokenizer

ALL = 1 << 30  # positions: more than there are


def mix(layers: str, *, count: int) -> dict[int, float]:
    """The weight of each layer's output, 0 (the embeddings) to `count`, from `-1`, `9,10,11` or `11:0.3,12:0.7`.

    Without weights the layers count alike. Raises UserError for a layer that the model does not have.
    """
    parts = [part.partition(":") for part in layers.split(",")]
    weights: dict[int, float] = {}
    for name, colon, weight in parts:
        try:
            number, share = int(name), float(weight) if colon else 1 / len(parts)
        except ValueError:
            raise UserError(
                f"layers is {layers!r}; write numbers, as in 9,10,11, or with weights 11:0.3,12:0.7"
            ) from None
        if not -count - 1 <= number <= count or not math.isfinite(share):
            raise UserError(
                f"layers is {layers!r}; the model has layers 0 (the embeddings) to {count}, or -1 for the last"
            )
        if len({bool(other[1]) for other in parts}) > 1:
            raise UserError(f"layers is {layers!r}; give all of them a weight, or none")
        number %= count + 1
        weights[number] = weights.get(number, 0.0) + share
    return weights


class HiddenStates(keras.Model):
    """The weighted sum of outputs of a backbone's layers: a dict of features [B, L] to float32 [B, L, model_dim]."""

    def __init__(self, backbone: Backbone, weights: dict[int, float]) -> None:
        super().__init__()
        self.backbone, self.weights_of_layers = backbone, weights

    def call(self, inputs: dict[str, Any]) -> Any:
        """See the class."""
        last, before = self.backbone(
            inputs["pieces"],
            inputs["segments"],
            padding=inputs["padding"],
            memory_length=ALL,  # what a layer would remember is its input
            training=False,
        )
        layers = [*before, last]
        return sum(ops.cast(layers[number], "float32") * weight for number, weight in self.weights_of_layers.items())


class Embedder:
    """A model directory's backbone, of a pretrained or a fine-tuned model, as a maker of vectors."""

    def __init__(self, backbone: Backbone, tokenizer: Tokenizer, settings: EmbeddingSettings) -> None:
        self.tokenizer, self.settings = tokenizer, settings
        self.model_dim: int = backbone.config.model_dim
        self.model = HiddenStates(backbone, mix(settings.layers, count=backbone.config.layers))

    @classmethod
    def load(cls, directory: str, settings: EmbeddingSettings) -> "Embedder":
        """Reads a model directory. Raises UserError when a part is missing, or does not fit another."""
        backbone = Backbone(checkpoints.load_config(directory))
        checkpoints.load_weights(backbone, directory)
        return cls(backbone, load_tokenizer(directory), settings)

    def checked(self, row: Row) -> Row:
        """The row, or a dead one where its text has no piece to make a vector of."""
        name = self.settings.text_column
        text = row.record.get(name)
        if not isinstance(text, str):
            return row.dead(f"no key {name!r}" if text is None else f"key {name!r} holds no text")
        if not any(map(str.isalnum, text)) and not self.tokenizer.encode(text):
            return row.dead(f"{name} is empty, or nothing is left of it when it is normalised")
        return row

    def embed(self, texts: Sequence[str]) -> Vectors:
        """The vectors of the units of n texts. A text without pieces has none."""
        settings = self.settings
        if settings.unit == "text":
            ids, lengths = self.tokenizer.encode_lines(texts)
            starts = ends = np.zeros(len(ids), np.int32)
        else:
            ids, lengths, starts, ends = self._with_offsets(texts)
        text = np.repeat(np.arange(len(texts)), lengths)
        pieces, whole = self._vectors(ids, lengths)
        if settings.unit == "piece":
            return Vectors(text, starts, ends, pieces)
        begins = np.flatnonzero(self._begins(ids, text))
        vectors = whole[lengths > 0] if settings.pooling == "cls" else pooled(pieces, begins, settings.pooling)
        last = np.append(begins[1:], len(ids)) - 1 if len(begins) else begins
        return Vectors(text[begins], starts[begins], ends[last], vectors)

    def _with_offsets(self, texts: Sequence[str]) -> tuple[NDArray[Any], ...]:
        found = [self.tokenizer.encode_with_offsets(text) for text in texts]
        lengths = np.array([len(ids) for ids, _, _ in found], np.int64)
        none = np.zeros(0, np.int32)
        ids, starts, ends = (np.concatenate([none, *parts]).astype(np.int32) for parts in zip(*found, strict=True))
        return ids, lengths, starts, ends

    def _begins(self, ids: NDArray[np.int32], text: NDArray[np.int64]) -> NDArray[np.bool_]:
        """At which pieces a unit begins: a text, or a word. The mark of a word's beginning belongs to what follows."""
        is_first = np.diff(text, prepend=-1) > 0
        if self.settings.unit == "text":
            return is_first
        is_mark = np.array([self.tokenizer.piece(piece) == SPACE for piece in range(self.tokenizer.size)])[ids]
        begins = self.tokenizer.is_word_start[ids]
        begins[1:] &= ~is_mark[:-1]
        return begins | is_first

    def _vectors(self, ids: NDArray[np.int32], lengths: NDArray[np.integer]) -> tuple[NDArray[np.float32], ...]:
        """Vectors of all pieces [pieces, D], and at <cls> [texts, D], the mean over a text's windows."""
        settings = self.settings
        cut = windows(lengths, room=settings.room, stride=min(settings.stride, settings.room))
        sizes = cut.stops - cut.starts + SPECIAL
        length = bucket(int(sizes.max(initial=0)), longest=settings.sequence_length)
        inputs = laid_out(ids, lengths, cut, length=length)
        pieces = np.zeros((len(ids), self.model_dim), np.float32)
        whole = np.zeros((len(lengths), self.model_dim), np.float32)
        before = np.cumsum(lengths) - lengths
        share = 1 / np.bincount(cut.text, minlength=len(lengths))
        for batch in batches(sizes, batch_size=settings.batch_size, longest=settings.sequence_length):
            hidden = np.asarray(self.model.predict_on_batch(trimmed(inputs, batch)))
            for row, vectors in zip(batch.rows[: batch.wanted], hidden, strict=False):
                text, _, stop, first, last = (int(values[row]) for values in cut)
                whole[text] += vectors[-1] * share[text]
                end = batch.length - SPECIAL - stop  # the column of the text's first piece, less the window's start
                pieces[before[text] + first : before[text] + last] = vectors[first + end : last + end]
        return pieces, whole


def pooled(pieces: NDArray[np.float32], begins: NDArray[np.integer], pooling: str) -> NDArray[np.float32]:
    """Vectors of pieces [pieces, D] to vectors of groups [groups, D], which begin at these pieces and are not empty."""
    if not len(begins):
        return pieces[:0]
    ends = np.append(begins[1:], len(pieces))
    if pooling == "first":
        return pieces[begins]
    if pooling == "last":
        return pieces[ends - 1]
    if pooling == "max":
        return np.maximum.reduceat(pieces, begins, axis=0)
    return np.add.reduceat(pieces, begins, axis=0) / (ends - begins)[:, None].astype(np.float32)
