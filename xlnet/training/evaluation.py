"""Evaluation of a fine-tuned model on labelled examples."""

import json
from typing import Any

from xlnet import storage
from xlnet.errors import require
from xlnet.progress import Progress
from xlnet.tasks.predictor import Predictor
from xlnet.tasks.task import described


def evaluate(*, model: str, data: str, output: str, batch_size: int = 32, progress: bool = True) -> dict[str, Any]:
    """Measure a fine-tuned model directory on examples of the kind that it was trained on.

    Output, published whole or not at all: evaluation.json, whose content is returned, and predictions.jsonl, a
    line for each example. Raises UserError for a bad example or a label that the model does not know.
    """
    storage.refuse_occupied(output)
    require(batch_size >= 1, "batch_size", batch_size, "1 or more")
    predictor = Predictor.load(model)
    task = predictor.task
    examples = task.read(data)
    features = predictor.features(examples)
    shown = Progress(len(features), unit="examples", name="evaluating") if progress else None
    outputs = predictor.outputs(features.inputs, batch_size=batch_size, report=None if shown is None else shown.update)
    source = described(examples)
    result = {
        "format": "xlnet-evaluation/1",
        "task": task.kind,
        **task.measure(examples, features, outputs),
        "cut_examples": features.cut,
        "model": model,
        "data": data,
        "data_sha256": source.pop("sha256"),
        **{name: value for name, value in source.items() if name != "path"},
        "vocabulary_sha256": predictor.tokenizer.sha256,
    }
    with storage.publishing(output, marker="evaluation.json") as folder:
        found = task.answers(examples, features, outputs)
        lines = [task.fields(examples, row) | answer for row, answer in enumerate(found)]
        content = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        storage.publish(str(folder / "predictions.jsonl"), content.encode())
        storage.publish_json(str(folder / "evaluation.json"), result)
    return result
