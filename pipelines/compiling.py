"""Pipelines as what a cluster reads: KFP's IR YAML, for Kubeflow and for Vertex."""

import os
import tempfile
from collections.abc import Mapping
from functools import partial
from typing import Any

from google.protobuf import json_format
from kfp import compiler

from pipelines.cluster import Cluster
from pipelines.retraining import build
from xlnet import storage


def compile_to(path: str, *, target: str, cluster: Cluster) -> None:
    """Write the retraining pipeline's IR YAML for a cluster: `target` is kubeflow or vertex."""
    storage.publish(path, source(placed(target, cluster)).encode())


def placed(target: str, cluster: Cluster) -> Any:
    """The retraining pipeline with what its steps need of a cluster."""
    return build(partial(cluster.place, target=target))


def source(pipeline: Any) -> str:
    """A pipeline's IR YAML."""
    with tempfile.TemporaryDirectory() as folder:
        aside = os.path.join(folder, "pipeline.yaml")
        compiler.Compiler().compile(pipeline, aside)
        return storage.read_bytes(aside).decode()


def documents(pipeline: Any, *, image: str = "") -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """A pipeline's IR, and what it asks of Kubernetes (empty where it asks for nothing).

    Every step is of `image`, "" for those that the pipeline was made with.
    """
    spec = json_format.MessageToDict(pipeline.pipeline_spec)
    if image:
        for executor in spec["deploymentSpec"]["executors"].values():
            executor["container"]["image"] = image
    return spec, json_format.MessageToDict(pipeline.platform_spec)
