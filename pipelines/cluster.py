"""What the steps of a pipeline are given on a cluster: machines, time, retries, secrets, labels; from a YAML file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kfp import dsl, kubernetes

from xlnet import storage
from xlnet.errors import UserError, require
from xlnet.settings import make, parse_mapping, suggestion

SECTIONS = ("image", "labels", "secrets", "service_account", "steps")
QUANTITY = re.compile(r"\d+(\.\d+)?(m|[KMGTPE]i?)?")
WORD = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
KEY = re.compile(rf"({WORD.pattern}/)?{WORD.pattern}")
IMAGE = re.compile(r"[a-z0-9][\w.:/-]*(@sha256:[0-9a-f]{64})?")
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
HOUR = 3600
LONGEST_WAIT = "3600s"


@dataclass(frozen=True)
class Resources:
    """What one step is given. Sizes are Kubernetes quantities, such as 500m, 4 or 16Gi."""

    cpu: str = "1"
    memory: str = "4Gi"
    accelerator: str = ""  # nvidia-tesla-t4, nvidia-l4 …, or tpu-v5-lite-podslice …
    accelerators: int = 0  # GPUs, or TPU chips, of one pod
    topology: str = ""  # of TPUs: 2x4
    spot: bool = False
    hours: float = 1.0  # after which an attempt is ended
    retries: int = 2
    backoff_seconds: int = 60  # before the first retry; each waits twice as long as the one before
    image: str = ""  # instead of the cluster's: the trainer of the accelerator

    def __post_init__(self) -> None:
        for name in ("cpu", "memory"):
            value = getattr(self, name)
            require(QUANTITY.fullmatch(value) is not None, name, value, "a quantity such as 500m, 4 or 16Gi")
        require(self.accelerators >= 0, "accelerators", self.accelerators, "0 or more")
        require(bool(self.accelerator) == bool(self.accelerators), "accelerators", self.accelerators, "both or neither")
        require(
            not self.accelerator or WORD.fullmatch(self.accelerator) is not None,
            "accelerator",
            self.accelerator,
            "a name",
        )
        require(bool(self.topology) == self.is_tpu, "topology", self.topology, "2x4, say, of a TPU, and none of others")
        require(
            not self.topology or re.fullmatch(r"\d+(x\d+){1,2}", self.topology) is not None,
            "topology",
            self.topology,
            "2x4, say",
        )
        require(0 < self.hours <= 24 * 14, "hours", self.hours, "more than 0 and at most 336")
        require(0 <= self.retries <= 100, "retries", self.retries, "0 to 100")
        require(self.backoff_seconds >= 0, "backoff_seconds", self.backoff_seconds, "0 or more")
        if self.image:
            require_image(self.image)

    @property
    def is_tpu(self) -> bool:
        """Whether the accelerator is a TPU."""
        return self.accelerator.startswith("tpu")


@dataclass(frozen=True)
class Secret:
    """A key of a Kubernetes secret; it becomes an environment variable of the steps that need it."""

    name: str
    key: str
    steps: tuple[str, ...] = ("summarize",)

    def __post_init__(self) -> None:
        for field_name in ("name", "key"):
            value = getattr(self, field_name)
            require(WORD.fullmatch(value) is not None, f"a secret's {field_name}", value, "its name, never its content")


@dataclass(frozen=True)
class Cluster:
    """The settings of a cluster: `steps` by the names of components, `default` for those that are not named."""

    image: str = ""
    service_account: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, Secret] = field(default_factory=dict)
    steps: dict[str, Resources] = field(default_factory=dict)

    def with_image(self, image: str) -> "Cluster":
        """The same, with this image for every step. Raises UserError for what is no image's name."""
        steps = {name: replace(resources, image="") for name, resources in self.steps.items()}
        return replace(self, image=require_image(image), steps=steps)

    def place(self, name: str, task: dsl.PipelineTask, *, target: str) -> dsl.PipelineTask:
        """Give a step what it needs."""
        resources = self.steps.get(name, self.steps.get("default", Resources()))
        task.set_cpu_request(resources.cpu).set_cpu_limit(resources.cpu)
        task.set_memory_request(resources.memory).set_memory_limit(resources.memory)
        tried_again(name, task, resources)
        image = resources.image or self.image
        if image:
            task.set_container_image(image)
            task.set_env_variable("XLNET_IMAGE", image)
        if target == "kubeflow":
            self._on_kubernetes(name, task, resources)
        elif resources.is_tpu:
            raise UserError(
                f"the step {name} asks for a TPU, which pipelines on Vertex give in jobs of another kind only"
            )
        elif resources.accelerator:
            vertex = resources.accelerator.upper().replace("-", "_")
            task.set_accelerator_type(vertex).set_accelerator_limit(resources.accelerators)
        return task

    def _on_kubernetes(self, name: str, task: dsl.PipelineTask, resources: Resources) -> None:
        kubernetes.set_timeout(task, round(resources.hours * HOUR))
        for key, value in {"app": "xlnet", "step": name.replace("_", "-"), **self.labels}.items():
            kubernetes.add_pod_label(task, key, value)
        if resources.accelerator:
            kind = "tpu" if resources.is_tpu else "accelerator"
            resource = "google.com/tpu" if resources.is_tpu else "nvidia.com/gpu"
            task.set_accelerator_type(resource).set_accelerator_limit(resources.accelerators)
            selector = f"cloud.google.com/gke-{'tpu-' if kind == 'tpu' else ''}accelerator"
            kubernetes.add_node_selector(task, selector, resources.accelerator)
            kubernetes.add_toleration(task, key=resource, operator="Exists", effect="NoSchedule")
        if resources.topology:
            kubernetes.add_node_selector(task, "cloud.google.com/gke-tpu-topology", resources.topology)
        if resources.spot:
            kubernetes.add_node_selector(task, "cloud.google.com/gke-spot", "true")
            kubernetes.add_toleration(
                task, key="cloud.google.com/gke-spot", operator="Equal", value="true", effect="NoSchedule"
            )
        for variable, secret in self.secrets.items():
            if name in secret.steps:
                kubernetes.use_secret_as_env(task, secret.name, {secret.key: variable}, optional=True)


def tried_again(name: str, task: dsl.PipelineTask, resources: Resources) -> dsl.PipelineTask:
    """A step that is started again when it fails; an exit handler is not."""
    if name == "summarize":
        return task
    wait = f"{resources.backoff_seconds}s"
    return task.set_retry(
        resources.retries, backoff_duration=wait, backoff_factor=2.0, backoff_max_duration=LONGEST_WAIT
    )


def read(path: str | None) -> Cluster:
    """The settings of a file, as `configs/cluster.yaml` has them; None: defaults.

    Raises UserError for what is unknown or out of range, with its place in the file.
    """
    from pipelines.retraining import STEPS

    if path is None:
        return Cluster()
    told = parse_mapping(storage.read_bytes(path), where=path, wanted=f"the sections {', '.join(SECTIONS)}")
    for section in told:
        if section not in SECTIONS:
            raise UserError(f"{path}: unknown section {section!r}{suggestion(str(section), SECTIONS)}")
    default = _mapping(told.get("steps", {}), f"{path}: steps").get("default", {})
    steps = {}
    for name, values in told.get("steps", {}).items():
        if name not in (*STEPS, "default"):
            raise UserError(f"{path}: unknown step {name!r}{suggestion(str(name), (*STEPS, 'default'))}")
        where = f"{path}: steps: {name}"
        steps[name] = make(Resources, _mapping(default, where), _mapping(values, where), where=where)
    for key, value in _mapping(told.get("labels", {}), f"{path}: labels").items():
        if not KEY.fullmatch(str(key)) or not WORD.fullmatch(str(value)):
            raise UserError(
                f"{path}: the label {key}: {value} has other characters than letters, digits, '.', '_', '-'"
            )
    secrets = {}
    for variable, values in _mapping(told.get("secrets", {}), f"{path}: secrets").items():
        if not VARIABLE.fullmatch(str(variable)):
            raise UserError(f"{path}: a secret goes into {variable!r}, wanted is an environment variable's name")
        secrets[variable] = make(Secret, _mapping(values, f"{path}: secrets: {variable}"), where=f"{path}: {variable}")
    image = str(told.get("image", ""))
    if image:
        require_image(image)
    labels = {str(key): str(value) for key, value in told.get("labels", {}).items()}
    return Cluster(image, str(told.get("service_account", "")), labels, secrets, steps)


def require_image(image: str) -> str:
    """An image's name. Raises UserError for what is none."""
    if not IMAGE.fullmatch(image):
        raise UserError(f"image is {image!r}, wanted is REGISTRY/NAME:TAG or REGISTRY/NAME@sha256:DIGEST")
    return image


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{where} holds {value!r}, wanted are names and values")
    return value
