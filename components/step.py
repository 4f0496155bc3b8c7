"""How every step begins and ends."""

import contextlib
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from xlnet import storage
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


def verb(*words: str) -> None:
    """Runs `xlnet WORDS` in this process; the step ends with its exit code unless that is 0."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from xlnet.cli import main

    with contextlib.redirect_stderr(sys.stdout):  # in one order, in one log
        code = main(list(words))
    if code:
        sys.exit(code)


@contextlib.contextmanager
def preset(config: str, **sections: Mapping[str, Any]) -> Iterator[str]:
    """The path of a preset with this YAML text, with settings of `sections` over its own."""
    from xlnet.settings import parse_preset

    content = parse_preset(config, where="config")
    for section, settings in sections.items():
        content[section] = {**content[section], **settings}
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(content, file)
        file.flush()
        yield file.name


def location(artifact: Any, work: str, *inputs: Any) -> str:
    """Where a large output lies: at its artifact's own URI, or in `work`, where another run like it finds it.

    Steps pass such outputs on by their location: Kubeflow would copy an artifact into each pod that it goes into.
    """
    if work:
        digest = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]
        artifact.uri = storage.join(work, f"{artifact.name.rpartition('/')[2]}-{digest}")
    elif "://" in artifact.uri and not storage.is_remote(artifact.uri):
        raise UserError(f"{artifact.uri} is in a store that only Kubeflow can reach; give the pipeline a work on gs://")
    return artifact.uri
