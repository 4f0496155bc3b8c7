"""Splits of files on Google Cloud Storage are those of the same files here, over a network that fails."""

import gzip
import importlib.util
import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from xlnet import objects, storage
from xlnet.corpus import documents
from xlnet.corpus.documents import Split
from xlnet.errors import UserError

pytest.importorskip("google.cloud.storage")


def load(name: str):
    """A file of the folder above, which is no test."""
    path = Path(__file__).resolve().parent.parent / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


server, kept = load("storage_server"), load("storage_objects")

TEXTS = [f"Text {number}\n" + "é" * (1 + number % 7) + f"\nline {number}" for number in range(300)]


def as_parquet() -> bytes:
    stream = io.BytesIO()
    parquet.write_table(pyarrow.table({"text": TEXTS}), stream, row_group_size=50)
    return stream.getvalue()


CONTENTS = {
    "a.txt": "\n\n".join(TEXTS).encode(),
    "a.txt.gz": gzip.compress("\n\n".join(TEXTS).encode()),
    "a.jsonl": "\n".join(json.dumps({"text": text}) for text in TEXTS).encode(),
    "a.parquet": as_parquet(),
}


@pytest.fixture(scope="module")
def service():
    with server.serving(kept.Objects("b")) as service, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", service.address)
        patch.setenv("no_proxy", "127.0.0.1")
        yield service


@pytest.mark.parametrize("name", CONTENTS)
def test_over_a_network_that_fails(service, name, tmp_path, monkeypatch):
    monkeypatch.setattr(objects, "BLOCK", 1000)
    service.set([])
    (tmp_path / name).write_bytes(CONTENTS[name])
    storage.publish(f"gs://b/{name}", CONTENTS[name])
    size = len(CONTENTS[name])
    here, there = (
        documents.splits(storage.File(path, size), size=1500) for path in (str(tmp_path / name), f"gs://b/{name}")
    )
    assert [replace(split, path=f"gs://b/{name}") for split in here] == there
    assert len(there) > 2 or name.endswith(".gz")
    service.set(server.Faults(unavailable=0.1, dropped=0.1, cut=0.2, seed=1).draws())
    found = [(item.lines, item.line) for split in there for item in documents.read(split)]
    service.set([])
    assert found == [(item.lines, item.line) for split in here for item in documents.read(split)]
    assert len(found) == len(TEXTS)


def test_an_object_that_is_gone(service):
    service.set([])
    for name in ("none.txt", "none.parquet"):
        with pytest.raises(UserError, match=f"gs://b/{name} does not exist"):
            list(documents.read(Split(f"gs://b/{name}", 0, 1, 1)))
