"""What the stages left behind, read back: summaries, metrics, evaluations, predictions, exports."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from xlnet import storage
from xlnet.errors import UserError

Points = list[tuple[float, float]]


@contextlib.contextmanager
def intact(path: str) -> Iterator[None]:
    """Turns what goes wrong while a file's content is used into a UserError that names the file."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise UserError(f"{path} is damaged ({what}); run the stage again that wrote it") from None


def read_object(folder: str, name: str) -> dict[str, Any]:
    """A JSON object in a folder. Raises UserError when it is missing, broken or something else."""
    path = storage.join(folder, name)
    content = storage.read_json(path)
    if not isinstance(content, dict):
        raise UserError(f"{path} holds {type(content).__name__}, an object is wanted; run its stage again")
    return content


def read_lines(path: str, *, limit: int | None = None) -> list[dict[str, Any]]:
    """The objects of a JSON lines file, or the first `limit`. Raises UserError with the line that is broken."""
    found: list[dict[str, Any]] = []
    with storage.reading(path) as stream:
        for number, line in enumerate(stream, start=1):
            if limit is not None and len(found) == limit:
                break
            try:
                entry = json.loads(line)
            except ValueError as error:
                raise UserError(f"{path}:{number} is not JSON ({error}); run the stage again that wrote it") from None
            if not isinstance(entry, dict):
                raise UserError(f"{path}:{number} is no JSON object; run the stage again that wrote it")
            found.append(entry)
    return found


def points(lines: Sequence[dict[str, Any]], name: str) -> Points:
    """(step, value) of every line that has the metric."""
    return [(float(line["step"]), float(line[name])) for line in lines if line.get(name) is not None]


def thinned(curve: Points, *, most: int = 300) -> Points:
    """A curve of at most as many points, each the mean of a run of neighbours."""
    size = -(-len(curve) // most)
    runs = [curve[start : start + size] for start in range(0, len(curve), max(1, size))]
    return [(sum(x for x, _ in run) / len(run), sum(y for _, y in run) / len(run)) for run in runs]


def checksum(folder: str, *names: str) -> list[tuple[str, str]]:
    """(path inside the folder, SHA-256) of the files that are there."""
    paths = [(name, storage.join(folder, name)) for name in names]
    return [(name, storage.sha256(path)) for name, path in paths if storage.exists(path)]
