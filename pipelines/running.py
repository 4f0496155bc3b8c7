"""A pipeline on a runner: in memory here, on processes here, or where Beam's options say; its errors as one line."""

import contextlib
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from pipelines.options import is_here, read
from xlnet import disk, storage
from xlnet.errors import UserError, require

USER_ERROR = f"{UserError.__module__}.{UserError.__name__}"  # as a traceback has it
MESSAGE = re.compile(rf"{re.escape(USER_ERROR)}: (.+?)(?: \[while running .*)?$", re.MULTILINE)


@dataclass(frozen=True)
class Refusal:
    """Where a worker here says what the user can mend, because Beam makes many lines of an error. Can be pickled.

    Without a path, where workers are on other machines, the error goes its way.
    """

    path: str | None

    @property
    def is_made(self) -> bool:
        """Whether a worker has; then the others need not go on."""
        return self.path is not None and storage.exists(self.path)

    @contextlib.contextmanager
    def catching(self, folder: str) -> Iterator[None]:
        """Writes a UserError down and ends the block; what a full disk refuses of `folder` is one."""
        try:
            with disk.mendable(folder):
                yield
        except UserError as error:
            if self.path is None:
                raise
            if not self.is_made:
                storage.publish(self.path, str(error).encode())

    def raise_made(self) -> None:
        """Raises the UserError that a worker has written down."""
        if self.path is not None and self.is_made:
            raise UserError(storage.read_bytes(self.path).decode())


def execute(build: Callable[[beam.Pipeline], None], *, options: Sequence[str], workers: int, refusal: Refusal) -> None:
    """Run a pipeline to its end. Raises UserError for what the user can mend, wherever it was found."""
    require(workers >= 1, "workers", workers, "1 or more")
    flags = list(options)
    runner = None
    if is_here(options):
        runner = FnApiRunner()  # by name: DirectRunner would try to download another runner first
        if workers > 1:
            # Never multi_threading, which has lost elements without a word.
            flags += ["--direct_running_mode=multi_processing", f"--direct_num_workers={workers}"]
            # Each worker warns that it has no folder for registered types, of which there are none.
            logging.getLogger("apache_beam.runners.portability.local_job_service").setLevel(logging.ERROR)
    with _explained(refusal), beam.Pipeline(runner=runner, options=read(flags)) as pipeline:
        build(pipeline)
    refusal.raise_made()


@contextlib.contextmanager
def _explained(refusal: Refusal) -> Iterator[None]:
    """Finds what the user can mend in the errors of a runner."""
    try:
        yield
    except Exception as error:
        refusal.raise_made()
        # Of an error on another machine only the traceback arrives, as text; of one here, its message without a name.
        found = mendable(f"{USER_ERROR}: {error}" if isinstance(error, UserError) else str(error))
        if found is None:
            raise
        raise UserError(found) from None


def mendable(text: str) -> str | None:
    """What a traceback says that the user can mend; None where it is something else."""
    found = MESSAGE.search(text)
    return None if found is None else found[1]
