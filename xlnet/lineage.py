"""From a model back to what it was made of: text, vocabulary, settings, code, images; and how to make it anew.

A version that a pipeline pushed carries its lineage (`lineage.json`). Of any other model it is read from what each
stage left beside it: an export names its model, a fine-tuned model what it began from, a pretraining run its data set.
"""

import os
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xlnet import __version__, rerun, runs, storage
from xlnet.corpus.manifest import NAME, Manifest
from xlnet.errors import UserError
from xlnet.file_names import CARD, LINEAGE, WEIGHTS

CONFIG, SUMMARY = "config.json", "summary.json"
COMMIT, IMAGE = "XLNET_COMMIT", "XLNET_IMAGE"  # environment variables that images and compiled pipelines set
LEVELS = 5  # folders above a model in which its lineage is looked for


def trace(model: str) -> dict[str, Any]:
    """The lineage of a model directory, an export, a run's folder or a pushed version.

    Raises UserError where there is no model, where its files are not those that were pushed, and where a stage's
    record is missing or damaged, with its name.
    """
    with runs.intact(f"the record of {model}"):
        return _pushed(model) or _recorded(_model_directory(model))


def _recorded(folder: str) -> dict[str, Any]:
    """The lineage of a model directory, of what each stage left beside it."""
    stages = _stages(folder)
    return {
        "format": "xlnet-lineage/1",
        "model": folder,
        "weights_sha256": storage.sha256(storage.join(folder, WEIGHTS)),
        "vocabulary_sha256": runs.read_object(folder, CONFIG)["vocabulary_sha256"],
        "code": code(),
        "stages": stages,
        "rerun": [shlex.join(words) for words in rerun.commands(stages)],
    }


def gather(*, data: str, pretrained: str, tasks: Mapping[str, str]) -> dict[str, Any]:
    """What a pushed version keeps of where it comes from: `pretrained` and `tasks` (by name) are folders of runs."""
    manifest = Manifest.read(data)
    model = storage.join(pretrained, "model")
    return {
        "format": "xlnet-lineage/1",
        "code": code(),
        "data": _data_set(data, manifest),
        "vocabulary_sha256": manifest.vocabulary["sha256"],
        "pretraining": _kept(runs.read_object(pretrained, SUMMARY)),
        "finetuning": {name: _kept(runs.read_object(folder, SUMMARY)) for name, folder in tasks.items()},
        "weights": {
            "pretrained": storage.sha256(storage.join(model, WEIGHTS)),
            **{
                f"tasks/{name}/model": storage.sha256(storage.join(folder, "model", WEIGHTS))
                for name, folder in tasks.items()
            },
        },
    }


def code() -> dict[str, str]:
    """The version of this package, its commit and the image that it runs in, as far as they are known."""
    found = {"xlnet": __version__, "commit": os.environ.get(COMMIT) or _commit(), "image": os.environ.get(IMAGE, "")}
    return {name: value for name, value in found.items() if value}


def summary(lineage: Mapping[str, Any]) -> dict[str, Any]:
    """The lineage as a table for a terminal."""
    rows: dict[str, Any] = {"run": lineage.get("run"), "weights": lineage.get("weights_sha256")}
    rows |= {"vocabulary": lineage.get("vocabulary_sha256")}
    rows |= {f"code: {name}": value for name, value in lineage.get("code", {}).items()}
    stages = lineage.get("stages", [])
    rows |= {f"stage {number}: {stage['stage']}": stage["folder"] for number, stage in enumerate(stages, start=1)}
    data_sets = [lineage["data"]] if "data" in lineage else [each["data_set"] for each in stages if "data_set" in each]
    for data in data_sets:
        rows[f"data set {data['folder']}"] = f"{data['manifest_sha256']}, text files: {len(data['inputs'])}"
        rows |= {
            f"text: {entry['path']}": f"crc32c {entry['crc32c']}, {entry['bytes']:,} bytes" for entry in data["inputs"]
        }
    rows |= {f"rerun {number}": command for number, command in enumerate(lineage["rerun"], start=1)}
    return rows


def _pushed(model: str) -> dict[str, Any] | None:
    """The lineage that was pushed with a model, checked against its weights."""
    folder, below = model.rstrip("/"), ""
    for _ in range(LEVELS):
        if not folder or folder.endswith(":/"):
            return None
        if storage.exists(storage.join(folder, LINEAGE)):
            break
        above, _, name = folder.rpartition("/")
        folder, below = above, f"{name}/{below}".rstrip("/")
    else:
        return None
    found = runs.read_object(folder, LINEAGE)
    for place, digest in found["weights"].items():
        weights = storage.join(folder, place, WEIGHTS)
        if below and not below.startswith(place.removesuffix("/model")):
            continue
        if storage.sha256(weights) != digest:
            raise UserError(f"{weights} is not what was pushed (its SHA-256 is another); take it from a copy")
    told = {"model": model, "version": folder, **found}
    if below:
        own = next(
            (digest for place, digest in found["weights"].items() if below.startswith(place.removesuffix("/model"))),
            None,
        )
        told["weights_sha256"] = own
    told["rerun"] = [shlex.join(words) for words in _reruns(folder, found)]
    return told


def _reruns(folder: str, lineage: Mapping[str, Any]) -> list[list[str]]:
    """The runs that make a pushed version again, in a store of their own: first those that it went on from."""
    above, _, name = folder.rpartition("/")
    before = lineage.get("goes_on_from")
    words = ["xlnet", "pipeline", "run", "--parameters", storage.join(folder, "parameters.yaml")]
    own = [*words, "--store", "rerun/store", "--output", f"rerun/{name}"]
    if not before:
        return [own]
    return [*_reruns(storage.join(above, before), runs.read_object(storage.join(above, before), LINEAGE)), own]


def _model_directory(model: str) -> str:
    """The model directory that a path means: itself, a run's `model`, or what an export was made of."""
    for folder in (model, storage.join(model, "model")):
        if storage.exists(storage.join(folder, WEIGHTS)):
            return folder
    for folder in (model, storage.join(model, "1")):
        if storage.exists(storage.join(folder, CARD)):
            made_of = str(runs.read_object(folder, CARD)["model"])
            if not storage.exists(storage.join(made_of, WEIGHTS)):
                raise UserError(f"{model} was exported from {made_of}, which is gone; look where it was moved to")
            return made_of
    raise UserError(f"{model} is no model, export, run or pushed version; name one")


def _stages(model: str) -> list[dict[str, Any]]:
    """The stages behind a model directory, the first one first, each with the model directory that it left."""
    stages: list[dict[str, Any]] = []
    folder: str | None = model
    while folder and storage.exists(storage.join(folder, CONFIG)):
        stages.insert(0, _stage(folder))
        folder = stages[0].get("init")
        if folder in [stage["folder"] for stage in stages]:
            raise UserError(f"{folder} was begun from another model that lay there; look where that was moved to")
    return stages


def _stage(folder: str) -> dict[str, Any]:
    """What a model directory and the run around it tell of how it was made, and the data set where it is there."""
    config = runs.read_object(folder, CONFIG)
    provenance, run = config["provenance"], storage.parent(folder)
    told = {"stage": "pretraining", "folder": folder, "model": config["model"]}
    if "pretraining" not in provenance or not storage.exists(storage.join(run, SUMMARY)):
        return told | provenance
    told |= _kept(runs.read_object(run, SUMMARY))
    if storage.exists(storage.join(told["data"], NAME)):
        told["data_set"] = _data_set(told["data"], Manifest.read(told["data"]))
        if told["data_set"]["manifest_sha256"] != told["manifest_sha256"]:
            raise UserError(f"the data set {told['data']} was made anew since; the model {folder} is of an earlier one")
    return told


def _data_set(folder: str, manifest: Manifest) -> dict[str, Any]:
    told = manifest.to_json()
    return {
        "folder": folder,
        "manifest_sha256": storage.sha256(storage.join(folder, NAME)),
        **{name: told[name] for name in ("settings", "cleaning", "sources", "inputs", "vocabulary", "libraries")},
    }


def _kept(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What of a stage's summary says what it was made of."""
    made_of = ("settings", "model", "data", "manifest_sha256", "init", "fresh", "vocabulary_sha256")
    return {name: summary[name] for name in (*made_of, "steps", "xlnet_version") if name in summary}


def _commit() -> str:
    """The commit of this checkout, "" where it is none."""
    here = Path(__file__).resolve().parent.parent
    words = ["git", "-C", str(here), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return found.stdout.strip() if (here / ".git").exists() and found.returncode == 0 else ""
