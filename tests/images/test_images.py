"""The images, built and run for real: `make test-images`. What holds of them without an engine is in test_docker.py."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
NOBODY = "4321:8765"  # a user and a group that no file of an image knows
CONFINED = ["--network", "none", "--read-only", "--tmpfs", "/tmp:exec", "--cap-drop", "ALL"]
CONFINED += ["--security-opt", "no-new-privileges"]
DEVICES = ("gpu", "tpu")  # with JAX, for hardware that the tests do without
CORPUS = ["--sequence-length", "32", "--reuse-length", "16", "--permutation-size", "16", "--predictions", "6"]
CORPUS += ["--shards", "4"]
MODEL = ["--layers", "1", "--model-dim", "16", "--heads", "2", "--head-dim", "8", "--feedforward-dim", "32"]
TRAINING = ["--batch-size", "4", "--steps", "4", "--memory-length", "8", "--warmup-steps", "2", "--log-interval", "2"]

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path):
    """A folder that any user may write to."""
    tmp_path.chmod(0o777)
    return tmp_path


def contained(image, *words, shared=None, more=()):
    """What a confined container of an image says."""
    volumes = [f"--volume={shared}:{shared}"] if shared else []
    asked = ["docker", "run", "--rm", *CONFINED, "--user", NOBODY, *volumes, *more, image, *words]
    ended = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, (ended.stdout + ended.stderr)[-3000:]
    return ended.stdout


def in_shell(image, script):
    return contained(image, "-c", script, more=["--entrypoint", "sh"])


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_image_is_named_by_version_and_content(images):
    (version,) = {name.partition(":")[2].rpartition("-")[0] for name in images.values()}
    assert version == "0.1.0"
    assert all(name.startswith(f"registry.example/team/{first}:") for first, name in images.items())


def test_every_image_tells_its_verbs_to_any_user(images):
    for image in images.values():
        assert "pretrain" in contained(image, "--help")


def test_no_image_runs_as_root_or_holds_what_builds(images):
    for image in images.values():
        asked = ["docker", "run", "--rm", *CONFINED, "--entrypoint", "id", image, "-u"]
        assert subprocess.run(asked, capture_output=True, text=True, check=True).stdout == "10001\n"
        script = "for tool in gcc cc make git curl wget /opt/xlnet/bin/pip; do command -v $tool; done; ls /opt"
        assert in_shell(image, script) == "xlnet\n"
        assert in_shell(image, "python -c 'import pip' 2>&1 || true").endswith("No module named 'pip'\n")
        assert in_shell(image, "find /opt /xlnet -perm -o=w ! -type l") == ""


def test_the_bill_of_an_image_lists_the_lock(images, bills):
    for first in images:
        locks = ["run", *(device for device in DEVICES if first.endswith(device))]
        locked = {
            tuple(line.split("==")) for lock in locks for line in (ROOT / f"locks/{lock}.txt").read_text().split()
        }
        bill = json.loads((bills / f"{first}.cdx.json").read_text())
        listed = {(e["name"], e["version"]) for e in bill["components"] if e.get("purl", "").startswith("pkg:pypi/")}
        ours = {entry for entry in listed if entry[0] == "xlnet-pipelines"}
        assert len(ours) == 1
        assert listed - ours <= locked
        assert first != "xlnet-pipelines" or listed - ours == locked
        assert any(entry.get("purl", "").startswith("pkg:deb/debian/libc6@") for entry in bill["components"])


def test_a_container_makes_the_bytes_that_this_environment_makes(images, beam_code, folder, text):
    """A vocabulary and a data set; then the trainers' images train on it."""
    for path in text:
        (folder / path.name).write_bytes(path.read_bytes())
    corpus = [str(folder / path.name) for path in text]
    for place in ("here", "there", "worker"):
        (folder / place).mkdir()
        (folder / place).chmod(0o777)

    def stages(place):
        vocabulary, data = str(folder / place / "spiece.model"), str(folder / place / "data")
        yield ["train-vocab", *corpus, "--output", vocabulary, "--size", "400"]
        yield ["preprocess", *corpus, "--vocabulary", vocabulary, "--output", data, *CORPUS]

    for words in stages("here"):
        subprocess.run([sys.executable, "-m", "xlnet.cli", *words], cwd=ROOT, check=True, capture_output=True)
    for words in stages("there"):
        contained(images["xlnet-pipelines"], *words, shared=folder)
    assert "data/manifest.json" in files(folder / "here")
    for words in stages("worker"):  # without TensorFlow
        contained(beam_code, *words, shared=folder)
    assert files(folder / "there") == files(folder / "here")
    assert files(folder / "worker") == files(folder / "here")

    for device in ("cpu", *DEVICES):
        words = ["pretrain", "--data", str(folder / "there/data"), "--output", str(folder / "there" / device)]
        contained(images[f"xlnet-trainer-{device}"], *words, "--devices", "cpu", *MODEL, *TRAINING, shared=folder)
        summary = json.loads((folder / "there" / device / "summary.json").read_text())
        assert summary["steps"] == 4
    asked = ["docker", "run", "--rm", *CONFINED, "--user", NOBODY, f"--volume={folder}:{folder}"]
    words = ["--data", str(folder / "there/data"), "--output", str(folder / "there/none"), "--devices", "gpu"]
    refused = [*asked, images["xlnet-trainer-gpu"], "pretrain", *words, *MODEL, *TRAINING]
    ended = subprocess.run(refused, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr
    assert "none is found on this machine" in ended.stderr


def test_every_step_of_the_pipeline_can_be_loaded(images):
    """As the pod does it: KFP's executor, the components, the pipelines."""
    code = "import kfp.dsl.executor_main, components.step, pipelines.retraining, pipelines.preprocess, pipelines.local"
    contained(images["xlnet-pipelines"], "-c", code, more=["--entrypoint", "python3"])
    contained(
        images["xlnet-trainer-cpu"],
        "-c",
        "import kfp.dsl.executor_main, components.step, xlnet.training.loop",
        more=["--entrypoint", "python3"],
    )
