"""How every step begins and ends."""

import contextlib
import os
import sys
from collections.abc import Iterator

from xlnet.errors import UserError


@contextlib.contextmanager
def step() -> Iterator[None]:
    """Runs a step's body: what the user can mend ends the step with one line instead of a traceback."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from xlnet.training.stopping import EXIT_CODE, StoppedError

    try:
        yield
    except UserError as error:
        print(f"error: {error}", flush=True)
        sys.exit(2)
    except StoppedError as stopped:  # a machine is taken away: a retry goes on from here
        print(stopped, flush=True)
        sys.exit(EXIT_CODE)
