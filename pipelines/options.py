"""Beam's options, as the user wrote them: what is misspelt or wrong is told in one line, before anything is written."""

import contextlib
import io
from collections.abc import Iterator, Sequence
from itertools import pairwise

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.runner import create_runner

from xlnet.errors import UserError
from xlnet.settings import suggestion


def is_here(flags: Sequence[str]) -> bool:
    """Whether the workers are on this machine."""
    return not any(flag.startswith("--runner") for flag in flags)


def read(flags: Sequence[str]) -> PipelineOptions:
    """Beam's options of a job on any runner but Dataflow. Raises UserError for what is no option, and for no runner."""
    for before, flag in pairwise(["", *flags]):
        if not flag.startswith("--") and not (before.startswith("--") and "=" not in before):
            raise UserError(f"{flag!r} is not a Beam option; write --beam=--name=value")
    with one_line():
        options = PipelineOptions(list(flags))
        if is_here(flags):  # a job server may know more options than Beam does here
            require_known(options)
    if not is_here(flags):
        _require_runner(options.view_as(StandardOptions).runner)
    return options


def require_known(options: PipelineOptions) -> None:
    """Raises UserError for an option that Beam does not know: it would be dropped with a warning."""
    known = PipelineOptions([]).get_all_options()
    for name in options.get_all_options(retain_unknown_options=True):
        if name not in known:
            raise UserError(f"unknown Beam option --{name}{suggestion(name, known)}")


@contextlib.contextmanager
def one_line() -> Iterator[None]:
    """Beam's parser prints its usage and ends the program; here its last line becomes a UserError."""
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
            yield
    except SystemExit:
        line = (told.getvalue().strip().splitlines() or ["a Beam option asks for help; Beam's pages give it"])[-1]
        raise UserError(line.rpartition("error: ")[2]) from None


def _require_runner(name: str) -> None:
    try:
        create_runner(name)
    except (ValueError, ImportError, AttributeError):
        known = ", ".join(StandardOptions.KNOWN_RUNNER_NAMES)
        raise UserError(f"Beam has no runner {name!r} here; give one of {known}") from None
