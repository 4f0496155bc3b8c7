import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlnet.corpus import layouts, records, streams, tfrecords
from xlnet.corpus.examples import examples
from xlnet.corpus.orders import dense
from xlnet.corpus.settings import LAYOUTS, CorpusSettings
from xlnet.corpus.streams import Stream
from xlnet.errors import UserError
from xlnet.special_pieces import CLS, SEP

SMALL = CorpusSettings(sequence_length=36, reuse_length=18, permutation_size=9, predictions=7, reference_rows=4)


def stream_of(size, *, vocabulary=200, seed=0):
    generator = np.random.default_rng(seed)
    kind = np.uint16 if vocabulary <= 1 << 16 else np.int32
    pieces = generator.integers(9, vocabulary, size).astype(kind)
    return Stream(pieces, np.unique(generator.integers(1, max(2, size), size // 9)))


def write(path, stream, settings, *, vocabulary=200):
    """Write a stream -> what became of it, and its examples."""
    place = {"pass_index": 1, "shard": 2, "is_word_start": np.arange(vocabulary) % 3 > 0, "settings": settings}
    with open(path, "wb") as target:
        written = layouts.write(target, stream, vocabulary_size=vocabulary, **place)
    blocks = list(examples(stream, **place))
    return written, {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]} if blocks else {}


CASES = {
    "compact": (SMALL, 200),
    "reference": (replace(SMALL, layout="reference"), 200),
    "one direction": (replace(SMALL, bidirectional=False), 200),
    "reference, one direction": (replace(SMALL, layout="reference", bidirectional=False), 200),
    "a large vocabulary": (SMALL, 70_000),
    "unequal halves": (replace(SMALL, sequence_length=45), 200),
    "spans of pieces": (replace(SMALL, span_unit="piece"), 200),
    "many targets": (
        replace(SMALL, sequence_length=1200, reuse_length=600, permutation_size=600, predictions=600),
        200,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_written_is_read(tmp_path, case):
    settings, vocabulary = CASES[case]
    path = str(tmp_path / "a")
    written, made = write(path, stream_of(5000, vocabulary=vocabulary), settings, vocabulary=vocabulary)
    read = list(layouts.read(path, settings))
    assert len(read) == written.records == len(made["input"]) > 0
    is_ordered = made["is_masked"].astype(bool) | np.isin(made["input"], [SEP, CLS])
    expected = {
        "input": made["input"],
        "is_masked": made["is_masked"],
        "label": made["label"],
        "seg_id": streams.segment_ids(made["input"], reuse_length=settings.reuse_length),
        "order": dense(made["order"], is_ordered),
    }
    for name, values in expected.items():
        found = np.stack([record[name] for record in read])
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, values, err_msg=name)
    assert set(read[0]) == set(expected)


def test_the_reference_layout_holds_what_the_original_s_does(tmp_path):
    settings = CASES["reference"][0]
    path = str(tmp_path / "a")
    _, made = write(path, stream_of(2000), settings)
    for row, record in enumerate(map(records.decode, tfrecords.read(path))):
        assert list(record) == ["input", "is_masked", "label", "order", "seg_id", "target"]
        for name, values in record.items():
            np.testing.assert_array_equal(values, made[name][row])


def test_tensorflow_reads_the_compact_layout(tmp_path):
    import tensorflow as tf

    path = str(tmp_path / "a")
    _, made = write(path, stream_of(2000), SMALL)
    for row, record in enumerate(tf.data.TFRecordDataset(path).as_numpy_iterator()):
        feature = tf.train.Example.FromString(record).features.feature
        assert feature["input"].bytes_list.value[0] == made["input"][row].astype("<u2").tobytes()
        assert feature["is_masked"].bytes_list.value[0] == np.packbits(made["is_masked"][row]).tobytes()
        assert feature["order"].bytes_list.value[0] == made["order"][row].astype("u1").tobytes()
        assert feature["label"].int64_list.value == [int(made["label"][row, 0])]
    assert row + 1 == len(made["input"])


def bytes_a_new_piece(settings):
    """With 32,000 pieces that are as frequent as in text, about as 1/n."""
    chances = 1 / np.arange(1, 31_992)
    pieces = np.random.default_rng(0).choice(np.arange(9, 32_000), 20_000, p=chances / chances.sum())
    stream = Stream(pieces.astype(np.uint16), np.arange(20, 20_000, 20))
    target = io.BytesIO()
    place = {"pass_index": 0, "shard": 0, "is_word_start": np.ones(32_000, bool), "settings": settings}
    written = layouts.write(target, stream, vocabulary_size=32_000, **place)
    new = stream.pieces.size - sum(written.dropped.values())
    (features,) = examples(stream, **place)
    without = sum(map(len, records.encode({name: features[name] for name in features if name != "order"})))
    return len(target.getvalue()) / new, (without + 16 * written.records) / new


def test_compact_records_are_small():
    assert bytes_a_new_piece(CorpusSettings())[0] < 10


def test_records_of_the_reference_layout_are_hardly_larger_than_the_original_s():
    """The original takes 20.2 bytes a new piece of books, without orders; 22 with them is the aim."""
    with_order, without = bytes_a_new_piece(CorpusSettings(layout="reference"))
    assert 0 < with_order - without < 0.9


@given(
    size=st.integers(0, 700),
    layout=st.sampled_from(["compact", "reference"]),
    bidirectional=st.booleans(),
    rows=st.sampled_from([2, 4, 8]),
)
def test_every_piece_is_in_a_record_or_counted_as_dropped(size, layout, bidirectional, rows):
    settings = replace(SMALL, layout=layout, bidirectional=bidirectional, reference_rows=rows)
    target = io.BytesIO()
    stream = stream_of(size)
    place = {"pass_index": 0, "shard": 0, "vocabulary_size": 200, "is_word_start": np.ones(200, bool)}
    written = layouts.write(target, stream, settings=settings, **place)
    assert written == layouts.account(size, settings)
    new = written.records * settings.reuse_length // (2 if bidirectional else 1)
    assert new + sum(written.dropped.values()) == size
    assert all(written.dropped.values())
    assert set(written.dropped) <= ({"tail", "batch"} if written.records else {"short"})
    assert bool(target.getvalue()) == bool(written.records)


def test_each_layout_has_its_names():
    assert layouts.file_name(3, 1, SMALL, address="0a1b") == "shards/pass-1/00003-0a1b.tfrecord"
    name = "tfrecords/train-3-1.bsz-4.seqlen-36.reuse-18.bi.alpha-6.beta-1.fnp-7.tfrecords"
    assert layouts.file_name(3, 1, CASES["reference"][0], address="0a1b") == name


@pytest.mark.parametrize("layout", LAYOUTS)
def test_records_of_other_settings_are_named(tmp_path, layout):
    settings = replace(SMALL, layout=layout)
    path = str(tmp_path / "a")
    write(path, stream_of(2000), settings)
    for other in (replace(settings, sequence_length=54), replace(settings, predictions=5)):
        with pytest.raises(UserError, match=rf"{path}: record 0 is no training record"):
            list(layouts.read(path, other))


def test_a_record_without_a_feature_is_named(tmp_path):
    path = str(tmp_path / "a")
    with open(path, "wb") as target:
        tfrecords.write(target, records.encode({"input": np.zeros((1, 36), int)}))
    with pytest.raises(UserError, match="record 0 is no training record \\('is_masked' is missing\\)"):
        list(layouts.read(path, SMALL))
