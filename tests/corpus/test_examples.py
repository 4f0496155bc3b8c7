import json
from dataclasses import replace

import numpy as np
import pytest

from xlnet.corpus import examples
from xlnet.corpus.settings import CorpusSettings
from xlnet.corpus.streams import Stream, segment_ids, side_by_side
from xlnet.special_pieces import CLS, SEP

SMALL = CorpusSettings(sequence_length=32, reuse_length=16, permutation_size=8, predictions=7)
IS_START = np.arange(200) % 3 > 0


def make(settings, stream, **place):
    place = {"pass_index": 0, "shard": 0} | place
    blocks = list(examples.examples(stream, is_word_start=IS_START, settings=settings, **place))
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


@pytest.fixture
def stream():
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 20, 300)
    return Stream(generator.integers(9, 200, lengths.sum()).astype(np.int32), np.cumsum(lengths)[:-1])


@pytest.mark.parametrize("unit", ["word", "piece"])
@pytest.mark.parametrize("reuse", [16, 8])
def test_every_record_has_its_targets_in_both_halves(stream, unit, reuse):
    settings = replace(SMALL, span_unit=unit, reuse_length=reuse)
    made = make(settings, stream)
    is_functional = np.isin(made["input"], [SEP, CLS])
    np.testing.assert_array_equal(made["is_masked"][:, :reuse].sum(axis=1), 4)
    np.testing.assert_array_equal(made["is_masked"][:, reuse:].sum(axis=1), 3)
    lost = (made["is_masked"].astype(bool) & is_functional).sum()
    assert lost == 0 if unit == "word" else lost > 0


def test_rows_alternate_forward_and_backward(stream):
    made = make(SMALL, stream)
    count = stream.windows(32, 16)
    assert len(made["input"]) == 2 * count
    np.testing.assert_array_equal(made["input"][0::2, :16].ravel(), stream.pieces[: count * 16])
    np.testing.assert_array_equal(made["input"][1::2, :16].ravel(), stream.pieces[::-1][: count * 16])
    alone = make(replace(SMALL, bidirectional=False), stream)
    for name in ("input", "label"):  # spans of both directions are drawn together, and orders with them
        np.testing.assert_array_equal(alone[name], made[name][0::2])


def test_only_what_the_layout_needs_is_made(stream):
    compact = make(SMALL, stream)
    assert set(compact) == {"input", "is_masked", "order", "label"}
    both = make(replace(SMALL, layout="reference", reference_rows=2), stream)
    assert set(both) == {*compact, "target", "seg_id"}
    for name, values in compact.items():
        np.testing.assert_array_equal(values, both[name])


@pytest.mark.parametrize("pieces", [np.uint16, np.int32])
@pytest.mark.parametrize(("vocabulary", "kind"), [(200, np.uint16), (1 << 16, np.uint16), ((1 << 16) + 1, np.uint32)])
def test_pieces_have_16_bits_where_the_vocabulary_allows(stream, pieces, vocabulary, kind):
    is_start = np.ones(vocabulary, bool)
    place = {"settings": SMALL, "pass_index": 0, "shard": 0}
    given = Stream(stream.pieces.astype(pieces), stream.boundaries)
    for block in examples.examples(given, is_word_start=is_start, **place):
        assert block["input"].dtype == kind


@pytest.mark.parametrize("unit", ["word", "piece"])
def test_ranks_are_those_of_targets_and_functional_pieces(stream, unit):
    settings = replace(SMALL, span_unit=unit)
    made = make(settings, stream)
    is_ordered = made["is_masked"].astype(bool) | np.isin(made["input"], [SEP, CLS])
    assert made["order"].shape[1] == 7 + 3
    for row, ranks in zip(is_ordered, made["order"], strict=True):
        first, both = row[:16].sum(), row.sum()
        assert sorted(ranks[:first]) == list(range(first))
        assert sorted(ranks[first:both]) == list(range(both - first))
        assert not ranks[both:].any()


@pytest.mark.parametrize("bidirectional", [True, False])
def test_rows_of_the_reference_layout_go_on_from_batch_to_batch(stream, bidirectional):
    settings = replace(SMALL, layout="reference", reference_rows=8, reference_cores=2, bidirectional=bidirectional)
    made = make(settings, stream)
    rows = side_by_side(stream, settings)
    steps = rows[0].windows(32, 16)
    assert len(made["input"]) == 8 * steps
    for number, row in enumerate(rows):
        np.testing.assert_array_equal(made["input"][number::8, :16].ravel(), row.pieces[: steps * 16])


def test_blocks_do_not_show(stream, monkeypatch):
    whole = make(SMALL, stream)
    monkeypatch.setattr(examples, "BLOCK", 100)
    parts = make(SMALL, stream)
    np.testing.assert_array_equal(whole["input"][:, :16], parts["input"][:, :16])
    assert whole["input"].shape == parts["input"].shape


def test_draws_depend_on_seed_pass_and_shard_and_on_nothing_else(stream):
    first = make(SMALL, stream)
    again = make(SMALL, Stream(stream.pieces.copy(), stream.boundaries.copy()))
    for name, values in first.items():
        np.testing.assert_array_equal(values, again[name])
    others = [
        make(replace(SMALL, seed=1), stream),
        make(SMALL, stream, pass_index=1),
        make(SMALL, stream, shard=1),
    ]
    for other in others:
        for name in ("order", "is_masked", "input"):
            assert (first[name] != other[name]).any(), name


def test_equal_windows_have_their_own_draws():
    """A stream that repeats itself: windows differ in their orders and spans all the same."""
    made = make(SMALL, Stream(np.tile(np.arange(9, 25, dtype=np.int32), 60), np.arange(8, 960, 8)))
    assert len(np.unique(made["order"], axis=0)) > 0.9 * len(made["order"])  # of a few thousand
    assert len(np.unique(made["is_masked"][0::2, :16], axis=0)) > 40


@pytest.mark.parametrize("case", ["fnp10", "fnp21_len128"])
@pytest.mark.parametrize("direction", ["fwd", "bwd"])
def test_a_whole_run_has_the_reference_s_statistics(golden, text_stream, case, direction):
    """Figures of large recorded runs over two books, here over some pages of the same books, many times.

    Noise of the recorded shares: at most 0.003. The pages are a sample of the books; over the whole books every figure
    was within its noise. The lengths of A and the labels depend on the sentences' lengths: there the pages differ more.
    """
    from xlnet.text import Tokenizer

    recorded = json.loads(golden("pretrain_stats.json").read_text())[case]
    config, expected = recorded["config"], recorded[direction]
    tokenizer = Tokenizer(golden("spiece.model"))
    texts = [golden(f"tfrecords/input/{name}.txt").read_text().strip() for name in "abc"]
    stream = text_stream(tokenizer, "\n\n".join(texts))
    half = config["reuse_len"]
    settings = CorpusSettings(
        sequence_length=config["seq_len"],
        reuse_length=half,
        permutation_size=half,
        predictions=config["num_predict"],
        span_unit="piece",
    )
    is_start, row = tokenizer.is_word_start, ["fwd", "bwd"].index(direction)
    blocks = [
        block
        for number in range(20)
        for block in examples.examples(stream, is_word_start=is_start, settings=settings, pass_index=number, shard=0)
    ]
    made = {name: np.concatenate([block[name][row::2] for block in blocks]) for name in blocks[0]}
    runs = starts = 0
    for name, part in (("first", slice(None, half)), ("second", slice(half, None))):
        step = 1 if direction == "fwd" else -1
        mask, pieces = made["is_masked"][:, part][:, ::step], made["input"][:, part][:, ::step]
        assert set(mask.sum(axis=1)) == {expected[f"masked_per_sequence_{name}_half"]}
        edges = np.diff(np.pad(mask.astype(int), ((0, 0), (1, 1))), axis=1)
        begins, ends = np.argwhere(edges > 0), np.argwhere(edges < 0)
        lengths = np.bincount(ends[:, 1] - begins[:, 1], minlength=9)
        for length, share in expected[f"run_length_distribution_{name}_half"].items():
            assert abs(lengths[int(length)] / len(begins) - share) < 0.012, (name, length)
        runs += len(begins)
        starts += is_start[pieces[begins[:, 0], begins[:, 1]]].sum()
    rows = len(made["input"])
    assert abs(runs / rows - expected["runs_per_sequence"]) < 0.07
    assert abs(starts / runs - expected["fraction_of_runs_starting_with_start_piece"]) < 0.01
    lost = (made["is_masked"].astype(bool) & np.isin(made["input"], [SEP, CLS])).sum() / rows
    assert abs(lost - expected["masked_sep_or_cls_per_sequence"]) < 0.03
    a_lengths = (segment_ids(made["input"], reuse_length=half) == 0).sum(axis=1) - half - 1
    assert abs(made["label"].mean() - expected["fraction_label_1"]) < 0.04
    assert abs(a_lengths.mean() - expected["a_len_mean"]) < 0.1 * expected["a_len_mean"]
