"""A causal objective reads the stream of a data set, whatever its windows; a permutation its targets."""

import dataclasses

import numpy as np
import pytest
from keras import ops

from xlnet.corpus.settings import CorpusSettings
from xlnet.corpus.streams import Stream, cut_windows
from xlnet.errors import UserError
from xlnet.model.backbone import Backbone
from xlnet.model.config import ModelConfig
from xlnet.model.heads import LanguageModelHead
from xlnet.training.objectives import fit
from xlnet.training.pretrainer import Pretrainer

CONFIG = ModelConfig(
    vocab_size=60,
    layers=2,
    model_dim=16,
    heads=2,
    head_dim=8,
    feedforward_dim=32,
    initializer_stddev=0.3,
    attention="uni",
)
READ = 24  # pieces of the text


@pytest.fixture(scope="module")
def stream() -> Stream:
    pieces = np.random.default_rng(0).integers(10, 60, 64).astype(np.int32)
    return Stream(pieces, np.arange(5, 64, 5))


def losses(stream: Stream, *, segment: int, memory_length: int, config: ModelConfig = CONFIG) -> np.ndarray:
    """Of the pieces 1 to READ of the stream and of its reverse, [2, READ], read by segments out of real windows."""
    corpus = CorpusSettings(sequence_length=segment + 6, reuse_length=segment, permutation_size=1, predictions=1)
    backbone = Backbone(config, bidirectional=True, seed=3)
    head = LanguageModelHead(backbone)
    model = Pretrainer(backbone, head, corpus=corpus, objective="causal", rows=2, memory_length=memory_length)
    count = READ // segment
    cut = {"sequence_length": segment + 6, "reuse_length": segment, "uniform": np.full((3, count), 0.5)}
    rows = np.stack([cut_windows(each, range(count), **cut).input for each in (stream, stream.backward)], axis=1)
    found = []
    for number, pieces in enumerate(rows):
        output = model({"pieces": pieces, "reset": np.full(2, number == 0)})
        np.testing.assert_array_equal(output["counts"], 1)
        found.append(ops.convert_to_numpy(output["losses"]))
    return np.concatenate(found, axis=1)


def test_segments_of_any_length_lose_the_same_piece_by_piece_where_memory_holds_all(stream):
    backbone = Backbone(CONFIG, bidirectional=True, seed=3)
    whole = np.stack([stream.pieces[: READ + 1], stream.backward.pieces[: READ + 1]])
    expected = LanguageModelHead(backbone).loss(backbone(whole[:, :-1])[0], whole[:, 1:])
    for segment in (4, 8, 24):
        found = losses(stream, segment=segment, memory_length=READ)
        np.testing.assert_allclose(found, ops.convert_to_numpy(expected), atol=1e-5)


def test_with_same_length_the_segments_do_not_matter_for_any_memory(stream):
    config = dataclasses.replace(CONFIG, same_length=True)
    found = [losses(stream, segment=segment, memory_length=5, config=config) for segment in (2, 3, 8)]
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)
    np.testing.assert_allclose(found[0], found[2], atol=1e-5)
    longer = losses(stream, segment=8, memory_length=12, config=config)
    np.testing.assert_allclose(longer[:, :5], found[0][:, :5], atol=1e-5)
    assert np.abs(longer[:, 8:] - found[0][:, 8:]).max() > 1e-3, "a longer memory is used"


def test_rows_that_only_fill_a_batch_up_do_not_count():
    corpus = CorpusSettings(sequence_length=16, reuse_length=8, permutation_size=8, predictions=2)
    backbone = Backbone(CONFIG, seed=0)
    model = Pretrainer(
        backbone, LanguageModelHead(backbone), corpus=corpus, objective="causal", rows=2, memory_length=0
    )
    pieces = np.full((2, 16), 20, np.int32)
    pieces[0, -1], pieces[1] = 3, 0
    counts = model({"pieces": pieces, "reset": np.ones(2, bool)})["counts"]
    assert ops.convert_to_numpy(counts).tolist() == [[1.0] * 8, [0.0] * 8]


def test_what_a_causal_model_has_no_use_for_is_not_trained():
    corpus = CorpusSettings(sequence_length=16, reuse_length=8, permutation_size=8, predictions=2)
    backbone = Backbone(CONFIG, seed=0)
    head = LanguageModelHead(backbone)
    every = len(backbone.trainable_weights)
    Pretrainer(backbone, head, corpus=corpus, objective="causal", rows=2, memory_length=4)
    assert every - len(backbone.trainable_weights) == 3
    assert not backbone.mask_embedding.trainable


def test_objectives_and_attention_that_contradict_are_refused():
    assert fit(ModelConfig(), objective="causal", memory_length=4).attention == "uni"
    assert fit(ModelConfig(), objective="permutation", memory_length=4).attention == "bi"
    with pytest.raises(UserError, match="attention is 'uni', which objective permutation cannot train"):
        fit(CONFIG, objective="permutation", memory_length=4)
    with pytest.raises(UserError, match="same_length is True with memory_length 0"):
        fit(dataclasses.replace(CONFIG, same_length=True), objective="causal", memory_length=0)
