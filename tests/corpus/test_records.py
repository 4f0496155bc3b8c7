import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from xlnet.corpus import records, tfrecords

LIMITS = [1, 1 << 7, 1 << 14, 1 << 16, 1 << 17, 1 << 21, 1 << 28]


@st.composite
def features(draw):
    rows = draw(st.integers(1, 70))
    names = draw(st.lists(st.sampled_from(["input", "target", "label", "order", "x"]), min_size=1, unique=True))
    kinds = {1 << 7: np.int8, 1 << 14: np.int16}
    found = {}
    for name in names:
        limit, length = draw(st.sampled_from(LIMITS)), draw(st.integers(0, 20))
        kind = kinds.get(limit, np.int64)
        found[name] = draw(hnp.arrays(kind, (rows, length), elements=st.integers(0, limit - 1)))
    return found


@given(features())
def test_what_is_encoded_is_decoded(arrays):
    encoded = records.encode(arrays)
    assert len(encoded) == len(next(iter(arrays.values())))
    for row, record in enumerate(encoded):
        decoded = records.decode(record)
        assert list(decoded) == sorted(arrays)
        for name, values in arrays.items():
            np.testing.assert_array_equal(decoded[name], values[row])


def test_tensorflow_reads_and_writes_the_same_bytes(tmp_path):
    import tensorflow as tf

    generator = np.random.default_rng(0)
    arrays = {
        "input": generator.integers(0, 32_000, (5, 300)),
        "order": generator.integers(0, 300, (5, 300)),
        "big": generator.integers(0, 1 << 28, (5, 300)),
        "label": np.array([[0], [1], [127], [128], [300]]),
    }
    path = tmp_path / "a.tfrecord"
    with path.open("wb") as stream:
        tfrecords.write(stream, records.encode(arrays))
    read = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    assert len(read) == 5
    spec = {name: tf.io.FixedLenFeature([values.shape[1]], tf.int64) for name, values in arrays.items()}
    for row, record in enumerate(read):
        parsed = tf.io.parse_single_example(record, spec)
        int64_lists = {n: tf.train.Int64List(value=values[row].tolist()) for n, values in arrays.items()}
        feature = {name: tf.train.Feature(int64_list=values) for name, values in int64_lists.items()}
        example = tf.train.Example(features=tf.train.Features(feature=feature))
        assert example.SerializeToString(deterministic=True) == record
        for name, values in arrays.items():
            np.testing.assert_array_equal(parsed[name].numpy(), values[row])


def test_numbers_that_protocol_buffers_write_otherwise_are_read_too():
    import tensorflow as tf

    values = [-1, 0, 1 << 40, (1 << 63) - 1, -(1 << 63)]
    feature = {"a": tf.train.Feature(int64_list=tf.train.Int64List(value=values))}
    record = tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
    assert records.decode(record)["a"].tolist() == values


@pytest.mark.parametrize("values", [[[-1]], [[1 << 28]]])
def test_numbers_out_of_range_are_refused(values):
    with pytest.raises(ValueError, match="can be encoded"):
        records.encode({"a": np.array(values)})


def test_names_are_in_sorted_order_whatever_the_mapping_s():
    a, b = np.array([[1]]), np.array([[2]])
    assert records.encode({"a": a, "b": b}) == records.encode({"b": b, "a": a})


def test_files_of_the_original_are_read(golden):
    import tensorflow as tf

    folder = golden("tfrecords/cased/corpus_info.json").parent / "tfrecords"
    path = next(folder.glob("train-0-0.*.tfrecords"))
    raw = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    assert list(tfrecords.read(str(path))) == raw
    spec = {name: tf.io.FixedLenFeature([64], tf.int64) for name in ("input", "target", "seg_id", "is_masked")}
    for record, features in zip(raw, map(records.decode, raw), strict=True):
        assert sorted(features) == ["input", "is_masked", "label", "seg_id", "target"]
        for name, values in tf.io.parse_single_example(record, spec).items():
            np.testing.assert_array_equal(features[name], values.numpy())


@pytest.mark.parametrize(
    "content", [b"\x0a\x05ab", b"\xff" * 12, b"\x0d1234", b"\x0a\x0c\x0a\x0a\x0a\x01a\x12\x05\x1a\x03\x0a\x01\x80"]
)
def test_something_else_is_refused(content):
    with pytest.raises(ValueError, match=r"field|number|wire"):
        records.decode(content)


def test_records_of_a_fixed_size_are_what_tensorflow_writes():
    import tensorflow as tf

    record, places = records.fixed({"b": 300, "label": 1, "a": 5})
    filled = bytearray(record)
    filled[places["a"] : places["a"] + 5] = b"abcde"
    filled[places["label"]] = 7
    feature = {
        "a": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"abcde"])),
        "b": tf.train.Feature(bytes_list=tf.train.BytesList(value=[bytes(300)])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[7])),
    }
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    assert example.SerializeToString(deterministic=True) == bytes(filled)
    decoded = records.decode(bytes(filled))
    assert {name: values.tolist() for name, values in decoded.items()} == {
        "a": list(b"abcde"),
        "b": [0] * 300,
        "label": [7],
    }
