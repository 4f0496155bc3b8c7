"""The job over Beam's portability: a job service, workers that are told of it by gRPC, as Flink and Spark run it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines import preprocess
from xlnet.corpus.manifest import Manifest
from xlnet.corpus.settings import CorpusSettings
from xlnet.errors import UserError

pytestmark = pytest.mark.slow

SMALL = CorpusSettings(sequence_length=64, reuse_length=32, permutation_size=32, predictions=10, shards=3)
SERVICE = ["--runner=PortableRunner", "--job_endpoint=embed"]  # Beam's own, in this process
ROOT = Path(preprocess.__file__).resolve().parent.parent


def run(inputs, output, vocabulary, *flags):
    preprocess.run(list(map(str, inputs)), str(output), vocabulary=vocabulary, settings=SMALL, options=flags)


def content(folder):
    """The shards of a data set by name, which is their address, and what else its readers need."""
    shards = folder / "shards"
    files = {path.relative_to(shards).as_posix(): path.read_bytes() for path in shards.rglob("*") if path.is_file()}
    manifest = Manifest.read(str(folder))
    return files, manifest.counts, manifest.shards


@pytest.fixture(scope="module")
def expected(text, vocabulary, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "set"
    run(text, folder, vocabulary)
    return content(folder)


@pytest.fixture(scope="module")
def pool():
    """The address of a process that starts workers when it is asked: a sidecar of a Flink task manager."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # A program started in the background ignores SIGINT, and so would what it starts: the pool takes it back.
    begin = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    begin += "from apache_beam.runners.worker import worker_pool_main as pool; import sys; pool.main(sys.argv[1:])"
    words = [sys.executable, "-c", begin, f"--service_port={port}"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # it starts what is called python
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(words, cwd=ROOT, env={**os.environ, "PATH": path}, **quiet) as process:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None
            time.sleep(0.1)
        yield f"localhost:{port}"
        process.send_signal(signal.SIGINT)  # on which it stops its workers


def test_workers_of_the_submitting_process_write_the_same_bytes(text, vocabulary, expected, tmp_path):
    run(text, tmp_path / "data", vocabulary, *SERVICE, "--environment_type=LOOPBACK")
    assert content(tmp_path / "data") == expected


def test_workers_of_another_process_write_the_same_bytes(text, vocabulary, expected, pool, tmp_path):
    flags = ["--environment_type=EXTERNAL", f"--environment_config={pool}"]
    run(text, tmp_path / "data", vocabulary, *SERVICE, *flags)
    assert content(tmp_path / "data") == expected


def test_an_error_of_a_worker_in_another_process_is_one_line(vocabulary, pool, tmp_path):
    (tmp_path / "a.txt").write_text("Too short.\n")
    flags = ["--environment_type=EXTERNAL", f"--environment_config={pool}"]
    with pytest.raises(UserError, match=r"^[^\n]*none fills a window of 64[^\n\[]*$"):
        run([tmp_path / "a.txt"], tmp_path / "data", vocabulary, *SERVICE, *flags)


def test_flink_writes_the_same_bytes(text, vocabulary, expected, tmp_path):
    jar = os.environ.get("XLNET_FLINK_JAR")
    if not jar:
        pytest.skip("XLNET_FLINK_JAR names no job-server jar (beam-runners-flink-*-job-server of Beam's version)")
    assert Path(jar).is_file(), f"XLNET_FLINK_JAR is {jar}, which is no file"
    if shutil.which("java") is None:
        pytest.skip("java is not installed")
    flags = ["--runner=FlinkRunner", f"--flink_job_server_jar={jar}", "--flink_master=[local]", "--parallelism=2"]
    run(text, tmp_path / "data", vocabulary, *flags, "--environment_type=LOOPBACK")
    assert content(tmp_path / "data") == expected
