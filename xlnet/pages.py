"""Pages from templates: everything is escaped that is not markup of this package; numbers as people read them."""

import os
from typing import Any

import jinja2

from xlnet import runs, storage
from xlnet.errors import UserError

BEGINNING = b"<!doctype html>"


def require_file(output: str) -> None:
    """Raises UserError where the page's name is a folder's or that of no page, before any work is done for it."""
    if not output or (not storage.is_remote(output) and os.path.isdir(output)):
        raise UserError(f"the output {output!r} is a folder; name the file to write, for example report.html")
    if not storage.is_remote(output) and os.path.isfile(output):
        with storage.reading(output) as stream:
            begins = stream.read(len(BEGINNING))
        if begins and begins.lower() != BEGINNING:
            raise UserError(f"{output} is there and is no HTML page; name another file, or remove it")


def write(output: str, template: str, *, of: str, **content: Any) -> None:
    """Write the page to `output`, whole or not at all.

    Raises UserError where content that was read from files, which `of` names, is not of the kind that is shown.
    """
    with runs.intact(of):
        try:
            page = render(template, **content)
        except jinja2.UndefinedError as error:
            raise ValueError(str(error)) from None
    storage.publish(output, page.encode(errors="replace"))


def render(template: str, **content: Any) -> str:
    """The page from its content."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("xlnet"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": count,
        "number": number,
        "percent": percent,
        "duration": duration,
        "size": size,
        "value": value,
    }
    return environment.get_template(template).render(**content)


def count(found: float) -> str:
    """1234567 as 1,234,567."""
    return f"{found:,.0f}"


def number(found: float | None, digits: int = 3) -> str:
    """A number with a fixed count of digits; a dash where there is none."""
    return "–" if found is None else f"{found:,.{digits}f}"


def percent(found: float | None, digits: int = 1) -> str:
    """0.1234 as 12.3 %; a dash where there is none."""
    return "–" if found is None else f"{100 * found:.{digits}f}\u202f%"


def duration(seconds: float | None) -> str:
    """Seconds as people say them: 4.2 s, 3 min 20 s, 2 h 05 min."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"


def size(found: int) -> str:
    """Bytes as 1.2 MB."""
    for unit, power in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if found >= power:
            return f"{found / power:.1f} {unit}"
    return f"{found} B"


def value(found: Any) -> str:
    """A setting's value: numbers as they are written, nothing as a dash."""
    if found is None:
        return "–"
    if isinstance(found, bool):
        return "yes" if found else "no"
    if isinstance(found, float):
        return f"{found:g}"
    if isinstance(found, int):
        return f"{found:,}"
    return str(found)
