"""The bill of materials of the image that this runs in: CycloneDX, to the standard output.

    docker run --rm -i --network none --entrypoint python IMAGE - < docker/bill.py

What it tells of is what is there: the installed distributions and Debian's packages, not what a lock asked for.
"""

import json
import os
import platform
import subprocess
from importlib.metadata import Distribution, distributions
from urllib.parse import quote

DEBIAN = ["dpkg-query", "--show", "--showformat", "${Package}\t${Version}\t${Architecture}\n"]


def bill() -> dict:
    """The same for the same image: sorted, without times."""
    python = {"type": "application", "name": "python", "version": platform.python_version()}
    libraries = sorted((_library(found) for found in distributions()), key=lambda entry: entry["purl"])
    packages = [_package(*line.split("\t")) for line in _output(DEBIAN).splitlines()]
    about = {"type": "container", "name": "xlnet", "version": os.environ.get("XLNET_COMMIT", "")}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": about},
        "components": [python, *libraries, *sorted(packages, key=lambda entry: entry["purl"])],
    }


def _library(found: Distribution) -> dict:
    name = found.metadata["Name"].lower().replace("_", "-").replace(".", "-")
    entry = {"type": "library", "name": name, "version": found.version, "purl": f"pkg:pypi/{name}@{found.version}"}
    licence = found.metadata.get("License-Expression") or found.metadata.get("License") or ""
    if licence and "\n" not in licence:
        entry["licenses"] = [{"license": {"name": licence}}]
    return entry


def _package(name: str, version: str, architecture: str) -> dict:
    purl = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={architecture}"
    return {"type": "library", "name": name, "version": version, "purl": purl}


def _output(words: list[str]) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    print(json.dumps(bill(), indent=1))
