import contextlib
import errno
import hashlib
import os
import signal
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlnet import buckets, storage
from xlnet.errors import UserError
from xlnet.storage import File

READERS = [storage.read_bytes, storage.read_json, storage.sha256, storage.size, storage.checksum]
HOLD = """
import sys
from xlnet import storage
with storage.locked(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


class Interrupted(Exception):
    pass


def files(folder):
    """Every file below a folder, hidden ones too, with its content."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def interrupt_file(path, error):
    with storage.writing(path) as stream:
        stream.write(b"half")
        raise error


def interrupt_folder(path):
    with storage.publishing(path, marker="config.json") as aside:
        (aside / "config.json").write_bytes(b"{}")
        raise Interrupted


def test_the_folder_above_is_told_wherever_it_is(tmp_path, monkeypatch):
    (tmp_path / "run" / "model").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "run" / "model")
    monkeypatch.chdir(tmp_path / "run" / "model")
    for path in (f"{tmp_path}/run/model/", "../model", ".", str(tmp_path / "link")):
        assert storage.parent(path) == str(tmp_path / "run")
    assert storage.parent("/model") == "/"
    for path in ("gs://b/run/model", "gs://b/run/model/"):
        assert storage.parent(path) == "gs://b/run"


def test_a_file_appears_when_its_block_ends_and_not_before(tmp_path):
    path = tmp_path / "new" / "page.txt"
    with storage.writing(str(path)) as stream:
        stream.write(b"one ")
        stream.flush()
        assert not path.exists()
        stream.write(b"two")
    assert files(tmp_path) == {"new/page.txt": b"one two"}


@pytest.mark.parametrize(
    ("umask", "of_file", "of_folder"), [("022", 0o644, 0o755), ("077", 0o600, 0o700), ("002", 0o664, 0o775)]
)
def test_a_file_and_a_folder_have_the_rights_that_the_umask_leaves(tmp_path, umask, of_file, of_folder):
    program = f"""from xlnet import storage
storage.publish({str(tmp_path / "page.txt")!r}, b"page")
with storage.publishing({str(tmp_path / "folder")!r}, marker="page.txt") as folder:
    (folder / "page.txt").touch()
"""
    words = ["sh", "-c", f'umask {umask}; exec "$0" "$@"', sys.executable, "-c", program]
    subprocess.run(words, check=True)
    assert (tmp_path / "page.txt").stat().st_mode & 0o777 == of_file
    assert (tmp_path / "folder").stat().st_mode & 0o777 == of_folder


@pytest.mark.parametrize("before", [{}, {"page.txt": b"old"}])
@pytest.mark.parametrize("error", [Interrupted, KeyboardInterrupt])
def test_an_interrupted_file_leaves_what_was_there(tmp_path, before, error):
    for name, content in before.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error):
        interrupt_file(str(tmp_path / "page.txt"), error)
    assert files(tmp_path) == before


def test_an_older_file_is_replaced_whole(tmp_path):
    path = tmp_path / "page.txt"
    path.write_bytes(b"a long old content")
    storage.publish(str(path), b"new")
    assert files(tmp_path) == {"page.txt": b"new"}


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/page.txt").write_bytes(b"old")
    (tmp_path / "link.txt").symlink_to("kept/page.txt")
    storage.publish(str(tmp_path / "link.txt"), b"new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "kept/page.txt").read_bytes() == b"new"


def test_a_pipe_is_written_to_and_stays(tmp_path):
    path = str(tmp_path / "pipe")
    os.mkfifo(path)
    with ThreadPoolExecutor(1) as reader:
        found = reader.submit(Path(path).read_bytes)
        storage.publish(path, b"new")
        assert found.result(timeout=60) == b"new"
    assert stat.S_ISFIFO(os.stat(path).st_mode)
    storage.publish(os.devnull, b"nothing is to be seen of it")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_of_many_who_create_a_file_one_is_first_and_its_content_stays(tmp_path):
    path = str(tmp_path / "new" / "page")
    with ThreadPoolExecutor(8) as pool:
        contents = [str(number).encode() * 1000 for number in range(32)]
        created = list(pool.map(lambda content: storage.create(path, content), contents))
    assert sum(created) == 1
    assert files(tmp_path) == {"new/page": contents[created.index(True)]}
    assert os.stat(path).st_mode & 0o777 == 0o644


def test_a_file_is_created_where_the_disk_knows_no_links(tmp_path, monkeypatch):
    def link(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", link)
    assert storage.create(str(tmp_path / "page"), b"one")
    assert not storage.create(str(tmp_path / "page"), b"two")
    assert files(tmp_path) == {"page": b"one"}


def test_a_version_is_another_one_with_every_write(tmp_path):
    path = str(tmp_path / "page")
    versions = [storage.version(path)]
    for content in (b"one", b"one", b"two"):
        storage.publish(path, content)
        versions.append(storage.version(path))
    assert versions[0] is None
    assert len(set(versions)) == 4
    assert storage.version(path) == versions[-1]


def test_a_file_is_replaced_at_its_version_only(tmp_path):
    path = str(tmp_path / "page")
    assert storage.replace(path, b"one", None)
    first = storage.version(path)
    assert not storage.replace(path, b"lost", None)
    assert storage.replace(path, b"two", first)
    assert not storage.replace(path, b"lost", first)
    assert files(tmp_path) == {"page": b"two"}
    os.remove(path)
    assert not storage.replace(path, b"lost", first)
    assert files(tmp_path) == {}


def test_of_many_who_count_in_a_file_none_is_lost(tmp_path):
    path = str(tmp_path / "count")
    storage.create(path, b"0")

    def count(_):
        while True:
            version, number = storage.version(path), int(storage.read_bytes(path))
            if storage.replace(path, str(number + 1).encode(), version):
                return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(24)))
    assert files(tmp_path) == {"count": b"24"}


def test_a_locked_folder_refuses_others_until_the_block_ends(tmp_path):
    folder = tmp_path / "data"
    for _ in range(2):
        with storage.locked(str(folder)):
            storage.publish(str(folder / "page"), b"x")
            with (
                pytest.raises(UserError, match=rf"another run is writing to .*data \(process {os.getpid()} on "),
                storage.locked(str(folder)),
            ):
                pytest.fail("a held folder was given out")
        assert files(tmp_path) == {"data/page": b"x"}


def test_a_lock_that_was_never_used_leaves_no_folder_but_an_older_one_stays(tmp_path):
    for folder in (tmp_path / "new", tmp_path):
        with storage.locked(str(folder)):
            pass
    assert list(tmp_path.parent.glob(f"{tmp_path.name}/*")) == []
    assert tmp_path.is_dir()


def test_a_full_disk_does_not_keep_a_run_from_its_lock(tmp_path, monkeypatch):
    def full(handle, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with storage.locked(str(tmp_path)), pytest.raises(UserError), storage.locked(str(tmp_path)):
        pytest.fail("a held folder was given out")
    assert list(tmp_path.iterdir()) == []


def test_a_killed_run_lets_go_of_its_folder(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as run:
        assert run.stdout.readline() == b"held\n"
        with pytest.raises(UserError, match=f"process {run.pid}"), storage.locked(str(tmp_path)):
            pytest.fail("a held folder was given out")
        run.send_signal(signal.SIGKILL)
        run.wait()
        with storage.locked(str(tmp_path)):
            pass
    assert files(tmp_path) == {}


def test_a_folder_is_never_held_twice_though_its_lock_file_comes_and_goes(tmp_path):
    inside, most = [], []
    guard = threading.Lock()

    def hold(_):
        while True:
            with contextlib.suppress(UserError), storage.locked(str(tmp_path / "data")):
                with guard:
                    inside.append(1)
                    most.append(len(inside))
                os.sched_yield()
                with guard:
                    inside.pop()
                return

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hold, range(100)))
    assert most == [1] * 100


def test_json_with_the_same_content_has_the_same_bytes(tmp_path):
    for name, content in (("a", {"x": 1, "y": ["ü"]}), ("b", {"y": ["ü"], "x": 1})):
        storage.publish_json(str(tmp_path / name), content)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert storage.read_json(str(tmp_path / "a")) == {"x": 1, "y": ["ü"]}


def test_a_folder_appears_whole(tmp_path):
    target = tmp_path / "runs" / "model"
    with storage.publishing(str(target), marker="config.json") as aside:
        (aside / "deep").mkdir()
        (aside / "deep" / "weights").write_bytes(b"w")
        (aside / "config.json").write_bytes(b"{}")
        assert not target.exists()
    assert files(tmp_path) == {"runs/model/config.json": b"{}", "runs/model/deep/weights": b"w"}
    assert target.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("is_there", [False, True])
def test_an_interrupted_folder_leaves_nothing(tmp_path, is_there):
    target = tmp_path / "model"
    if is_there:
        target.mkdir()
    with pytest.raises(Interrupted):
        interrupt_folder(str(target))
    assert list(tmp_path.iterdir()) == ([target] if is_there else [])
    assert files(tmp_path) == {}


def test_a_folder_that_holds_something_is_not_written_over(tmp_path):
    (tmp_path / "mine").write_bytes(b"mine")
    with (
        pytest.raises(UserError, match="already holds something"),
        storage.publishing(str(tmp_path), marker="config.json"),
    ):
        pytest.fail("nothing must be computed for an output that is refused")
    assert files(tmp_path) == {"mine": b"mine"}


def test_only_what_is_missing_or_empty_is_free(tmp_path):
    storage.refuse_occupied(str(tmp_path))
    storage.refuse_occupied(str(tmp_path / "missing"))
    (tmp_path / ".hidden").touch()
    for path in (tmp_path, tmp_path / ".hidden"):
        with pytest.raises(UserError, match=r"already holds something; name a new folder, or remove this one"):
            storage.refuse_occupied(str(path))


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*file"):
        storage.publish(str(tmp_path / "file" / "page.txt"), b"")


def test_patterns_name_files_sorted_and_once(tmp_path):
    for name in ("b.txt", "a.txt", "c.gz", "deep/d.txt"):
        storage.publish(str(tmp_path / name), name.encode())
    names = [str(tmp_path / name) for name in ("*.txt", "b.txt", "?.txt", "**/d.txt")]
    assert storage.match(names) == [File(str(tmp_path / n), len(n)) for n in ("a.txt", "b.txt", "deep/d.txt")]


def test_a_file_that_is_named_in_two_ways_comes_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_bytes(b"x")
    (tmp_path / "link.txt").symlink_to("a.txt")
    names = ["a.txt", "link.txt", str(tmp_path / "a.txt")]
    assert storage.match(names) == storage.match(names[::-1]) == [File(str(tmp_path / "a.txt"), 1)]


def test_a_file_whose_name_looks_like_a_glob_is_found(tmp_path):
    (tmp_path / "a[1].txt").write_bytes(b"x")
    assert storage.match([str(tmp_path / "a[1].txt")]) == [File(str(tmp_path / "a[1].txt"), 1)]


def test_an_empty_file_among_others_is_kept(tmp_path):
    (tmp_path / "a").touch()
    (tmp_path / "b").write_bytes(b"x")
    assert [file.bytes for file in storage.match([str(tmp_path / "*")])] == [0, 1]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("*.md", r"no file matches '.*\*\.md'"),
        ("missing.txt", r"no file matches '.*missing\.txt'"),
        ("folder", r"'.*folder' is a folder, files are wanted; name them, for example '.*folder/\*\.txt'"),
        ("empty.*", r"every file that '.*empty\.\*' names is empty \(1 found\)"),
    ],
)
def test_what_a_pattern_cannot_name_is_told(tmp_path, pattern, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.txt").touch()
    with pytest.raises(UserError, match=message):
        storage.match([str(tmp_path / pattern)])


@pytest.mark.parametrize(("target", "why"), [("gone.txt", "no such file"), ("link.txt", "too many levels")])
@pytest.mark.parametrize("pattern", ["link.txt", "*.txt"])
def test_a_link_that_leads_nowhere_is_named(tmp_path, pattern, target, why):
    (tmp_path / "link.txt").symlink_to(tmp_path / target)
    with pytest.raises(UserError, match=rf"link\.txt cannot be read: {why}"):
        storage.match([str(tmp_path / pattern)])


def test_one_pattern_without_a_match_is_an_error_though_others_match(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"x")
    with pytest.raises(UserError, match=r"no file matches '.*b\.txt'"):
        storage.match([str(tmp_path / "a.txt"), str(tmp_path / "b.txt")])


@pytest.mark.parametrize("read", READERS)
def test_a_missing_file_is_named(tmp_path, read):
    with pytest.raises(UserError, match=r"gone\.txt does not exist"):
        read(str(tmp_path / "gone.txt"))


@pytest.mark.parametrize("read", READERS)
def test_a_folder_is_no_file(tmp_path, read):
    with pytest.raises(UserError, match=r"is a folder, (a file is|files are) wanted"):
        read(str(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_rights_is_named(tmp_path):
    (tmp_path / "locked").touch(mode=0)
    with pytest.raises(UserError, match="locked cannot be read: permission denied"):
        storage.read_bytes(str(tmp_path / "locked"))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe"])
def test_broken_json_is_named_in_one_line(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(UserError, match=r"x\.json is not JSON: ") as caught:
        storage.read_json(str(tmp_path / "x.json"))
    assert "\n" not in str(caught.value)


def test_a_folder_lists_its_names_without_hidden_ones(tmp_path):
    for name in ("b", "a/deep", ".b.part"):
        storage.publish(str(tmp_path / name), b"")
    assert storage.list_folder(str(tmp_path)) == storage.list_folder(f"{tmp_path}/") == ["a", "b"]
    assert storage.list_folder(str(tmp_path / "missing")) == []


def test_a_removed_folder_is_gone_and_may_be_missing(tmp_path):
    storage.publish(str(tmp_path / "a" / "b"), b"x")
    for _ in range(2):
        storage.remove_folder(str(tmp_path / "a"))
        assert not storage.exists(str(tmp_path / "a"))


@given(content=st.binary(max_size=100), repeats=st.sampled_from([1, 40_000]))
def test_size_and_checksum_are_of_the_bytes(tmp_path_factory, content, repeats):
    path = str(tmp_path_factory.getbasetemp() / "bytes")
    storage.publish(path, content * repeats)  # beyond the block that is read at once
    assert storage.read_bytes(path) == content * repeats
    assert storage.size(path) == len(content) * repeats
    assert storage.sha256(path) == hashlib.sha256(content * repeats).hexdigest()
    assert storage.checksum(path) == f"{google_crc32c.value(content * repeats):08x}"


def test_a_local_copy_of_a_local_file_is_the_file(tmp_path):
    with storage.local_copy(str(tmp_path / "a")) as path:
        assert path == str(tmp_path / "a")


@pytest.mark.parametrize("path", ["gs://", "gs://bucket", "gs://bucket/", "gs:///name"])
def test_half_a_remote_path_is_refused(path):
    with pytest.raises(UserError, match="write gs://bucket/name"):
        storage.match([path])


def test_what_the_service_refuses_is_one_line_for_remote_paths_only():
    class NotFound(Exception):
        pass

    with (
        pytest.raises(UserError, match=r"^gs://b/n does not exist, or its bucket does not$"),
        buckets.refusing("gs://b/n"),
    ):
        raise NotFound
    with pytest.raises(NotFound), buckets.refusing("n"):
        raise NotFound
    with pytest.raises(Interrupted), buckets.refusing("gs://b/n"):
        raise Interrupted
