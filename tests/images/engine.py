"""A Docker engine of the tests' own, and a Python base for images where no registry can be reached."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = ["docker.io", "runc", "containerd", "debootstrap", "iptables"]
BASE = "xlnet-tests/python:3.11-slim"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
SUITE = "bookworm"  # its Python is 3.11
TRUSTING = f"""FROM xlnet-tests/debian
COPY ca-certificates.crt {CERTIFICATES}
ENV PIP_CERT={CERTIFICATES} SSL_CERT_FILE={CERTIFICATES}
"""


@contextlib.contextmanager
def engine(cache: Path, run: Path) -> Iterator[None]:
    """An engine that `docker` speaks to; skips with the reason where none can start.

    Images and layers stay in `cache`, its socket and processes in `run`.
    """
    if os.getuid() != 0:
        pytest.skip("a Docker engine can only be started by root")
    _install()
    socket = run / "docker.sock"
    words = ["dockerd", "--storage-driver", "overlay2", "--iptables=false", "--bridge=none", "--ip-forward=false"]
    words += ["--host", f"unix://{socket}", "--data-root", str(cache / "engine"), "--exec-root", str(run / "exec")]
    log = run / "dockerd.log"
    with (
        pytest.MonkeyPatch.context() as patch,
        log.open("wb") as file,
        subprocess.Popen([*words, "--pidfile", str(run / "pid")], stdout=file, stderr=file) as process,
    ):
        patch.setenv("DOCKER_HOST", f"unix://{socket}")
        patch.setenv("DOCKER_BUILDKIT", "1")
        patch.setenv("PATH", f"/usr/bin:{os.environ['PATH']}")  # the engine's own client
        try:
            if not _answers(process):
                pytest.skip(f"no Docker engine can start here: {log.read_text()[-300:]}")
            yield
        finally:
            process.terminate()


def base(cache: Path) -> str:
    """The name of an image like `python:3.11-slim`: pulled, or else made of Debian's packages once and kept."""
    if _docker("image", "inspect", BASE) is not None:
        return BASE
    if _docker("pull", "python:3.11-slim") is not None:
        return "python:3.11-slim"
    rootfs = cache / "rootfs"
    shutil.rmtree(rootfs, ignore_errors=True)
    packages = "python3,python3-venv,ca-certificates"
    _packaged(["debootstrap", "--variant=minbase", f"--include={packages}", SUITE, str(rootfs)])
    for name in ("python", "python3"):
        (rootfs / "usr/local/bin" / name).symlink_to("/usr/bin/python3")
    with subprocess.Popen(["tar", "-C", str(rootfs), "-c", "."], stdout=subprocess.PIPE) as tar:
        subprocess.run(["docker", "import", "-", "xlnet-tests/debian"], stdin=tar.stdout, check=True)
    shutil.copy(CERTIFICATES, cache)
    subprocess.run(["docker", "build", "--tag", BASE, "--file", "-", str(cache)], input=TRUSTING, text=True, check=True)
    shutil.rmtree(rootfs)
    return BASE


def _install() -> None:
    if shutil.which("dockerd") and shutil.which("debootstrap"):
        return
    if shutil.which("apt-get") is None:
        pytest.skip("neither dockerd nor apt-get is here")
    _packaged(["apt-get", "update", "-qq"])
    _packaged(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES])


def _packaged(words: list[str]) -> None:
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    if ended.returncode:
        pytest.skip(f"Debian's packages cannot be had: {' '.join(words[:2])}: {(ended.stdout + ended.stderr)[-300:]}")


def _answers(process: subprocess.Popen, seconds: float = 60) -> bool:
    late = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < late:
        if _docker("version") is not None:
            return True
        time.sleep(0.5)
    return False


def _docker(*words: str) -> str | None:
    ended = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    return None if ended.returncode else ended.stdout
