"""Keras and its backend, imported without the banner that TensorFlow writes before it can be told not to."""

import importlib.util
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from xlnet import allocation, compilation_cache, traces
from xlnet.errors import UserError, require

BACKENDS = ("tensorflow", "jax")
# What Keras and TensorFlow import for parts of theirs that have no use here: up to 40 % of the time that they take.
IDLE = ("sklearn", "matplotlib")
IDLE_ON_TENSORFLOW = ("jax",)


def load() -> None:
    """Import Keras now. What the import writes to stderr is shown only if it fails.

    Raises UserError where the environment names a backend that is unknown or absent.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # else some processors round otherwise, and keep freed memory
    backend = os.environ.get("KERAS_BACKEND")
    require(not backend or backend in BACKENDS, "KERAS_BACKEND", backend, " or ".join(BACKENDS))
    if backend and importlib.util.find_spec(backend) is None:
        raise UserError(f"KERAS_BACKEND is {backend}, which is not installed here")
    idle = IDLE + (IDLE_ON_TENSORFLOW if backend == "tensorflow" else ())
    compilation_cache.use()
    allocation.keep()
    sys.stderr.flush()
    shown = os.dup(2)
    with tempfile.TemporaryFile() as aside, _not_found(idle):
        os.dup2(aside.fileno(), 2)
        try:
            import keras

            is_needed = keras.backend.backend() == "tensorflow"
            if not is_needed:
                # Who asks for a device that has no driver says so in one line; JAX logs a traceback.
                logging.getLogger("jax._src.xla_bridge").addFilter(lambda record: not record.exc_info)
            if is_needed or importlib.util.find_spec("tensorflow"):  # a model alone does without it on JAX
                import tensorflow as tf

                tf.config.list_physical_devices()  # devices are looked for, and missed aloud; none is taken yet
                if is_needed:
                    traces.keep_short()
                else:
                    tf.config.set_visible_devices([], "GPU")  # it reads data there; it would take all of their memory
        except Exception:
            aside.seek(0)
            os.write(shown, aside.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(shown, 2)
            os.close(shown)


def is_on_cpu() -> bool:
    """Whether there is no accelerator."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        return jax.default_backend() == "cpu"
    import tensorflow as tf

    return not (tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("TPU"))


@contextmanager
def _not_found(names: tuple[str, ...]) -> Iterator[None]:
    """Modules that are not imported yet are as if they were not installed."""
    hidden = {name: None for name in names if name not in sys.modules}
    sys.modules.update(hidden)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
