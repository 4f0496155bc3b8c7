"""Export for serving, in one of several formats, loaded again and compared with the model before it is published."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from xlnet import storage
from xlnet.errors import UserError
from xlnet.file_names import CARD, VOCABULARY
from xlnet.model.checkpoints import CONFIG
from xlnet.serving import model_card, onnx_model, saved_model, text_model
from xlnet.serving.model_card import PAGE
from xlnet.serving.served import Call, Served, largest_difference, relative_error, samples
from xlnet.tasks.metrics import LOWER_IS_BETTER
from xlnet.tasks.predictor import by_length
from xlnet.tasks.task import Arrays, Outputs, described

TOLERANCES = {"logits": 1e-5, "probabilities": 1e-5}
TOLERANCE = 1e-4  # of other outputs: hidden states are larger, and many more
INT8_ERROR = 0.2  # of outputs, relative; a sound model of 8 bits has a few hundredths
DROP = 0.01  # of the metric of labelled examples, that 8 bits may cost


@dataclass(frozen=True)
class Format:
    """How a model is written and asked; `takes_text`: instead of features."""

    write: Callable[[Served, Path], None]
    load: Callable[[Path], Call]
    name: str
    is_exact: bool = True
    takes_text: bool = False


FORMATS = {
    "ids": Format(saved_model.write, saved_model.load, "TensorFlow SavedModel that takes ids"),
    "text": Format(text_model.write, text_model.load, "TensorFlow SavedModel that takes text", takes_text=True),
    "onnx": Format(onnx_model.write, onnx_model.load, "ONNX that takes ids"),
    "int8": Format(onnx_model.write_int8, onnx_model.load, "ONNX that takes ids, weights of 8 bits", is_exact=False),
}


def export(
    *,
    model: str,
    output: str,
    format: str = "ids",
    data: str | None = None,
    licence: str | None = None,
    progress: Callable[[str], Any] | None = None,
) -> dict[str, Any]:
    """Write a model directory as the next version folder of `output`, `OUTPUT/1/` at first, with its vocabulary,
    configuration and cards.

    `format`: a key of FORMATS. `ids` and `onnx` take `pieces`, `segments` and `padding`, int32 [batch, length] of any
    size, laid out as `tasks.features` does, and what else the model's task has; `text` takes strings. Outputs are
    `logits` and `probabilities` [batch, classes], `logits` [batch] of a regression, or, of a pretrained model without a
    head, `hidden` [batch, length, model_dim]. With `data`, labelled examples, model and export are measured on them.
    Returns the card. Raises UserError when the export does not answer as the model does; then nothing is published.
    """
    if keras.backend.backend() != "tensorflow":
        raise UserError(
            f"export needs TensorFlow, Keras runs on {keras.backend.backend()}; set KERAS_BACKEND=tensorflow"
        )
    if format not in FORMATS:
        raise UserError(f"format is {format!r}; choose one of {', '.join(FORMATS)}")
    version = next_version(output)
    chosen = FORMATS[format]
    tell = progress or (lambda message: None)
    tell(f"reading {model}")
    served = Served.load(model)
    _refuse(served, chosen, data)
    with storage.publishing(storage.join(output, str(version)), marker=CARD) as folder:
        tell(f"writing {chosen.name}")
        chosen.write(served, folder)
        for name in (CONFIG, VOCABULARY):
            storage.publish(str(folder / name), storage.read_bytes(storage.join(model, name)))
        tell("comparing it with the model")
        call = chosen.load(folder)
        found = {"format_of_files": format, "version": version, **check(served, call, chosen)}
        if data is not None:
            tell(f"measuring on {data}")
            found["measured"] = measure(served, call, data, is_exact=chosen.is_exact)
        card = model_card.describe(served, folder, found, licence=licence)
        storage.publish(str(folder / PAGE), model_card.page(card).encode())
        storage.publish_json(str(folder / CARD), card)
    return card


def next_version(output: str) -> int:
    """One more than the newest version folder. Raises UserError where the output holds something else."""
    names = storage.list_folder(output)
    if not all(name.isdecimal() for name in names) or (not names and storage.exists(output) and _is_file(output)):
        raise UserError(f"the output {output} already holds something that is no version folder; name a new folder")
    return 1 + max(map(int, names), default=0)


def _is_file(path: str) -> bool:
    return not storage.is_remote(path) and Path(path).is_file()


def _refuse(served: Served, chosen: Format, data: str | None) -> None:
    """Raises UserError for what the format cannot do, before anything is written."""
    if chosen.takes_text:
        text_model.inputs_of(served)
    else:
        served.features()
    if data is not None and served.task is None:
        raise UserError("the model has no head, so there is nothing to measure; leave --data out")
    if data is not None and chosen.takes_text:
        raise UserError("an export that takes text is compared on its texts alone; leave --data out")


def check(served: Served, call: Call, chosen: Format) -> dict[str, Any]:
    """How far the export's answers to texts are from the model's, by output. Raises UserError when it is too far."""
    if chosen.takes_text:
        features = served.features().inputs
        pairs = [(served.call(features), call(text_model.samples(served)))]
    else:
        pairs = [(served.call(inputs), _by_rows(call, inputs)) for inputs in samples(served)]
    outputs = sorted(pairs[0][0])
    texts = len(pairs[0][1][outputs[0]])
    if chosen.is_exact:
        apart = [largest_difference(expected, found) for expected, found in pairs]
        worst = {name: max(each[name] for each in apart) for name in outputs}
        for name, difference in worst.items():
            allowed = TOLERANCES.get(name, TOLERANCE)
            if not difference <= allowed:  # also when it is not a number
                raise UserError(
                    f"the exported {name} differ by {difference:.1e} from the model's, allowed is {allowed}; "
                    "nothing was published"
                )
        allowed = max(TOLERANCES.get(name, TOLERANCE) for name in outputs)
        return {
            "outputs": outputs,
            "max_abs_difference": max(worst.values()),
            "tolerance": allowed,
            "texts_checked": texts,
        }
    first = "logits" if "logits" in outputs else outputs[0]
    error = relative_error(*zip(*((np.asarray(one[first]), other[first]) for one, other in pairs), strict=True))
    if not error <= INT8_ERROR:
        raise UserError(
            f"the exported {first} have a relative error of {error:.2f}, allowed is {INT8_ERROR}; the model does not "
            "bear 8 bits; nothing was published"
        )
    return {"outputs": outputs, "relative_error": error, "tolerance": INT8_ERROR, "texts_checked": texts}


def _by_rows(call: Call, inputs: Arrays) -> dict[str, NDArray[Any]]:
    """Answers to row after row, as another batch size than the model's may not matter."""
    found = [
        call({name: values[row : row + 1] for name, values in inputs.items()}) for row in range(len(inputs["padding"]))
    ]
    return {name: np.concatenate([each[name] for each in found]) for name in found[0]}


def measure(served: Served, call: Call, data: str, *, is_exact: bool) -> dict[str, Any]:
    """The metrics of model and export on labelled examples. Raises UserError when 8 bits cost too much."""
    task = served.task
    assert task is not None
    examples = task.read(data)
    features = task.features(served.tokenizer, examples)

    def outputs_of(ask: Callable[[Arrays], Any]) -> Outputs:
        return by_length(task, ask, features.inputs, batch_size=32)

    def exported(inputs: Arrays) -> Outputs:
        found = call(inputs)
        return found.get("logits", found)

    metrics = {
        "model": task.measure(examples, features, outputs_of(served.model.predict_on_batch))["metrics"],
        "export": task.measure(examples, features, outputs_of(exported))["metrics"],
    }
    best = task.best
    before, after = (metrics[which].get(best) for which in ("model", "export"))
    if not is_exact and before is not None and after is not None:
        lost = after - before if best in LOWER_IS_BETTER else before - after
        if lost > DROP:
            raise UserError(
                f"{best} goes from {before:.4f} to {after:.4f} on {data}, allowed is a loss of {DROP}; "
                "nothing was published"
            )
    source = described(examples)
    return {"data": {"path": data, "sha256": source["sha256"], "examples": len(examples)}, "metric": best, **metrics}
