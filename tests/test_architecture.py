"""Who imports whom: what docs/architecture.md says of it holds."""

import ast
import graphlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {  # of xlnet: what each may import of the others
    "corpus": set(),
    "model": set(),
    "tasks": {"corpus", "model"},
    "training": {"corpus", "model", "tasks"},
    "serving": {"corpus", "model", "tasks"},
    "evaluations": {"tasks"},
}
FRAMEWORKS = {"tensorflow", "keras", "jax"}
PIPELINES = {"apache_beam", "kfp", "pipelines", "components"}
BY_BACKEND = {"gradients", "made_once", "recompute", "tensorflow_checkpoints", "traced_once"}  # of xlnet/model
ON_JAX = {"fused_attention"}


def named(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


MODULES = {
    named(path): ast.parse(path.read_text())
    for folder in ("xlnet", "pipelines", "components")
    for path in sorted((ROOT / folder).rglob("*.py"))
}


def imported(module: str, *, at_once: bool = False) -> set[str]:
    """The modules that one imports; `at_once`: those that it imports as it is imported itself."""
    return {name for node in nodes(MODULES[module], at_once=at_once) for name in names(node)}


def nodes(node: ast.AST, *, at_once: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not (at_once and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)):
            yield child
            yield from nodes(child, at_once=at_once)


def names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        inside = [f"{node.module}.{alias.name}" for alias in node.names]
        return [name if name in MODULES else str(node.module) for name in inside]
    return []


def tops(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def of(folder: str) -> list[str]:
    return [module for module in MODULES if module.startswith(f"{folder}.")]


@pytest.mark.parametrize("folder", FOLDERS)
def test_data_flow_one_way(folder):
    for module in of(f"xlnet.{folder}"):
        asked = {name.split(".")[1] for name in imported(module) if name.startswith("xlnet.")}
        assert asked & {*FOLDERS, "cli"} <= FOLDERS[folder] | {folder}, module


def test_the_library_knows_neither_beam_nor_kubeflow():
    for module in of("xlnet"):
        asked = tops(imported(module, at_once=module.startswith("xlnet.cli.")))
        assert not asked & PIPELINES, module


@pytest.mark.parametrize("folder", ["corpus", "evaluations", "cli"])
def test_what_needs_no_framework_imports_none(folder):
    for module in of(f"xlnet.{folder}"):
        assert not tops(imported(module)) & FRAMEWORKS, module


def test_the_model_runs_without_tensorflow():
    asked = {module.rpartition(".")[2]: imported(module) for module in of("xlnet.model")}
    assert {name for name, modules in asked.items() if "tensorflow" in tops(modules)} == BY_BACKEND
    at_once = {module.rpartition(".")[2]: tops(imported(module, at_once=True)) for module in of("xlnet.model")}
    assert {name for name, modules in at_once.items() if modules & {"tensorflow", "jax"}} == ON_JAX


def test_no_import_goes_round():
    graph = {module: imported(module, at_once=True) & MODULES.keys() for module in MODULES}
    graphlib.TopologicalSorter(graph).prepare()


def test_every_module_has_its_place_in_the_document():
    told = re.findall(r"`(\w+)`", (ROOT / "docs/architecture.md").read_text())
    assert {path.stem for path in (ROOT / "xlnet").glob("*.py")} - {"__init__"} <= set(told)
