"""Keras and its backend, imported without the banner that TensorFlow writes before it can be told not to."""

import os
import sys
import tempfile


def load() -> None:
    """Import Keras now. What the import writes to stderr is shown only if it fails."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    shown = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            import keras  # noqa: F401
            import tensorflow as tf

            tf.constant(0)  # the devices are looked for, and missed aloud, at the first operation
        except Exception:
            aside.seek(0)
            os.write(shown, aside.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(shown, 2)
            os.close(shown)
