import hashlib
import json

import pytest

from xlnet.corpus.manifest import COUNTS, Manifest, Shard
from xlnet.corpus.settings import CorpusSettings
from xlnet.errors import UserError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "a").write_bytes(b"records")
    (tmp_path / "spiece.model").write_bytes(b"model")
    return tmp_path


@pytest.fixture
def manifest(folder):
    made = Manifest(
        settings=CorpusSettings(seed=3),
        vocabulary={"file": "spiece.model", "sha256": hashlib.sha256(b"model").hexdigest(), "size": 100},
        cleaning={},
        sources=[{"name": "text", "weight": 1.0, "patterns": ["a.txt"]}],
        inputs=[{"path": "a.txt", "bytes": 10, "crc32c": "00000000", "source": 0, "part": 0}],
        counts=dict.fromkeys(COUNTS, 0) | {"documents_out": 2, "dead_letters": 1, "pieces": 1000, "records": 4},
        dropped={"tail": 7},
        removed={"too short": {"documents": 2, "paragraphs": 0, "characters": 9, "pieces": 0}},
        by_source=[{"name": "text", "documents": 2, "characters": 9, "pieces": 1000, "unknown_pieces": 0}],
        dead_letter_reasons={"NUL byte": 1},
        document_lengths={"8": 1, "1024": 2, "512": 3},
        shards=[Shard("shards/a", 0, 0, 0, 4, 2, 1000, {"tail": 7}, 7, hashlib.sha256(b"records").hexdigest(), "ab")],
        libraries={"numpy": "2"},
    )
    (folder / "manifest.json").write_bytes(made.to_bytes())
    return made


def test_what_is_written_is_read(folder, manifest):
    read = Manifest.read(str(folder))
    assert read == manifest
    assert list(read.document_lengths) == ["8", "512", "1024"]
    content = json.loads((folder / "manifest.json").read_text())
    assert content["format"] == "xlnet-data/2"
    assert content["shards"][0]["pass"] == 0
    assert content["settings"]["seed"] == 3
    assert content["piece_counts"] == "piece-counts.npy"
    assert "directory" not in content


def test_other_settings_are_refused_with_both_values(folder, manifest):
    read = Manifest.read(str(folder))
    read.require(sequence_length=512, bidirectional=True)
    with pytest.raises(
        UserError, match=r"sequence_length 512, 256 is asked for \(.*manifest.json\).*--sequence-length"
    ):
        read.require(sequence_length=256)


def test_another_vocabulary_is_refused_with_both_checksums(folder, manifest):
    read = Manifest.read(str(folder))
    read.require_vocabulary(manifest.vocabulary["sha256"])
    with pytest.raises(UserError, match=f"{manifest.vocabulary['sha256'][:12]}, the model has ffff"):
        read.require_vocabulary("f" * 64)


@pytest.mark.parametrize("name", ["shards/a", "spiece.model"])
def test_changed_and_missing_files_are_named(folder, manifest, name):
    read = Manifest.read(str(folder))
    read.verify()
    (folder / name).write_bytes(b"recordz")
    with pytest.raises(UserError, match=f"{name} has the SHA-256"):
        read.verify()
    (folder / name).unlink()
    with pytest.raises(UserError, match=f"{name} does not exist"):
        read.verify()


def test_a_folder_without_manifest_is_called_what_it_is(tmp_path):
    with pytest.raises(UserError, match="there is no data set"):
        Manifest.read(str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="not a data set"):
        Manifest.read(str(tmp_path))
    (tmp_path / "shards").mkdir()
    with pytest.raises(UserError, match="half-written; preprocess again"):
        Manifest.read(str(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content | {"format": "xlnet-data/9"}, "format 'xlnet-data/9', this version reads"),
        (lambda content: [], "format None"),
        (lambda content: {k: v for k, v in content.items() if k != "shards"}, "damaged"),
        (lambda content: content | {"settings": {"no_such": 1}}, "damaged"),
        (lambda content: content | {"shards": [{"file": "a"}]}, "damaged"),
    ],
)
def test_a_damaged_manifest_is_refused(folder, manifest, change, message):
    path = folder / "manifest.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(UserError, match=message):
        Manifest.read(str(folder))


def test_the_summary_names_what_was_dropped(manifest):
    assert manifest.summary()["rejected documents"] == "1 (1 NUL byte)"
    assert manifest.summary()["removed documents"] == "2 too short"
    assert "removed paragraphs" not in manifest.summary()
    assert manifest.summary()["bytes"] == 7
