"""Images, built once for all tests of them, and the engine that they run in."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
CACHE = "XLNET_IMAGES_CACHE"  # the folder where the tests' engine keeps its layers from one run to the next


def module(path: Path):
    """A module that is in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture(scope="session")
def bills(tmp_path_factory):
    return tmp_path_factory.mktemp("bills")


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """The image that all others are built on, while an engine runs."""
    if CACHE not in os.environ:
        pytest.skip("images take many minutes to build: make test-images")
    engines = module(Path(__file__).with_name("engine.py"))
    cache = Path(os.environ[CACHE]).resolve()
    cache.mkdir(parents=True, exist_ok=True)
    with engines.engine(cache, tmp_path_factory.mktemp("engine")):
        yield engines.base(cache)


@pytest.fixture(scope="session")
def images(base, bills):
    """The names of the images by their first names, built."""
    names = ["xlnet-pipelines", "xlnet-trainer-cpu", "xlnet-trainer-gpu", "xlnet-trainer-tpu"]
    words = ["--registry", "registry.example/team", "--base", base, "--bills", str(bills)]
    built = subprocess.run(
        [sys.executable, "docker/build.py", *words, "--more=--network=host", *names],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return dict(zip(names, built.stdout.split(), strict=True))


@pytest.fixture(scope="session")
def beam_code(base):
    """The image of a Beam worker, without the boot program, which only Apache's own image has."""
    name = "registry.example/team/xlnet-beam-code"
    words = ["--file", "docker/beam.Dockerfile", "--target", "code", f"--build-arg=BASE_IMAGE={base}"]
    subprocess.run(["docker", "build", *words, "--network=host", "--tag", name, "."], cwd=ROOT, check=True)
    return name
