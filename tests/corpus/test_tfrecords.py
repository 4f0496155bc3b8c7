import io
import struct

import google_crc32c
import numpy as np
import pytest

from xlnet.corpus import records, tfrecords
from xlnet.errors import UserError


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "00000-of-00001.tfrecord"
    with path.open("wb") as stream:
        tfrecords.write(stream, records.encode({"a": np.arange(60).reshape(3, 20)}))
    assert len(list(tfrecords.read(str(path)))) == 3
    return path


def test_a_cut_file_is_refused_at_every_length(written):
    content = written.read_bytes()
    each = len(content) // 3
    for size in range(1, len(content)):
        written.write_bytes(content[:size])
        if size % each == 0:
            assert len(list(tfrecords.read(str(written)))) == size // each
            continue
        with pytest.raises(UserError, match=rf"00000-of-00001.tfrecord: record {size // each} is cut short"):
            list(tfrecords.read(str(written)))


def test_a_changed_byte_is_found_wherever_it_is(written):
    content = written.read_bytes()
    each = len(content) // 3
    for place in range(0, len(content), 7):
        changed = bytearray(content)
        changed[place] ^= 0x40
        written.write_bytes(changed)
        with pytest.raises(UserError, match=rf"record {place // each} is (damaged|cut short)"):
            list(tfrecords.read(str(written)))


def test_checksums_are_masked_crc32c():
    stream = io.BytesIO()
    tfrecords.write(stream, [b"abc"])
    length = struct.pack("<Q", 3)

    def masked(content):
        crc = google_crc32c.value(content)
        return struct.pack("<I", (((crc >> 15) | (crc << 17 & 0xFFFFFFFF)) + 0xA282EAD8) % (1 << 32))

    assert stream.getvalue() == length + masked(length) + b"abc" + masked(b"abc")


def test_records_alike_are_written_as_any_others():
    generator = np.random.default_rng(0)
    first, last = generator.integers(0, 256, (2, 50, 3), dtype=np.uint8)
    one, other = io.BytesIO(), io.BytesIO()
    tfrecords.write_alike(one, b"___abc___", {0: first, 6: last})
    tfrecords.write(other, [a.tobytes() + b"abc" + b.tobytes() for a, b in zip(first, last, strict=True)])
    assert one.getvalue() == other.getvalue()
