"""ONNX files, in float32 and with weights of 8 bits, and how they are asked."""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from xlnet.errors import UserError
from xlnet.serving.saved_model import signature
from xlnet.serving.served import Call, Served
from xlnet.tasks.task import Arrays

NAME = "model.onnx"
OPSET = 17


def write(served: Served, folder: Path) -> None:
    """Writes the model, which takes features of any number and length."""
    import tensorflow as tf

    tf2onnx = _imported("tf2onnx")
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    asked = [signature(served)]
    call = tf.function(served.call, input_signature=asked, autograph=False)
    folder.mkdir(parents=True, exist_ok=True)
    tf2onnx.convert.from_function(call, input_signature=asked, opset=OPSET, output_path=str(folder / NAME))


def write_int8(served: Served, folder: Path) -> None:
    """Writes the model with matrices of 8 bits, a scale a column; what they are multiplied with is scaled when run."""
    _imported("onnxruntime")
    from onnxruntime.quantization import QuantType, quantize_dynamic

    write(served, folder)
    whole = folder / NAME
    aside = folder / f"float32-{NAME}"
    whole.rename(aside)
    logging.getLogger().addFilter(_is_no_advice)
    try:
        # Only products with weights: those of two activations cost more to scale than they save.
        quantize_dynamic(
            aside, whole, weight_type=QuantType.QInt8, per_channel=True, extra_options={"MatMulConstBOnly": True}
        )
    finally:
        logging.getLogger().removeFilter(_is_no_advice)
    aside.unlink()


def _is_no_advice(record: logging.LogRecord) -> bool:
    return "pre-processing before quantization" not in record.getMessage()


def load(folder: Path) -> Call:
    """The model on this machine's processor."""
    onnxruntime = _imported("onnxruntime")
    session = onnxruntime.InferenceSession(str(folder / NAME), providers=["CPUExecutionProvider"])
    wanted = {each.name for each in session.get_inputs()}
    names = [each.name for each in session.get_outputs()]

    def call(inputs: Arrays) -> dict[str, Any]:
        given = {name: np.asarray(values, np.int32) for name, values in inputs.items() if name in wanted}
        return dict(zip(names, session.run(names, given), strict=True))

    return call


def _imported(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        raise UserError(f"{name} is not installed; pip install 'xlnet-pipelines[export]'") from None
