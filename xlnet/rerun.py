"""The commands that make a model again, from the stages that made it (see `xlnet.lineage`)."""

from collections.abc import Mapping, Sequence
from typing import Any

from xlnet import storage
from xlnet.file_names import VOCABULARY


def commands(stages: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The commands that go through the stages of a lineage again, in folders of their own below `rerun`."""
    found: list[list[str]] = []
    begun = None
    for number, stage in enumerate(stages, start=1):
        if "settings" not in stage:  # its run is not beside it: the next one begins from the model as it is
            found, begun = [], stage["folder"]
            continue
        output = f"rerun/{number}-{stage['stage']}"
        make = _finetune if stage["stage"] == "finetuning" else _pretrain
        found += make(stage, begun, output)
        begun = storage.join(output, "model")
    return found


def _pretrain(stage: Mapping[str, Any], begun: str | None, output: str) -> list[list[str]]:
    """Pretraining on its data set, which is made before it where its manifest is there."""
    before = _preprocess(stage["data_set"], f"{output}-data") if "data_set" in stage else []
    data = f"{output}-data" if before else stage["data"]
    flags = {"data": data, "output": output, "init": begun or stage.get("init")}
    return [*before, ["xlnet", "pretrain", *_flags(flags | stage["settings"] | _sizes(stage))]]


def _preprocess(data: Mapping[str, Any], output: str) -> list[list[str]]:
    """A data set part by part. Of several its patterns do not tell which files each had, so every file is named."""
    sources = data["sources"]
    texts = [(0, source, pattern) for source in sources for pattern in source["patterns"]]
    if any(entry["part"] for entry in data["inputs"]):
        inputs = sorted(data["inputs"], key=lambda entry: entry["source"])  # they are numbered as they are mentioned
        texts = [(entry["part"], sources[entry["source"]], entry["path"]) for entry in inputs]
    flags = {"vocabulary": storage.join(data["folder"], data["vocabulary"]["file"]), "output": output}
    words = _flags(flags | data["settings"] | data["cleaning"])
    return [
        [
            *("xlnet", "preprocess"),
            *(f"{source['name']}={path}:{source['weight']}" for number, source, path in texts if number == part),
            *words,
            *(["--add"] if part else []),
        ]
        for part in sorted({number for number, _, _ in texts})
    ]


def _finetune(stage: Mapping[str, Any], begun: str | None, output: str) -> list[list[str]]:
    """Fine-tuning, from scratch with its sizes; what brings no vocabulary gets the model's own."""
    init = begun or stage["init"]
    flags = {name: part["path"] for name, part in stage["data"].items()} | {"output": output, "init": init}
    flags |= {} if begun else {"vocabulary": storage.join(stage["folder"], VOCABULARY)}
    flags |= {} if init else _sizes(stage)
    if flags.get("dropout") != flags.get("attention_dropout"):
        del flags["dropout"]  # as a flag of fine-tuning it is both
    flags |= {name: value for name, value in stage["settings"].items() if value is not None}
    return [["xlnet", "finetune", *_flags(flags), *(["--fresh"] if stage.get("fresh") else [])]]


def _sizes(stage: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in stage["model"].items() if name != "vocab_size"}


def _flags(settings: Mapping[str, Any]) -> list[str]:
    """Settings as flags; what is not set has none."""
    words = []
    for name, value in settings.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        elif isinstance(value, list | tuple):
            words += [f"--{flag}", ",".join(map(str, value))] if value else []
        elif value is not None and not isinstance(value, dict):
            words += [f"--{flag}", str(value)]
    return words
