"""Command-line flags made from settings classes, and a parser whose errors are one line."""

import argparse
import dataclasses
import sys
import types
import typing
from collections.abc import Iterable
from functools import partial
from typing import Any, NoReturn

from xlnet.settings import LARGEST, field_kinds, suggestion


class Parser(argparse.ArgumentParser):
    """Prints `error: <what is wrong>` and exits with 2; an unknown flag names the nearest known one."""

    def __init__(self, **options: Any) -> None:
        options["allow_abbrev"] = False  # an abbreviation changes its meaning with the next new flag
        options["formatter_class"] = partial(argparse.HelpFormatter, max_help_position=28)  # most flags fit beside
        super().__init__(**options)

    def error(self, message: str) -> NoReturn:
        """Ends the program."""
        print(f"error: {message} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(2)

    def _print_message(self, message: str, file: Any = None) -> None:
        """Of help and version; argparse passes over what cannot be written."""
        if message:
            print(message, end="", file=file or sys.stderr, flush=True)

    def parse_strictly(self, arguments: list[str]) -> argparse.Namespace:
        """As `parse_args`, with a suggestion for a misspelt flag."""
        parsed, unknown = self.parse_known_args(arguments)
        for word in unknown:
            if word.startswith("--"):
                name = word.partition("=")[0]
                self.error(f"unknown flag {name}{suggestion(name, self._option_string_actions)}")
        if unknown:
            self.error(f"unexpected {' '.join(unknown)!r}")
        return parsed


def whole(text: str) -> int:
    """The type of a flag that takes a whole number, for `add_argument`."""
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r:.80} is no whole number") from None
    if abs(number) > LARGEST:
        raise argparse.ArgumentTypeError(f"{text!r:.80} is too large, wanted is a whole number up to {LARGEST}")
    return number


def add_settings(parser: argparse.ArgumentParser, kind: type, *, without: Iterable[str] = ()) -> None:
    """A flag for every field of a settings class: `sequence_length` is `--sequence-length`.

    A flag that is not given leaves no trace, so that a preset or the default stands. The usage names other flags only.
    """
    if parser.usage is None:
        usage = parser.format_usage().removeprefix("usage: ")
        parser.usage = f"{usage}{' ' * len(f'usage: {parser.prog} ')}[SETTING ...]"
    group = parser.add_argument_group(kind.__name__, (kind.__doc__ or "").partition("\n")[0])
    kinds = field_kinds(kind)
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        if field.name in without:
            continue
        flag = "--" + field.name.replace("_", "-")
        options: dict[str, Any] = {"dest": field.name, "default": argparse.SUPPRESS, "help": _help(field)}
        if _plain(kinds[field.name]) is bool:
            group.add_argument(flag, action=argparse.BooleanOptionalAction, **options)
        else:
            group.add_argument(flag, metavar=_metavar(kinds[field.name]), **options)


def given(parsed: argparse.Namespace, kind: type) -> dict[str, Any]:
    """The settings of a class that were given as flags."""
    return {name: getattr(parsed, name) for name in field_kinds(kind) if hasattr(parsed, name)}


def _help(field: dataclasses.Field) -> str:
    meaning: str = field.metadata["meaning"]
    if field.default is None:
        return meaning
    shown = ("off", "on")[field.default] if isinstance(field.default, bool) else field.default
    return f"{meaning} (default {shown})"


def _metavar(kind: Any) -> str:
    return {int: "N", float: "X"}.get(_plain(kind), "TEXT")


def _plain(kind: Any) -> Any:
    """A type without its None."""
    return typing.get_args(kind)[0] if isinstance(kind, types.UnionType) else kind
