"""Settings: frozen dataclasses, filled from a YAML preset and overridden by flags."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import yaml

from xlnet import storage
from xlnet.errors import UserError, require

Settings = TypeVar("Settings")
Value = TypeVar("Value")
SECTIONS = ("vocabulary", "corpus", "cleaning", "model", "pretraining", "finetuning")
LARGEST = 2**31 - 1  # of a whole number that counts something: sizes of arrays and steps are multiplied with others
LARGEST_SEED = 2**63 - 1


def setting(default: Value, meaning: str, *, largest: int = LARGEST) -> Value:
    """A field of a settings class: its default, and what it means, in a clause with the unit, for `--help`.

    A default of None is told by the meaning, in brackets at its end: "(default: ...)". `largest`: a whole number that
    it takes, also below 0.
    """
    return dataclasses.field(default=default, metadata={"meaning": meaning, "largest": largest})


def make(kind: type[Settings], *sources: Mapping[str, Any], where: str = "the settings") -> Settings:
    """Settings from mappings, later ones override earlier ones; defaults fill the rest.

    Raises UserError for an unknown key (naming the nearest known one) and for a value of the wrong type.
    """
    kinds = field_kinds(kind)
    largest = {field.name: field.metadata.get("largest", LARGEST_SEED) for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for source in sources:
        for name, value in source.items():
            if name not in kinds:
                raise UserError(f"{where}: unknown setting {name!r}{suggestion(str(name), kinds)}")
            values[name] = made = _convert(value, kinds[name], name=f"{where}: {name}")
            is_small = not isinstance(made, int) or abs(made) <= largest[name]
            require(is_small, f"{where}: {name}", made, f"a whole number up to {largest[name]}")
    return kind(**values)


def field_kinds(kind: type) -> dict[str, Any]:
    """The fields of a settings class and their types."""
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}  # type: ignore[arg-type]


def suggestion(name: str, known: Iterable[str]) -> str:
    """The part of an error message that names the nearest known name."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"


def read_preset(path: str | None) -> dict[str, dict[str, Any]]:
    """The sections of a YAML preset; missing ones are empty. Raises UserError for anything else in it."""
    if path is None:
        return {section: {} for section in SECTIONS}
    return parse_preset(storage.read_bytes(path), where=path)


def parse_preset(content: bytes | str, *, where: str) -> dict[str, dict[str, Any]]:
    """As `read_preset`, from the text of a preset."""
    loaded = parse_mapping(content, where=where, wanted=f"the sections {', '.join(SECTIONS)}")
    for section, values in loaded.items():
        if section not in SECTIONS:
            raise UserError(f"{where}: unknown section {section!r}{suggestion(str(section), SECTIONS)}")
        if not isinstance(values, dict):
            raise UserError(f"{where}: section {section!r} holds {values!r}, wanted are settings")
    return {section: loaded.get(section, {}) for section in SECTIONS}


def parse_mapping(content: bytes | str, *, where: str, wanted: str) -> dict[str, Any]:
    """A YAML file of names and values; an empty one has none. Raises UserError for anything else."""
    try:
        loaded = _Loader(content).get_single_data() or {}
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        problem = " ".join(str(error).split())  # what stands behind a tag goes to its type's own reader
        raise UserError(f"{where} is not YAML: {problem}") from None
    if not isinstance(loaded, dict):
        raise UserError(f"{where} holds a {type(loaded).__name__}, wanted are {wanted}")
    return loaded


class _Loader(yaml.SafeLoader):
    """YAML in which no name stands twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if key.value in seen and isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _convert(value: Any, kind: Any, *, name: str) -> Any:
    """A value as its field's type: what YAML and shells give is near, not exact (`4e-4` is text in YAML)."""
    options = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    if value is None and type(None) in options:
        return None
    wanted = next(option for option in options if option is not type(None))
    plain = typing.get_origin(wanted) or wanted
    try:
        if plain is bool and not isinstance(value, bool):
            raise ValueError
        if plain is int and (isinstance(value, bool) or (isinstance(value, float) and not value.is_integer())):
            raise ValueError
        if plain is str and (isinstance(value, bool) or not isinstance(value, str | int | float)):
            raise ValueError  # `no` is false in YAML, and nothing at all is None
        if plain is tuple:
            return tuple(value.split(",") if isinstance(value, str) else value)
        return plain(value)
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{name} is {value!r}, wanted is {_describe(wanted)}") from None


def _describe(kind: Any) -> str:
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text"}.get(kind, str(kind))
