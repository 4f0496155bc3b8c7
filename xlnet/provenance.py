"""What the results of a run come from: settings, seconds, checksums, the export."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from xlnet import runs, storage
from xlnet.corpus.manifest import Manifest
from xlnet.errors import UserError
from xlnet.file_names import CARD, WEIGHTS


def settings(manifest: Manifest, pretrained: dict[str, Any] | None, tasks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Name of a stage -> its settings."""
    found: dict[str, Any] = {"Preprocessing": asdict(manifest.settings)}
    if pretrained:
        found["Model"] = pretrained["summary"].get("model")
        found["Pretraining"] = pretrained["summary"].get("settings")
    for entry in tasks:
        found[f"Fine-tuning: {entry['name']}"] = entry["summary"].get("settings")
    return {name: values for name, values in found.items() if isinstance(values, dict) and values}


def stage_seconds(pretrained: dict[str, Any] | None, tasks: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Name of a stage -> seconds, of the stages that wrote them down."""
    found = {} if pretrained is None else {"pretraining": pretrained["seconds"]}
    found |= {f"fine-tuning: {entry['name']}": entry["seconds"] for entry in tasks}
    return {name: seconds for name, seconds in found.items() if seconds is not None}


def checksums(manifest: Manifest, folders: dict[str, str]) -> list[tuple[str, str]]:
    """(what, SHA-256) of the vocabulary and of each model directory's weights; `folders`: name -> directory."""
    found = [("vocabulary", str(manifest.vocabulary["sha256"]))]
    for name, folder in folders.items():
        found += [(f"{name}: {file}", digest) for file, digest in runs.checksum(folder, WEIGHTS)]
    return found


def export(folder: str) -> dict[str, Any]:
    """An export: its files with sizes, and what its card says."""
    if not storage.exists(folder):
        raise UserError(f"the export {folder} does not exist; name the folder that export wrote, or leave it out")
    files = storage.match([storage.join(folder, "**")])
    cards = [storage.read_json(file.path) for file in files if file.path.endswith(f"/{CARD}")]
    facts = {
        name: value
        for card in cards
        if isinstance(card, dict)
        for name, value in card.items()
        if isinstance(value, int | float | str)
    }
    shown = [{"name": file.path.removeprefix(folder).lstrip("/"), "bytes": file.bytes} for file in files]
    return {"files": shown, "bytes": sum(file.bytes for file in files), "facts": facts}
