"""Evaluation of a fine-tuned model on labelled examples."""

import json
from typing import Any

from xlnet import storage
from xlnet.errors import UserError
from xlnet.progress import Progress
from xlnet.serving.predictor import Predictor
from xlnet.tasks import sentence
from xlnet.training.finetuning_watch import measure


def evaluate(*, model: str, data: str, output: str, batch_size: int = 32, progress: bool = True) -> dict[str, Any]:
    """Measure a fine-tuned model directory on a file of examples with the columns that it was trained on.

    Output, published whole or not at all: evaluation.json, whose content is returned, and predictions.jsonl, a
    line for each example. Raises UserError for a bad row or a label that the model does not know.
    """
    storage.refuse_occupied(output)
    if batch_size < 1:
        raise UserError(f"batch_size is {batch_size}, wanted is 1 or more")
    predictor = Predictor.load(model)
    examples = sentence.read(data, columns=sentence.Columns(**predictor.head["columns"]))
    truth = sentence.targets(examples, predictor.classes)
    shown = Progress(len(examples), unit="examples", name="evaluating") if progress else None
    logits = predictor.logits(
        predictor.features(examples.texts, examples.pairs),
        batch_size=batch_size,
        report=None if shown is None else shown.update,
    )
    found, loss = measure(predictor, logits, truth)
    result = {
        "format": "xlnet-evaluation/1",
        "task": predictor.head["task"],
        "examples": len(examples),
        "loss": loss,
        **found,
        "model": model,
        "data": data,
        "data_sha256": storage.sha256(data),
        "vocabulary_sha256": predictor.tokenizer.sha256,
    }
    with storage.publishing(output, marker="evaluation.json") as folder:
        lines = _lines(predictor, examples, predictor.readable(logits))
        storage.publish(str(folder / "predictions.jsonl"), "".join(lines).encode())
        storage.publish_json(str(folder / "evaluation.json"), result)
    return result


def _lines(predictor: Predictor, examples: sentence.Examples, answers: Any) -> list[str]:
    """One JSON object an example; probabilities stand in the order of the classes."""
    lines = []
    for row, answer in enumerate(answers):
        line: dict[str, Any] = {"line": examples.lines[row], "text": examples.texts[row]}
        if examples.pairs is not None:
            line["pair"] = examples.pairs[row]
        if predictor.classes is None:
            line |= {"truth": float(examples.labels[row]), "predicted": float(answer)}
        else:
            predicted = predictor.classes[int(answer.argmax())]
            line |= {"truth": examples.labels[row], "predicted": predicted, "probabilities": answer.tolist()}
        lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    return lines
