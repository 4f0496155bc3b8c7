"""Export to a TensorFlow SavedModel, loaded again and compared with the model before it is published."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from xlnet import __version__, storage
from xlnet.errors import UserError
from xlnet.model.backbone import Backbone
from xlnet.model.checkpoints import CONFIG, VOCABULARY, load_config, load_weights, read_description
from xlnet.serving.predictor import Predictor, answers, load_tokenizer
from xlnet.tasks.features import features
from xlnet.tasks.sentence_task import SentenceTask
from xlnet.text import Tokenizer

VERSION, CARD, SIGNATURE = "1", "model-card.json", "serving_default"
INPUTS = ("pieces", "segments", "padding")
TOLERANCES = {"logits": 1e-5, "probabilities": 1e-5, "hidden": 1e-4}  # hidden states are larger, and many more
HIDDEN_LENGTH = 64  # pieces, of the check of a model without a head; any length may be served
TEXTS = (
    "It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want "
    "of a wife.",
    "Call me Ishmael.",
    'The price rose by 12.5% to $1,250 (in "real" terms) - or so they say!',
    "I went to the woods because I wished to live deliberately, to front only the essential facts of life, and see "
    "if I could not learn what it had to teach, and not, when I came to die, discover that I had not lived. I did "
    "not wish to live what was not life, living is so dear; nor did I wish to practise resignation, unless it was "
    "quite necessary.",
    "?",
)


@dataclass(frozen=True)
class Served:
    """What is exported: a model, its answer by name to a dict of inputs, and the tokenizer its texts go through."""

    model: keras.layers.Layer
    call: Callable[[dict[str, Any]], dict[str, Any]]
    tokenizer: Tokenizer
    head: dict[str, Any] | None


def export(*, model: str, output: str, progress: Callable[[str], Any] | None = None) -> dict[str, Any]:
    """Write a model directory as `OUTPUT/1/`, a SavedModel with its vocabulary, configuration and card.

    Its signature takes `pieces`, `segments` and `padding`, int32 [batch, length] of any size, laid out as
    `tasks.features` does, and gives `logits` and `probabilities` [batch, classes], `logits` [batch] of a
    regression, or, of a pretrained model without a head, `hidden` [batch, length, model_dim].
    Returns the card. Raises UserError when the export does not answer as the model does.
    """
    if keras.backend.backend() != "tensorflow":
        raise UserError(
            f"export needs TensorFlow, Keras runs on {keras.backend.backend()}; set KERAS_BACKEND=tensorflow"
        )
    storage.refuse_occupied(output)
    tell = progress or (lambda message: None)
    tell(f"reading {model}")
    served = load(model)
    with storage.publishing(output, marker=CARD) as aside:
        folder = aside / VERSION
        tell("writing the SavedModel")
        write(served, folder)
        for name in (CONFIG, VOCABULARY):
            storage.publish(str(folder / name), storage.read_bytes(storage.join(model, name)))
        tell("comparing it with the model")
        card = describe(served, folder, difference=check(served, folder), model=model)
        storage.publish_json(str(folder / CARD), card)
    return card


def load(model: str) -> Served:
    """The model of a model directory: its classifier, or its backbone when it has no head."""
    if read_description(model)["head"] is None:
        backbone = Backbone(load_config(model))
        load_weights(backbone, model)
        return Served(backbone, lambda inputs: _hidden(backbone, inputs), load_tokenizer(model), None)
    predictor = Predictor.load(model)
    if not isinstance(predictor.task, SentenceTask):
        raise UserError(
            f"{model} is fine-tuned for {predictor.task.kind}; exported are models that classify or rate texts, and "
            "pretrained ones: use `xlnet predict`"
        )
    return Served(
        predictor.model, lambda inputs: _logits(predictor, inputs), tokenizer=predictor.tokenizer, head=predictor.head
    )


def _hidden(backbone: Backbone, inputs: dict[str, Any]) -> dict[str, Any]:
    hidden, _ = backbone(inputs["pieces"], inputs["segments"], padding=inputs["padding"], training=False)
    return {"hidden": ops.cast(hidden, "float32")}


def _logits(predictor: Predictor, inputs: dict[str, Any]) -> dict[str, Any]:
    logits = predictor.model(inputs, training=False)
    if predictor.head["classes"] is None:
        return {"logits": logits}
    return {"logits": logits, "probabilities": ops.softmax(logits, axis=-1)}


def write(served: Served, folder: Path) -> None:
    """Writes the SavedModel."""
    import tensorflow as tf

    module = tf.Module()  # Keras' ExportArchive would write every weight twice
    module.weights = [variable.value for variable in served.model.variables]
    signature = {name: tf.TensorSpec([None, None], tf.int32, name=name) for name in INPUTS}
    module.serve = tf.function(served.call, input_signature=[signature], autograph=False)
    tf.saved_model.save(module, str(folder), signatures={SIGNATURE: module.serve})


def check(served: Served, folder: Path) -> float:
    """The largest absolute difference between the SavedModel, loaded anew, and the model, on texts.

    Raises UserError when it is beyond the tolerance.
    """
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder)).signatures[SIGNATURE]

    def serve(inputs: dict[str, NDArray[np.int32]]) -> dict[str, Any]:
        return loaded(**{name: tf.constant(values) for name, values in inputs.items()})

    return max(
        _difference(served.call, serve, inputs, name) for inputs in _samples(served) for name in _outputs(served)
    )


def _difference(call: Callable[..., Any], serve: Callable[..., Any], inputs: dict[str, Any], name: str) -> float:
    expected = answers(lambda rows: call(rows)[name], inputs, batch_size=len(TEXTS))
    found = answers(lambda rows: serve(rows)[name], inputs, batch_size=2)
    difference = float(np.abs(expected - found).max())
    if not difference <= TOLERANCES[name]:  # also when it is not a number
        raise UserError(
            f"the exported {name} differ by {difference:.1e} from the model's, allowed is {TOLERANCES[name]}; "
            "nothing was published"
        )
    return difference


def _samples(served: Served) -> list[dict[str, NDArray[np.int32]]]:
    """Features of the texts, padded as in training, and of one of them alone without any padding."""
    head = served.head or {"sequence_length": HIDDEN_LENGTH, "columns": {"pair": None}}
    pairs = None if head["columns"]["pair"] is None else TEXTS[::-1]
    padded = features(served.tokenizer, TEXTS, pairs=pairs, sequence_length=head["sequence_length"])
    own = padded["padding"][1] == 0
    return [padded, {name: values[1:2, own] for name, values in padded.items()}]


def describe(served: Served, folder: Path, *, difference: float, model: str) -> dict[str, Any]:
    """The card of an export: what it is, how it was checked, and what its files are."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        "format": "xlnet-export/1",
        "version": int(VERSION),
        "model": model,
        "task": None if served.head is None else served.head["task"],
        "head": served.head,
        "signature": {"name": SIGNATURE, "inputs": list(INPUTS), "outputs": _outputs(served)},
        "parameters": int(served.model.count_params()),
        "max_abs_difference": difference,
        "tolerance": TOLERANCES[_outputs(served)[0]],
        "texts_checked": len(TEXTS),
        "vocabulary_sha256": served.tokenizer.sha256,
        "libraries": {"keras": keras.__version__, "tensorflow": _tensorflow_version(), "xlnet": __version__},
        "bytes": sum(path.stat().st_size for path in files),
        "files": {path.relative_to(folder).as_posix(): storage.sha256(str(path)) for path in files},
    }


def _outputs(served: Served) -> list[str]:
    if served.head is None:
        return ["hidden"]
    return ["logits"] if served.head["classes"] is None else ["logits", "probabilities"]


def _tensorflow_version() -> str:
    import tensorflow as tf

    return tf.__version__
