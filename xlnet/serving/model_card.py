"""The card of an export, for programs and for readers: what it is, what it was made from, how it was checked."""

import json
from importlib import metadata
from pathlib import Path
from typing import Any

from xlnet import __version__, storage
from xlnet.errors import UserError
from xlnet.file_names import WEIGHTS
from xlnet.serving.saved_model import SIGNATURE
from xlnet.serving.served import Served

PAGE = "README.md"
LIBRARIES = ("keras", "tensorflow", "tensorflow-text", "tf2onnx", "onnx", "onnxruntime")


def describe(served: Served, folder: Path, checked: dict[str, Any], *, licence: str | None) -> dict[str, Any]:
    """The card of what lies in a folder, ready for JSON."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    task = served.task
    outputs = checked.pop("outputs")
    provenance = dict(served.description.get("provenance") or {})
    return {
        "format": "xlnet-export/2",
        "model": served.directory,
        "task": None if task is None else task.kind,
        "head": None if task is None else task.head,
        "signature": {"name": SIGNATURE, "inputs": _inputs(served, checked["format_of_files"]), "outputs": outputs},
        "parameters": int(served.model.count_params()),
        **checked,
        "sizes": served.description["model"],
        "text": served.description["text"],
        "data": provenance.get("data"),
        "settings": provenance.get("settings"),
        "provenance": {name: value for name, value in provenance.items() if name not in ("data", "settings")},
        "metrics": _metrics(served.directory),
        "licence": licence,
        "vocabulary_sha256": served.tokenizer.sha256,
        "weights_sha256": storage.sha256(storage.join(served.directory, WEIGHTS)),
        "libraries": {"xlnet": __version__, **_versions()},
        "bytes": sum(path.stat().st_size for path in files),
        "files": {path.relative_to(folder).as_posix(): storage.sha256(str(path)) for path in files},
    }


def _inputs(served: Served, kind: str) -> list[str]:
    if kind == "text":
        from xlnet.serving import text_model

        return text_model.inputs_of(served)
    return list(served.features().inputs)


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _metrics(directory: str) -> dict[str, Any] | None:
    """What the run that made the model measured on its dev examples, where its summary lies beside the model."""
    try:
        summary = storage.read_json(storage.join(storage.parent(directory), "summary.json"))
    except UserError:
        return None
    if not isinstance(summary, dict):
        return None
    return {name: value for name, value in summary.items() if name.startswith("dev_")} or None


def page(card: dict[str, Any]) -> str:
    """The card in Markdown."""
    signature = card["signature"]
    parts = [
        f"# XLNet for {card['task'] or 'hidden states'}",
        f"Version {card['version']}, {card['format_of_files']}, {card['bytes']:,} bytes, "
        f"{card['parameters']:,} parameters.",
        _section("Use", {"inputs": ", ".join(signature["inputs"]), "outputs": ", ".join(signature["outputs"])}),
        _section("Task", card["head"]),
        _section("Training data", card["data"]),
        _section("Settings", card["settings"]),
        _section("Metrics on the dev examples, best epoch", card["metrics"]),
        _section("Measured at export", card.get("measured")),
        _section(
            "Compared with the model",
            {
                name: card[name]
                for name in ("max_abs_difference", "relative_error", "tolerance", "texts_checked")
                if name in card
            },
        ),
        _section("Licence", {"weights": card["licence"] or "not stated"}),
        _section("Checksums (SHA-256)", card["files"]),
        _section("Made with", card["libraries"]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(title: str, rows: dict[str, Any] | None) -> str:
    if not rows:
        return ""
    return "\n".join(
        [f"## {title}", "", "| | |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in rows.items())]
    )


def _cell(value: Any) -> str:
    """A value in a cell of Markdown, with nothing in it that is markup."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    for mark in "\\`*_[]<>|":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())
