"""Keras and its backend are imported without what they do not need, and TensorFlow as it is on all processors."""

import os
import subprocess
import sys

import pytest

from xlnet import frameworks
from xlnet.errors import UserError

LOADED = """
import sys
{before}
from xlnet import frameworks
frameworks.load()
print(*[name in sys.modules for name in ("keras", "tensorflow", "sklearn", "matplotlib", "jax")])
from tensorflow.python.util import _pywrap_util_port
print(_pywrap_util_port.IsMklEnabled())
import jax, sklearn, matplotlib.pyplot
print(float(jax.numpy.ones(2).sum()), sklearn.__name__)
"""


@pytest.mark.parametrize(
    ("backend", "before", "expected"),
    [
        ("tensorflow", "", "True True False False False"),
        ("tensorflow", "import sklearn", "True True True False False"),
        ("jax", "", "True True False False True"),
    ],
)
def test_idle_modules_are_left_for_those_who_want_them_and_onednn_is_off(backend, before, expected):
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("TF_ENABLE_ONEDNN_OPTS", None)
    command = [sys.executable, "-c", LOADED.format(before=before)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert run.stdout.splitlines() == [expected, "False", "2.0 sklearn"], run.stderr


def test_a_backend_that_is_unknown_or_absent_is_told_in_one_line(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "foo")
    with pytest.raises(UserError, match="KERAS_BACKEND is 'foo', wanted is tensorflow or jax"):
        frameworks.load()
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(UserError, match="KERAS_BACKEND is jax, which is not installed here"):
        frameworks.load()
