"""The last word on a run: whether its models are pushed, what is kept with them, and what the run's page says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from pipelines import champion as champions
from pipelines import markdown
from xlnet import lineage, runs, storage


@dataclass(frozen=True)
class Made:
    """What the steps of a run made; the artifacts have the name of their task in their metadata."""

    inputs: str  # the digest of what they made it of, as it was checked before them
    data: str
    pretrained: str
    finetuned: Sequence[Any]
    evaluations: Sequence[Any]
    exported: Sequence[Any]
    comparisons: Sequence[Any]


@dataclass(frozen=True)
class Decision:
    """What was decided."""

    is_pushed: bool
    reason: str
    version: str  # the folder, "" where nothing was pushed
    comparisons: dict[str, dict[str, Any] | None]

    def page(self) -> str:
        """The decision as Markdown."""
        head = ("task", "metric", "challenger", "champion", "difference", "95 %", "p")
        rows = [
            (
                name,
                *(found[key] for key in ("metric", "first", "second", "difference")),
                f"{found['low']:.4f} … {found['high']:.4f}",
                found["p_better"],
            )
            for name, found in self.comparisons.items()
            if found is not None
        ]
        told = f"**{'Pushed' if self.is_pushed else 'Not pushed'}**: {markdown.text(self.reason)}."
        return f"{told}\n\n{markdown.table(head, rows)}\n" if rows else f"{told}\n"


def decide(
    store: str, run: str, made: Made, *, champion: str, confidence: float, parameters: Mapping[str, Any]
) -> Decision:
    """Decide, push if the challenger is better, and write runs/RUN/decision.json.

    `champion`: the folder of the version that it was compared with, "" for none. Called again, it says the same.
    """
    read = {
        name: storage.read_json(storage.join(artifact.path, "comparison.json"))
        for name, artifact in sorted(champions.by_task(made.comparisons).items())
    }
    is_better, reason = champions.verdict(read, confidence=confidence)
    version = ""
    if is_better:
        version = _push(store, run, made, expected=champion.rpartition("/")[2], parameters=parameters)
    decision = Decision(is_better, reason, version, read)
    told = {"is_pushed": is_better, "reason": reason, "version": version, "comparisons": read}
    storage.publish_json(storage.join(champions.run_folder(store, run), champions.DECISION), told)
    return decision


def _push(store: str, run: str, made: Made, *, expected: str, parameters: Mapping[str, Any]) -> str:
    tasks = champions.by_task(made.finetuned)
    parts = {"pretrained": storage.join(made.pretrained, "model")}
    for name, artifact in tasks.items():
        parts[f"tasks/{name}/model"] = storage.join(artifact.path, "model")
    for folder, artifacts in (("evaluation", made.evaluations), ("export", made.exported)):
        parts |= {f"tasks/{name}/{folder}": found.path for name, found in champions.by_task(artifacts).items()}
    told = lineage.gather(
        data=made.data,
        pretrained=made.pretrained,
        tasks={name: artifact.path for name, artifact in tasks.items()},
    )
    told |= {"run": run, "parameters": dict(parameters)}
    told["goes_on_from"] = expected if parameters.get("goes_on") else ""
    told["scores"] = {
        name: runs.read_object(found.path, "evaluation.json")["metrics"]
        for name, found in champions.by_task(made.evaluations).items()
    }
    return champions.push(
        store,
        champions.folder_name(run),
        parts,
        lineage=told,
        texts={"parameters.yaml": yaml.safe_dump(dict(parameters), sort_keys=True)},
        expected=expected,
        inputs=made.inputs,
    )
