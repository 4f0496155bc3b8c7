"""The page of each component, made from its signature, its docstring and the verb that does the same.

python -m components.readme    # writes components/<name>/README.md anew
"""

import argparse
import importlib
import inspect
from pathlib import Path
from typing import Any

from xlnet.cli import VERBS
from xlnet.flags import Parser

HERE = Path(__file__).resolve().parent
VERB_OF = {"train_vocabulary": "train-vocab", "report_tasks": "report"}  # the others are called as their component


def names() -> list[str]:
    """The components: the folders that hold one."""
    return sorted(path.parent.name for path in HERE.glob("*/component.py"))


def page(name: str) -> str:
    """The content of a component's README.md."""
    module = importlib.import_module(f"components.{name}.component")
    function = getattr(module, name)
    told = _arguments(inspect.getdoc(function.python_func) or "")
    specification = function.component_spec
    verb = VERB_OF.get(name, name)
    return "\n".join(
        [
            f"# {name}",
            "",
            f"{function.description} {module.__doc__}",
            "",
            *_table("input", specification.inputs, told),
            "",
            *_table("output", specification.outputs, told),
            "",
            f"In a pipeline: `from components.{name}.component import {name}`.",
            "The step runs in the project's image and installs nothing.",
            "",
            *_alone(verb),
        ]
    )


def _alone(verb: str) -> list[str]:
    """How the same is done without Kubeflow, where a verb does it."""
    return ["Alone, without Kubeflow:", "", f"    {_command(verb)}", ""] if verb in VERBS else []


def _table(kind: str, specification: dict[str, Any] | None, told: dict[str, str]) -> list[str]:
    rows = [f"| `{name}` | {_type(item.type)} | {told[name]} |" for name, item in (specification or {}).items()]
    return [f"| {kind} | type | what it is |", "|---|---|---|", *rows]


def _type(name: str) -> str:
    """`system.Model@0.0.1` is a Model to a person."""
    return name.removeprefix("system.").partition("@")[0]


def _arguments(docstring: str) -> dict[str, str]:
    """The descriptions under `Args:`, one line each."""
    lines = docstring.partition("Args:\n")[2].splitlines()
    return {name.strip(): told.strip() for name, _, told in (line.partition(": ") for line in lines)}


def _command(verb: str) -> str:
    """The verb with the flags that it cannot do without."""
    parser = Parser()
    VERBS[verb].flags(parser)
    first = [group._group_actions[0] for group in parser._mutually_exclusive_groups if group.required]
    wanted = [action for action in parser._actions if action.required or action in first]
    return " ".join(["xlnet", verb, *map(_word, wanted)])


def _word(action: argparse.Action) -> str:
    return " ".join([*action.option_strings[:1], str(action.metavar)])


def main() -> None:
    """Write every page."""
    for name in names():
        (HERE / name / "README.md").write_text(page(name), encoding="utf-8")


if __name__ == "__main__":
    main()
