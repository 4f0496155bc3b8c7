"""Builds the project's images, and names each by version and content: REGISTRY/xlnet-beam:0.1.0-5f3a90c1d2e4.

    python docker/build.py --registry REGISTRY [--push] [xlnet-pipelines xlnet-trainer-gpu ...]

The content is all that an image is made of: its Dockerfile, what that may copy, and its bases by digest. A name that
was pushed therefore never stands for two things. Beside each image comes its bill of materials.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BASE = "python:3.11-slim"


@dataclass(frozen=True)
class Image:
    """One image: the Dockerfile, its target, and the bases that its build takes."""

    dockerfile: str
    target: str
    bases: tuple[str, ...] = ("BASE_IMAGE",)


IMAGES = {
    "xlnet-pipelines": Image("docker/xlnet.Dockerfile", "pipeline"),
    "xlnet-trainer-cpu": Image("docker/xlnet.Dockerfile", "trainer-cpu"),
    "xlnet-trainer-gpu": Image("docker/xlnet.Dockerfile", "trainer-gpu"),
    "xlnet-trainer-tpu": Image("docker/xlnet.Dockerfile", "trainer-tpu"),
    "xlnet-beam": Image("docker/beam.Dockerfile", "dataflow", ("BASE_IMAGE", "BEAM_IMAGE")),
}


def copied(dockerfile: str) -> list[Path]:
    """The files that a Dockerfile may copy, as its .dockerignore has them, sorted."""
    found: set[Path] = set()
    for place in map(ROOT.joinpath, _places(dockerfile)):
        found.update([place] if place.is_file() else place.rglob("*"))
    return sorted(path for path in found if path.is_file() and "__pycache__" not in path.parts)


def content(image: Image, bases: Mapping[str, str]) -> str:
    """Twelve hexadecimal digits that tell what an image is made of."""
    digest = hashlib.sha256(json.dumps([image.target, dict(bases)], sort_keys=True).encode())
    for path in [ROOT / image.dockerfile, *copied(image.dockerfile)]:
        data = path.read_bytes()
        digest.update(f"\0{path.relative_to(ROOT).as_posix()}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()[:12]


def version() -> str:
    """The version of this package."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def main(arguments: list[str] | None = None) -> int:
    """Build, tag, and write the bills; what was built goes to the standard output, one name a line."""
    asked = _arguments(arguments)
    given = {"BASE_IMAGE": asked.base, "BEAM_IMAGE": asked.beam_base or _beam_base()}
    asked.bills.mkdir(parents=True, exist_ok=True)
    for name in asked.images or IMAGES:
        image = IMAGES[name]
        bases = {base: _pinned(given[base]) for base in image.bases}
        short = f"{asked.registry.rstrip('/')}/{name}".lstrip("/") + f":{version()}"
        full = f"{short}-{content(image, {base: _identity(pinned) for base, pinned in bases.items()})}"
        words = ["build", "--file", image.dockerfile, "--target", image.target, "--tag", full, "--tag", short]
        words += [f"--build-arg={base}={pinned}" for base, pinned in bases.items()]
        words += [f"--build-arg=COMMIT={_commit(image.dockerfile)}", *asked.more, "."]
        subprocess.run(["docker", *words], cwd=ROOT, stdout=sys.stderr, check=True)
        (asked.bills / f"{name}.cdx.json").write_bytes(_bill(full))
        if asked.push:
            subprocess.run(["docker", "push", full], stdout=sys.stderr, check=True)
        print(full, flush=True)
    return 0


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Build the project's images.")
    parser.add_argument("images", nargs="*", metavar="IMAGE", help=f"of {', '.join(IMAGES)} (default: all)")
    parser.add_argument("--registry", default="", help="what stands before an image's name")
    parser.add_argument("--base", default=BASE, help="Python's image, by digest or by tag (default: %(default)s)")
    parser.add_argument("--beam-base", default="", help="Beam's image (default: as docker/beam.Dockerfile has it)")
    parser.add_argument("--bills", type=Path, default=ROOT / "build/images", help="folder of the bills of materials")
    parser.add_argument("--push", action="store_true")
    parser.add_argument("--more", action="append", default=[], metavar="FLAG", help="a further flag of docker build")
    asked = parser.parse_args(arguments)
    unknown = [name for name in asked.images if name not in IMAGES]
    if unknown:
        parser.error(f"there is no image {unknown[0]}; there are {', '.join(IMAGES)}")
    return asked


def _beam_base() -> str:
    lines = (ROOT / "docker/beam.Dockerfile").read_text().splitlines()
    return next(line.partition("BEAM_IMAGE=")[2] for line in lines if line.startswith("ARG BEAM_IMAGE="))


def _pinned(base: str) -> str:
    """A base by digest; one that was never in a registry stays as it is."""
    if "@sha256:" in base:
        return base
    if not _inspected(base):
        subprocess.run(["docker", "pull", base], stdout=sys.stderr, check=True)
    return next(iter(_inspected(base)[0]["RepoDigests"]), base)


def _identity(base: str) -> str:
    return base if "@sha256:" in base else _inspected(base)[0]["Id"]


def _inspected(image: str) -> list[dict]:
    words = ["docker", "image", "inspect", image]
    return json.loads(subprocess.run(words, capture_output=True, text=True, check=False).stdout or "[]")


def _commit(dockerfile: str) -> str:
    """The last commit that changed what the image is made of; none where that is in no commit."""
    places = [dockerfile, *_places(dockerfile)]
    if _git("status", "--porcelain", "--", *places):
        return ""
    return _git("log", "-1", "--format=%H", "--", *places)


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def _places(dockerfile: str) -> list[str]:
    lines = (ROOT / f"{dockerfile}.dockerignore").read_text().splitlines()
    return [line[1:] for line in lines if line.startswith("!")]


def _bill(image: str) -> bytes:
    words = ["docker", "run", "--rm", "--interactive", "--network", "none", "--read-only", "--entrypoint", "python"]
    program = (ROOT / "docker/bill.py").read_bytes()
    return subprocess.run([*words, image, "-"], input=program, stdout=subprocess.PIPE, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
