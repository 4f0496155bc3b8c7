"""Pipelines as what a cluster reads: KFP's IR YAML, for Kubeflow and for Vertex."""

import os
import tempfile
from collections.abc import Mapping
from typing import Any

import yaml
from kfp import compiler

from xlnet import storage


def compile_to(path: str, pipeline: Any) -> None:
    """Write a pipeline's IR YAML."""
    storage.publish(path, source(pipeline).encode())


def source(pipeline: Any) -> str:
    """A pipeline's IR YAML."""
    with tempfile.TemporaryDirectory() as folder:
        aside = os.path.join(folder, "pipeline.yaml")
        compiler.Compiler().compile(pipeline, aside)
        return storage.read_bytes(aside).decode()


def documents(pipeline: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """A pipeline's IR, and what it asks of Kubernetes (empty where it asks for nothing)."""
    found = list(yaml.safe_load_all(source(pipeline)))
    return found[0], found[1] if len(found) > 1 else {}
