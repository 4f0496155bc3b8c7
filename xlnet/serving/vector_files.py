"""Vectors on disk, written as they come: NumPy's .npz and Parquet, the same bytes for the same vectors."""

import contextlib
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xlnet.errors import UserError
from xlnet.serving.rows import Row

ENDINGS = (".npz", ".parquet")


class Vectors(NamedTuple):
    """Vectors of some rows' units, float32 [units, model_dim]; `row` int64 [units] counts among these rows.

    `starts` and `ends` int32 [units]: where in its text a word or piece lies, half open, in characters.
    """

    row: NDArray[np.int64]
    starts: NDArray[np.int32]
    ends: NDArray[np.int32]
    vectors: NDArray[np.float32]


Write = Callable[[Sequence[Row], Vectors], None]


def require_known(path: str) -> None:
    """Raises UserError where the name tells no format."""
    if not path.endswith(ENDINGS):
        raise UserError(f"{path}: vectors are written as {' or '.join(ENDINGS)}; name the output after its format")


@contextlib.contextmanager
def writing(
    stream: IO[bytes],
    path: str,
    *,
    model_dim: int,
    unit: str,
    column: str = "text",
    kept: Sequence[str] = (),
    place: str = "line",
) -> Iterator[Write]:
    """What writes the vectors of rows into a stream, in the format that `path` is named after.

    .npz: `vectors` float32 [n, model_dim], `line` int64 [n], of words and pieces also `start` and `end` int32 [n].
    Parquet: a row a vector with these columns, the surface as `unit`, and what is passed on, as text; with `place`
    "offset" that instead of the line.
    """
    if path.endswith(".npz"):
        if kept:
            raise UserError(f"{path}: .npz holds numbers alone, not {', '.join(kept)}; write .parquet")
        with _npz(stream, model_dim=model_dim, has_places=unit != "text") as write:
            yield write
    else:
        names = [place, *kept, "start", "end", "unit", "vectors"]
        if twice := [name for name in kept if names.count(name) > 1]:
            raise UserError(f"{path}: keep names {twice[0]!r}, which another column is called; leave it out")
        with _parquet(
            stream, model_dim=model_dim, surfaces=None if unit == "text" else column, kept=kept, place=place
        ) as write:
            yield write


@contextlib.contextmanager
def _npz(stream: IO[bytes], *, model_dim: int, has_places: bool) -> Iterator[Write]:
    kinds: dict[str, tuple[str, tuple[int, ...]]] = {"vectors": ("<f4", (model_dim,)), "line": ("<i8", ())}
    if has_places:
        kinds |= {"start": ("<i4", ()), "end": ("<i4", ())}
    with contextlib.ExitStack() as stack:
        parts = {name: stack.enter_context(tempfile.TemporaryFile()) for name in kinds}
        count = 0

        def write(rows: Sequence[Row], found: Vectors) -> None:
            nonlocal count
            count += len(found.row)
            for name, values in _columns(rows, found).items():
                if name in parts:
                    parts[name].write(np.ascontiguousarray(values, kinds[name][0]).tobytes())

        yield write
        with zipfile.ZipFile(stream, "w") as archive:
            for name, (kind, shape) in kinds.items():
                # Named here, so that no time is written.
                with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                    described = {"descr": kind, "fortran_order": False, "shape": (count, *shape)}
                    np.lib.format.write_array_header_2_0(member, described)
                    parts[name].seek(0)
                    shutil.copyfileobj(parts[name], member, 1 << 20)


def _columns(rows: Sequence[Row], found: Vectors) -> dict[str, NDArray[Any]]:
    places = {name: np.array([getattr(row, name) for row in rows], np.int64)[found.row] for name in ("line", "offset")}
    return {**places, "start": found.starts, "end": found.ends, "vectors": found.vectors}


@contextlib.contextmanager
def _parquet(
    stream: IO[bytes], *, model_dim: int, surfaces: str | None, kept: Sequence[str], place: str
) -> Iterator[Write]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    places = [("start", pa.int32()), ("end", pa.int32()), ("unit", pa.string())] if surfaces else []
    kinds: list[Any] = [(place, pa.int64()), *((name, pa.string()) for name in kept), *places]
    schema = pa.schema([*kinds, ("vectors", pa.list_(pa.float32(), model_dim))])
    with pq.ParquetWriter(stream, schema) as writer:

        def write(rows: Sequence[Row], found: Vectors) -> None:
            values: dict[str, Any] = _columns(rows, found)
            vectors = pa.array(np.ascontiguousarray(values["vectors"], np.float32).ravel())
            values["vectors"] = pa.FixedSizeListArray.from_arrays(vectors, model_dim)
            values |= {name: [_text(rows[row].record.get(name)) for row in found.row] for name in kept}
            if surfaces:
                values["unit"] = [
                    rows[row].record[surfaces][start:end]
                    for row, start, end in zip(found.row, found.starts, found.ends, strict=True)
                ]
            writer.write_table(pa.table({name: values[name] for name in schema.names}, schema=schema))

        yield write


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
