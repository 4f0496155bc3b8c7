import importlib.util
import io
import itertools
import os
import socket
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlnet import buckets, objects, storage
from xlnet.errors import UserError
from xlnet.storage import File

MIB = 1 << 20
ROUGH = {"unavailable": 0.1, "throttled": 0.05, "dropped": 0.05, "lost": 0.1, "cut": 0.1, "slow": 0.05, "halved": 0.05}


def load(name):
    """A file beside this one, which is no test."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).resolve().parent / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


server, kept = load("storage_server"), load("storage_objects")


@pytest.fixture(scope="module")
def place():
    with server.serving(kept.Objects("b", page=3)) as service, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", service.address)
        patch.setenv("no_proxy", "127.0.0.1")
        yield service


@pytest.fixture
def service(place):
    """An empty bucket `b`, without faults."""
    place.objects.buckets["b"].clear()
    place.objects.written.clear()
    place.set([])
    return place


def content(service):
    return {name: stored.content for name, stored in service.objects.buckets["b"].items()}


@pytest.mark.parametrize("size", [0, 1, 100_000, 9 * MIB])  # the last one in parts
def test_an_object_is_read_as_it_was_written(service, size, tmp_path):
    written = os.urandom(size)
    storage.publish("gs://b/a/x", written)
    (tmp_path / "x").write_bytes(written)
    for measure in (storage.size, storage.sha256, storage.checksum, storage.read_bytes):
        assert measure("gs://b/a/x") == measure(str(tmp_path / "x"))
    with storage.local_copy("gs://b/a/x") as copy:
        assert Path(copy).read_bytes() == written
    assert content(service) == {"a/x": written}
    assert service.objects.written == ["a/x"]


def write_half(path):
    with storage.writing(path) as stream:
        stream.write(b"half")
        raise KeyError


def test_a_stream_becomes_an_object_when_its_block_ends_well(service):
    with storage.writing("gs://b/page") as stream:
        stream.write(b"one")
        assert content(service) == {}
    with pytest.raises(KeyError):
        write_half("gs://b/page")
    assert content(service) == {"page": b"one"}


def test_patterns_name_objects_over_many_pages(service):
    for name in ["b.txt", "a.txt", "deep/c.txt", "deep/", "d[1].txt", "x.gz", *(f"{n}.md" for n in range(7))]:
        storage.publish(f"gs://b/{name}", b"1234")
    named = [File(f"gs://b/{name}", 4) for name in ("a.txt", "b.txt", "d[1].txt", "deep/c.txt")]
    assert storage.match(["gs://b/**.txt"]) == named
    assert storage.match(["gs://b/*.txt", "gs://b/a.txt"]) == named[:3]
    assert storage.match(["gs://b/d[1].txt"]) == [named[2]]
    assert len(storage.match(["gs://b/?.md"])) == len(storage.match(["gs://b/[0-6].*"])) == 7


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("gs://b/*.md", r"no file matches 'gs://b/\*\.md'"),
        ("gs://b/a", r"'gs://b/a' is a folder, files are wanted; name them, for example 'gs://b/a/\*\.txt'"),
        ("gs://b/ab", r"no file matches 'gs://b/ab'"),
        ("gs://none/x", r"no file matches 'gs://none/x'|gs://none/x does not exist, or its bucket does not"),
        ("gs://none/*", r"gs://none/\* does not exist, or its bucket does not"),
    ],
)
def test_what_a_pattern_cannot_name_is_told(service, pattern, message):
    storage.publish("gs://b/a/x", b"x")
    with pytest.raises(UserError, match=message):
        storage.match([pattern])


def test_a_folder_lists_its_names_and_is_removed(service):
    for name in ("f/b", "f/a/deep", "f/c/1", "f/c/2", "f/.hidden", "far"):
        storage.publish(f"gs://b/{name}", b"")
    assert storage.list_folder("gs://b/f") == storage.list_folder("gs://b/f/") == ["a", "b", "c"]
    assert storage.list_folder("gs://b/missing") == []
    assert storage.exists("gs://b/f/c")
    assert not storage.exists("gs://b/fa")
    for _ in range(2):
        storage.remove("gs://b/f/b")
        storage.remove_folder("gs://b/f/c")
    assert sorted(content(service)) == ["f/.hidden", "f/a/deep", "far"]


def test_of_many_who_create_an_object_one_is_first_and_its_content_stays(service):
    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(lambda number: storage.create("gs://b/x", b"%d" % number), range(24)))
    assert content(service) == {"x": b"%d" % created.index(True)}
    assert sum(created) == len(service.objects.written) == 1


def test_an_object_is_replaced_at_its_version_only(service):
    assert storage.version("gs://b/x") is None
    assert storage.replace("gs://b/x", b"one", None)
    first = storage.version("gs://b/x")
    assert not storage.replace("gs://b/x", b"lost", None)
    assert storage.replace("gs://b/x", b"two", first)
    assert not storage.replace("gs://b/x", b"lost", first)
    assert content(service) == {"x": b"two"}
    storage.remove("gs://b/x")
    assert not storage.replace("gs://b/x", b"lost", first)
    assert content(service) == {}


def count(_=None):
    while True:
        version, number = storage.version("gs://b/x"), int(storage.read_bytes("gs://b/x"))
        if storage.replace("gs://b/x", b"%d" % (number + 1), version):
            return


def publish_model(content, meanwhile=lambda: None):
    with storage.publishing("gs://b/model", marker="config.json") as folder:
        for name in ("config.json", "weights", "a"):
            (folder / name).write_bytes(content)
        meanwhile()


def test_a_folder_is_published_with_its_marker_last_and_once(service):
    publish_model(b"mine")
    with pytest.raises(UserError, match="gs://b/model already holds something"):
        publish_model(b"theirs")
    assert service.objects.written == ["model/a", "model/weights", "model/config.json"]
    assert set(content(service).values()) == {b"mine"}


def test_of_two_who_publish_a_folder_at_once_the_second_is_told(service):
    with pytest.raises(UserError, match=r"another run has just written gs://b/model/config\.json"):
        publish_model(b"mine", meanwhile=lambda: publish_model(b"theirs"))
    assert content(service)["model/config.json"] == b"theirs"


def test_a_remote_folder_is_locked_by_nobody(service):
    with storage.locked("gs://b/f"), storage.locked("gs://b/f"):
        assert content(service) == {}


WHERE = st.tuples(st.integers(-20, 1200), st.sampled_from([0, 1, 2]), st.integers(-1, 700))


@settings(max_examples=25)
@given(size=st.integers(0, 1000), steps=st.lists(WHERE, max_size=6))
def test_an_object_is_read_from_anywhere_as_a_file_is(place, size, steps):
    place.set([])
    written = os.urandom(size)
    storage.publish("gs://b/x", written)
    expected = io.BytesIO(written)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objects, "BLOCK", 128)
        with storage.reading("gs://b/x") as stream:
            for offset, whence, length in steps:
                start = [0, expected.tell(), size][whence]
                if start + offset >= 0:
                    assert stream.seek(offset, whence) == start + offset
                    expected.seek(start + offset)
                assert stream.read(length) == expected.read(length)
                assert stream.tell() == expected.tell()


def test_lines_of_an_object_cost_one_request_for_each_block(service, monkeypatch):
    monkeypatch.setattr(objects, "BLOCK", 4096)
    storage.publish("gs://b/x", b"a line of text\n" * 1000)
    service.asked.clear()
    with storage.reading("gs://b/x") as stream:
        assert list(stream) == [b"a line of text\n"] * 1000
    assert service.asked == {"GET": 1 + 4}


@pytest.mark.parametrize("change", ["replaced", "removed"])
def test_an_object_that_changes_while_it_is_read_is_told(service, monkeypatch, change):
    monkeypatch.setattr(objects, "BLOCK", 100)
    storage.publish("gs://b/x", b"1" * 1000)
    with storage.reading("gs://b/x") as stream:
        assert stream.read(100) == b"1" * 100
        if change == "replaced":
            storage.publish("gs://b/x", b"2" * 1000)
        else:
            storage.remove("gs://b/x")
        service.set(["cut"])  # the refusal itself breaks off
        with pytest.raises(UserError, match="gs://b/x was replaced or removed while it was read; try again"):
            stream.read()


def test_damage_on_the_way_is_told(service):
    storage.publish("gs://b/x", b"1" * 1000)
    service.set(["damaged"] * 20)  # tells where there is content, so that a repeated request shifts nothing
    with pytest.raises(
        UserError, match=r"gs://b/x was damaged on its way \(its CRC-32C is \w{8}, what arrived has \w{8}\)"
    ):
        storage.read_bytes("gs://b/x")


def test_what_is_kept_packed_is_refused_but_for_gz(service):
    for name in ("x.txt", "x.txt.gz"):
        storage.publish(f"gs://b/{name}", b"packed")
        stored = service.objects.buckets["b"][name]
        service.objects.buckets["b"][name] = replace(stored, properties={"contentEncoding": "gzip"})
    assert storage.read_bytes("gs://b/x.txt.gz") == b"packed"
    with pytest.raises(UserError, match=r"x\.txt is kept packed"):
        storage.read_bytes("gs://b/x.txt")


def attempts(path):
    """Everything that can be done to a path, as functions."""
    return {
        "read": lambda: storage.read_bytes(path),
        "match": lambda: storage.match([path]),
        "glob": lambda: storage.match([path + "*"]),
        "exists": lambda: storage.exists(path),
        "version": lambda: storage.version(path),
        "list": lambda: storage.list_folder(path),
        "publish": lambda: storage.publish(path, b"x"),
        "create": lambda: storage.create(path, b"x"),
        "replace": lambda: storage.replace(path, b"x", "7"),
        "remove": lambda: storage.remove(path),
        "remove folder": lambda: storage.remove_folder(path),
    }


@pytest.mark.parametrize("action", attempts(""))
def test_a_bucket_that_may_not_be_used_is_told_at_once(service, monkeypatch, action):
    monkeypatch.setattr(service.objects, "forbidden", {"secret"})
    began = time.monotonic()
    with pytest.raises(UserError, match="may not be used with these credentials; ask for access") as caught:
        attempts("gs://secret/x")[action]()
    assert "\n" not in str(caught.value)
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("action", ["glob", "list", "publish", "create"])
def test_a_missing_bucket_is_told(service, action):
    with pytest.raises(UserError, match=r"^gs://none/x\*? does not exist, or its bucket does not$"):
        attempts("gs://none/x")[action]()


@pytest.mark.parametrize("action", attempts(""))
def test_a_service_that_is_not_there_is_given_up_in_time(service, monkeypatch, action):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
    monkeypatch.setenv("XLNET_STORAGE_TIMEOUT", "0.3")
    began = time.monotonic()
    expected = rf"gs://b/x\*? cannot be reached for 0\.3 s \(connection refused\); check the network, .* is {address}$"
    with pytest.raises(UserError, match=expected):
        attempts("gs://b/x")[action]()
    assert time.monotonic() - began < 1.5


def test_a_service_that_is_silent_is_given_up_in_time(service, monkeypatch):
    monkeypatch.setenv("XLNET_STORAGE_TIMEOUT", "0.4")
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{deaf.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(UserError, match=r"gs://b/x cannot be reached for 0\.4 s \(ReadTimeout\)"):
            storage.read_bytes("gs://b/x")
    assert 0.2 < time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("STORAGE_EMULATOR_HOST", "localhost:80", "STORAGE_EMULATOR_HOST is 'localhost:80', wanted is an address such"),
        ("XLNET_STORAGE_TIMEOUT", "soon", "XLNET_STORAGE_TIMEOUT is 'soon', wanted is a number of seconds above 0"),
        ("XLNET_STORAGE_TIMEOUT", "0", "XLNET_STORAGE_TIMEOUT is '0', wanted is a number"),
        ("XLNET_STORAGE_TIMEOUT", "inf", "XLNET_STORAGE_TIMEOUT is 'inf', wanted is a number"),
    ],
)
def test_a_wrong_setting_is_told(service, monkeypatch, name, value, message):
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=message):
        storage.read_bytes("gs://b/x")


def test_missing_credentials_are_told(service, monkeypatch, tmp_path):
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(UserError, match=r"^gs://b/x needs credentials; run gcloud auth application-default login$"):
        storage.read_bytes("gs://b/x")


def test_a_server_that_is_no_storage_service_is_told(service, monkeypatch):
    storage.publish("gs://b/x", b"x")
    monkeypatch.setattr(server, "_json", lambda content: (200, {"Content-Type": "text/html"}, b"<html>Hello"))
    with pytest.raises(UserError, match="the answer is none of Google Cloud Storage; check STORAGE_EMULATOR_HOST"):
        storage.read_bytes("gs://b/x")


@pytest.mark.parametrize("fault", ["unavailable", "throttled", "dropped", "lost", "cut", "halved", "forgotten", "slow"])
@pytest.mark.parametrize("size", [10, 5 * MIB // 4])
def test_whatever_befalls_a_request_the_object_is_written_once_and_read_whole(service, monkeypatch, fault, size):
    monkeypatch.setattr("google.cloud.storage.blob._MAX_MULTIPART_SIZE", MIB // 2)
    monkeypatch.setattr(objects, "PART", MIB // 2)
    written = os.urandom(size)
    for first in range(3):  # of a resumable upload: its beginning, or one of its parts
        storage.remove("gs://b/x")
        service.objects.written.clear()
        service.set([""] * first + [fault])
        assert storage.create("gs://b/x", written)
        assert service.objects.written == ["x"]
        assert content(service) == {"x": written}
        service.set([""] * first + [fault])
        assert storage.read_bytes("gs://b/x") == written
        storage.publish("gs://b/x", written[::-1])
        assert service.objects.written == ["x", "x"]


def test_one_s_own_success_is_known_though_others_wrote_over_it_since(service):
    def meet(service, met):
        """Somebody else writes between our request, whose answer is lost, and its repetition."""
        yield from ("", "lost")
        mine = service.objects.buckets["b"]["x"]
        marks = {objects.MARK: f"theirs {mine.properties['metadata'][objects.MARK]}"}
        service.objects.insert("b", "x", {}, content=b"theirs", properties={"metadata": marks})
        met.append(mine.content)
        yield ""

    storage.publish("gs://b/x", b"before")
    first, met = storage.version("gs://b/x"), []
    service.set(meet(service, met))
    assert storage.replace("gs://b/x", b"mine", first)
    assert met == [b"mine"]
    assert content(service) == {"x": b"theirs"}
    assert not storage.replace("gs://b/x", b"mine", first)


def test_an_object_names_the_uploads_before_it(service):
    marks = []
    for number in range(objects.TRAIL + 2):
        storage.replace("gs://b/x", b"%d" % number, storage.version("gs://b/x"))
        marks.append(objects.found("gs://b/x").metadata[objects.MARK].split())
    for before, after in itertools.pairwise(marks):
        assert after[1:] == before[: objects.TRAIL - 1]
        assert after[0] not in before


def test_others_who_write_the_same_are_not_taken_for_oneself(service):
    storage.publish("gs://b/x", b"same")
    service.set(["lost"])
    assert not storage.create("gs://b/x", b"same")
    assert service.objects.written == ["x"]


def test_an_interrupted_download_goes_on_where_it_was(service):
    storage.publish("gs://b/x", bytes(2 * MIB))
    service.sent = 0
    service.set(["", "cut", "cut"])
    assert storage.read_bytes("gs://b/x") == bytes(2 * MIB)
    assert 2 * MIB < service.sent < 2.1 * MIB


def test_a_stalled_answer_is_asked_for_again(service, monkeypatch):
    monkeypatch.setenv("XLNET_STORAGE_TIMEOUT", "1")
    storage.publish("gs://b/x", b"1" * 1000)
    service.set(["", "stalled", "stalled"])  # for a quarter of the time each
    began = time.monotonic()
    assert storage.read_bytes("gs://b/x") == b"1" * 1000
    assert time.monotonic() - began < service.silence


def test_faults_that_last_are_given_up_with_their_name(service, monkeypatch):
    monkeypatch.setenv("XLNET_STORAGE_TIMEOUT", "0.5")
    for faults, said in (({"unavailable": 1}, "503 "), ({"throttled": 1}, "429 "), ({"lost": 1}, "")):
        service.set(server.Faults(**faults).draws())
        with pytest.raises(UserError, match=rf"gs://b/x cannot be reached for 0\.5 s \({said}.*\); check the network"):
            storage.publish("gs://b/x", b"x")
    service.set([])
    assert service.objects.written == ["x"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_in_rough_weather_nothing_is_lost_and_nothing_doubled(service, seed):
    service.set(server.Faults(**ROUGH, seed=seed).draws())
    service.met.clear()
    expected = {f"f/{number}": os.urandom(number * 2000) for number in range(10)}
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: storage.publish(f"gs://b/{name}", expected[name]), expected))
        created = list(pool.map(lambda _: storage.create("gs://b/x", b"0"), range(4)))
        assert sum(created) == 1
        list(pool.map(count, range(5)))
        read = dict(zip(expected, pool.map(lambda name: storage.read_bytes(f"gs://b/{name}"), expected), strict=True))
    assert read == expected
    assert storage.read_bytes("gs://b/x") == b"5"
    assert Counter(service.objects.written) == {**dict.fromkeys(expected, 1), "x": 6}
    assert storage.match(["gs://b/f/*"]) == sorted(File(f"gs://b/{name}", len(expected[name])) for name in expected)
    storage.remove_folder("gs://b/f")
    assert content(service) == {"x": b"5"}
    assert set(service.met) == set(ROUGH)


@pytest.mark.slow
def test_beam_finds_the_service_as_it_expects_it(service):
    from apache_beam.io.gcp.gcsio import GcsIO

    beam = GcsIO(buckets.client(), {})
    written = os.urandom(9 * MIB)
    with beam.open("gs://b/f/x", "w") as stream:
        stream.write(written)
    assert storage.read_bytes("gs://b/f/x") == beam.open("gs://b/f/x").read() == written
    beam.copy("gs://b/f/x", "gs://b/f/y")
    beam.rename("gs://b/f/y", "gs://b/f/z")
    assert dict(beam.list_files("gs://b/f/")) == {"gs://b/f/x": 9 * MIB, "gs://b/f/z": 9 * MIB}
    assert [code for *_, code in beam.copy_batch([("gs://b/f/x", "gs://b/g/x"), ("gs://b/none", "gs://b/g/y")])] == [
        None,
        404,
    ]
    assert beam.checksum("gs://b/g/x") == service.objects.buckets["b"]["f/x"].crc32c
    assert beam.delete_batch([f"gs://b/f/{name}" for name in "xz"]) == [("gs://b/f/x", None), ("gs://b/f/z", None)]
    assert list(content(service)) == ["g/x"]
    assert not beam.exists("gs://b/f/x")


def test_a_client_is_the_process_and_the_service_s_own(service, monkeypatch):
    first = buckets.client()
    assert buckets.client() is first
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", service.address + "/")
    assert buckets.client() is not first
    child = threading.Event()
    if os.fork() == 0:
        os._exit(int(buckets.client() is not first and not child.is_set()))
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 1
