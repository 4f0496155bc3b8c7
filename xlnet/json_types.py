"""Whether a value out of a JSON file is of the type that is wanted there, and what it holds too."""

import types
import typing
from typing import Any


def is_of(value: Any, kind: Any) -> bool:
    """Whether a value is of a kind, and what it holds too.

    A kind is a type, a union, `list[str]` or the like; a tuple: what the value may be; a dict of names and kinds: what
    an object holds, neither less nor more. True is no number, and a whole number is a float too.
    """
    if isinstance(kind, tuple):
        return isinstance(value, str | None) and value in kind
    if isinstance(kind, dict):
        return isinstance(value, dict) and value.keys() == kind.keys() and all(is_of(value[n], kind[n]) for n in kind)
    if isinstance(kind, types.UnionType):
        return any(is_of(value, each) for each in typing.get_args(kind))
    if typing.get_origin(kind) is list:
        return isinstance(value, list) and all(is_of(each, *typing.get_args(kind)) for each in value)
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)
