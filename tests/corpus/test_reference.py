import json
import shutil

import numpy as np
import pytest

from xlnet.corpus import layouts, records, reference, tfrecords
from xlnet.corpus.streams import Stream, segment_ids
from xlnet.errors import UserError
from xlnet.special_pieces import SEP
from xlnet.text import Tokenizer

CASES = ["cased", "uncased_uni"]


@pytest.fixture
def original(golden, tmp_path):
    """A folder that the original wrote, and its vocabulary."""

    def copy(case):
        folder = tmp_path / case
        shutil.copytree(golden(f"tfrecords/{case}/corpus_info.json").parent, folder)
        shutil.copy(golden("spiece.model"), folder)
        return folder

    return copy


@pytest.mark.parametrize("case", CASES)
def test_a_folder_of_the_original_has_its_settings_and_files(original, case):
    folder = original(case)
    info = json.loads((folder / "corpus_info.json").read_text())
    manifest = reference.open_data(str(folder))
    assert isinstance(manifest, reference.Original)
    settings = manifest.settings
    found = reference.corpus_info(settings, vocabulary_size=32_000)
    del info["input_glob"]
    assert found == info
    assert settings.span_unit == "piece"
    passes = len(list(folder.glob("tfrecords/record_info-*.json")))
    assert [shard.pass_index for shard in manifest.shards] == list(range(passes))
    for shard in manifest.shards:
        path = folder / shard.file
        assert shard.bytes == path.stat().st_size
        assert shard.records == len(list(tfrecords.read(str(path))))
        for record in layouts.read(str(path), settings):
            assert record["input"].shape == (64,)
            assert record["is_masked"].sum() == settings.predictions
            assert "order" not in record
    assert manifest.vocabulary["size"] == 2000
    assert reference.open_folder(str(folder)).to_bytes() == manifest.to_bytes()


def test_the_folder_with_the_files_alone_will_do(original):
    folder = original("cased") / "tfrecords"
    shutil.copy(folder.parent / "spiece.model", folder)
    manifest = reference.open_data(str(folder))
    assert [shard.file.count("/") for shard in manifest.shards] == [0, 0]
    assert manifest.settings == reference.open_data(str(folder.parent)).settings


@pytest.mark.parametrize("case", CASES)
def test_names_and_json_are_the_original_s(original, case):
    folder = original(case)
    manifest = reference.open_data(str(folder))
    for shard in manifest.shards:
        name, content = reference.record_info(shard.shard, shard.pass_index, manifest.settings, records=shard.records)
        written = json.loads((folder / name).read_text())
        assert layouts.file_name(shard.shard, shard.pass_index, manifest.settings) == shard.file
        assert (folder / shard.file).exists()
        assert content["num_batch"] == written["num_batch"]
        ours, theirs = content["filenames"], written["filenames"]
        assert [path.rpartition("/")[2] for path in ours] == [path.rpartition("/")[2] for path in theirs]


def stream_as_the_original_s(golden, text_stream, tokenizer):
    """The files in the original's order for task 0 and pass 0; each ends without an empty line, so without <eod>."""
    texts = [golden(f"tfrecords/input/{name}.txt").read_text() for name in "abc"]
    np.random.seed(0)
    streams = [text_stream(tokenizer, texts[index]) for index in np.random.permutation(3)]
    pieces = [stream.pieces[:-1] for stream in streams]
    starts = np.cumsum([0, *(part.size for part in pieces)])
    begins = [np.r_[start, stream.boundaries + start] for start, stream in zip(starts[:3], streams, strict=True)]
    return Stream(np.concatenate(pieces), np.concatenate(begins)[1:])


@pytest.mark.parametrize("case", CASES)
def test_our_records_of_the_same_text_stand_as_the_original_s(original, golden, text_stream, tmp_path, case):
    """All that is not drawn is equal: how many records, and in each the first part, what follows it, the last two."""
    folder = original(case)
    manifest = reference.open_data(str(folder))
    settings = manifest.settings
    tokenizer = Tokenizer(golden("spiece.model"), lower=settings.lower)
    stream = stream_as_the_original_s(golden, text_stream, tokenizer)
    with open(tmp_path / "ours", "wb") as target:
        place = {"pass_index": 0, "shard": 0, "is_word_start": tokenizer.is_word_start, "vocabulary_size": 2000}
        written = layouts.write(target, stream, settings=settings, **place)
    assert written.records == manifest.shards[0].records
    ours = [records.decode(record) for record in tfrecords.read(str(tmp_path / "ours"))]
    theirs = [records.decode(record) for record in tfrecords.read(str(folder / manifest.shards[0].file))]
    for one, other in zip(ours, theirs, strict=True):
        assert sorted(one) == sorted([*other, "order"])
        for name, values in other.items():
            assert one[name].shape == values.shape
            if name in ("input", "target"):
                np.testing.assert_array_equal(one[name][:32], values[:32])
            if name in ("target", "seg_id"):
                np.testing.assert_array_equal(one[name][-2:], values[-2:])
        assert one["is_masked"].sum() == other["is_masked"].sum()


def test_the_original_s_records_have_the_targets_and_segments_that_ours_would(original):
    """From the original's input alone follow its seg_id and, but at the cuts, its target."""
    folder = original("cased")
    manifest = reference.open_data(str(folder))
    for record in map(records.decode, tfrecords.read(str(folder / manifest.shards[0].file))):
        np.testing.assert_array_equal(segment_ids(record["input"], reuse_length=32), record["seg_id"])
        first_of_a, first_of_b = 32, 1 + int(np.flatnonzero(record["input"] == SEP)[0])
        for start, stop in ((0, 32), (first_of_a, first_of_b - 1), (first_of_b, 62)):
            np.testing.assert_array_equal(record["input"][start + 1 : stop], record["target"][start : stop - 1])
        assert record["target"][first_of_b - 1] == record["input"][first_of_b]


def refused(folder, match):
    with pytest.raises(UserError, match=match):
        reference.open_data(str(folder))


def test_what_is_missing_or_mixed_is_said(original):
    folder = original("cased")
    info = folder / "tfrecords/record_info-train-0-0.bsz-8.seqlen-64.reuse-32.bi.alpha-6.beta-1.fnp-10.json"
    content = info.read_text()
    other = info.with_name(info.name.replace("bsz-8", "bsz-16"))
    other.write_text(content)
    refused(folder, r"holds train\.bsz-16\..*, train\.bsz-8\..*; name a folder with files of one kind")
    other.unlink()
    info.write_text("{}")
    refused(folder, "does not name one file and its num_batch")
    info.write_text(content.replace("train-0-0", "train-7-0"))
    refused(folder, r"train-7-0\..* does not exist")
    info.write_text(content)
    (folder / "spiece.model").unlink()
    refused(folder, r"spiece.model does not exist; copy the vocabulary")
    shutil.rmtree(folder / "tfrecords")
    refused(folder, "it is not a data set")


def test_data_made_without_num_predict_are_refused(original):
    folder = original("cased")
    for path in folder.glob("tfrecords/record_info-*"):
        path.rename(path.with_name(path.name.replace("fnp-10.", "")))
    refused(folder, "were made without num_predict")


def test_cores_are_read_where_the_original_says_them(original):
    folder = original("cased")
    info = json.loads((folder / "corpus_info.json").read_text())
    (folder / "corpus_info.json").write_text(json.dumps(info | {"num_core_per_host": 4}))
    assert reference.open_data(str(folder)).settings.reference_cores == 4
    (folder / "corpus_info.json").write_text(json.dumps(info | {"num_core_per_host": 3}))
    refused(folder, r"cannot be trained on: reference_rows")
    (folder / "corpus_info.json").unlink()
    assert reference.open_data(str(folder)).settings.reference_cores == 1
