"""The retraining pipeline as a cluster reads it."""

import contextlib
import copy
import difflib
import io
import re
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from components import readme
from pipelines import cluster, compiling, graph, kubeflow, notice
from pipelines.retraining import STEPS, UNCACHED
from xlnet.cli import main
from xlnet.errors import UserError

GOLDEN = Path(__file__).with_name("retraining.yaml")
ROOT = GOLDEN.parents[2]
SETTINGS = ROOT / "configs/cluster.yaml"
WORDS = ["pipeline", "compile", "--cluster", str(SETTINGS), "--output"]
RENEW = (
    f"if this is as wanted: xlnet {' '.join([*WORDS[:3], 'configs/cluster.yaml --output'])} {GOLDEN.relative_to(ROOT)}"
)
KUBERNETES = "1.31"
SECRET = "planted-secret-0123456789"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    path = tmp_path_factory.mktemp("compiled") / "retraining.yaml"
    with contextlib.redirect_stdout(io.StringIO()), pytest.MonkeyPatch.context() as patch:
        for variable in (notice.WEBHOOK, kubeflow.TOKEN, "GOOGLE_APPLICATION_CREDENTIALS"):
            patch.setenv(variable, SECRET)
        assert main([*WORDS, str(path)]) == 0
    return path.read_text()


@pytest.fixture(scope="module")
def documents(compiled):
    return list(yaml.safe_load_all(compiled))


def tasks(node, found=None):
    """Every task of the pipeline that runs a program, by the name of its component."""
    found = [] if found is None else found
    for component in [node["root"], *node["components"].values()]:
        for name, task in component.get("dag", {}).get("tasks", {}).items():
            if "executorLabel" in node["components"][task["componentRef"]["name"]]:
                found.append((name, task))
    return found


def comparable(text):
    """Without what may differ from one place to the next: kfp's version."""
    return re.sub(r"(?m)^(\s*)sdkVersion: .*$", r"\1sdkVersion: any", text).splitlines(keepends=True)


def test_the_compiled_pipeline_is_the_one_that_was_reviewed(compiled):
    difference = "".join(difflib.unified_diff(comparable(GOLDEN.read_text()), comparable(compiled), "golden", "now"))
    assert not difference, f"the compiled pipeline changed:\n{difference}\n{RENEW}"


def test_no_secret_of_who_compiles_is_in_it(compiled):
    assert "secretName: xlnet-webhook" in compiled
    assert SECRET not in compiled


def test_every_step_runs_in_the_image_that_it_is_given_and_installs_nothing(documents):
    executors = documents[0]["deploymentSpec"]["executors"]
    steps = {label: label.removeprefix("exec-").removesuffix("-2").replace("-", "_") for label in executors}
    assert set(steps.values()) == set(STEPS)
    asked = yaml.safe_load(SETTINGS.read_text())
    for label, executor in executors.items():
        image = asked["steps"].get(steps[label], {}).get("image", asked["image"])
        assert executor["container"]["image"] == image
        assert {"name": "XLNET_IMAGE", "value": image} in executor["container"]["env"]
        assert executor["container"]["resources"].get("accelerator") is None or "-trainer-" in image
        assert "pip install" not in " ".join(executor["container"]["command"])


def test_what_reads_or_writes_what_changes_is_never_cached_and_the_rest_is(documents):
    for name, task in tasks(documents[0]):
        is_cached = task["cachingOptions"].get("enableCache", False)
        assert is_cached == (name.removesuffix("-2").replace("-", "_") not in UNCACHED), name


def test_every_step_is_retried_with_backoff_but_the_exit_handler(documents):
    for name, task in tasks(documents[0]):
        if name == "summarize":
            assert "retryPolicy" not in task
            continue
        policy = task["retryPolicy"]
        assert policy["maxRetryCount"] >= 2
        assert (policy["backoffDuration"], policy["backoffFactor"]) == ("60s", 2.0)


def test_the_exit_handler_runs_whatever_happened(documents):
    (summarize,) = [task for name, task in tasks(documents[0]) if name == "summarize"]
    assert summarize["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    assert "taskFinalStatus" in summarize["inputs"]["parameters"]["status"]


def test_large_results_are_passed_by_their_location(documents):
    """Kubeflow's launcher copies every artifact that is an input into the pod."""
    for name, component in documents[0]["components"].items():
        if "executorLabel" in component:
            artifacts = component.get("inputDefinitions", {}).get("artifacts", {})
            assert not {"data", "validation", "pretrained"} & set(artifacts), name


def pod(name, executor, asked):
    """The pod that Kubeflow makes of a step (backend/src/v2/driver/k8s.go), as far as this pipeline asks for it."""
    resources = executor["container"]["resources"]
    limits = {"cpu": resources["resourceCpuLimit"], "memory": resources["resourceMemoryLimit"]}
    requests = {"cpu": resources["resourceCpuRequest"], "memory": resources["resourceMemoryRequest"]}
    if "accelerator" in resources:
        limits[resources["accelerator"]["resourceType"]] = resources["accelerator"]["resourceCount"]
    environment = [dict(entry) for entry in executor["container"].get("env", [])]
    for secret in asked.get("secretAsEnv", []):
        for pair in secret["keyToEnv"]:
            reference = {"name": secret["secretName"], "key": pair["secretKey"], "optional": secret["optional"]}
            environment.append({"name": pair["envVar"], "valueFrom": {"secretKeyRef": reference}})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": asked["podMetadata"]["labels"]},
        "spec": {
            "activeDeadlineSeconds": int(asked["activeDeadlineSeconds"]),
            "nodeSelector": asked.get("nodeSelector", {}).get("labels", {}),
            "tolerations": asked.get("tolerations", []),
            "containers": [
                {
                    "name": "main",
                    "image": executor["container"]["image"],
                    "command": executor["container"]["command"],
                    "args": executor["container"]["args"],
                    "env": environment,
                    "resources": {"limits": limits, "requests": requests},
                }
            ],
        },
    }


def test_the_pods_that_kubeflow_makes_of_it_are_valid(documents):
    asked = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for label, executor in documents[0]["deploymentSpec"]["executors"].items():
        kubernetes_validate.validate(pod(label, executor, asked[label]), KUBERNETES, strict=True)
    wrong = pod("exec-push", executor, asked[label])
    wrong["spec"]["nodeSelectors"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES, strict=True)


def test_accelerators_spot_machines_and_secrets_are_asked_for_where_the_settings_say(documents):
    asked = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    executors = documents[0]["deploymentSpec"]["executors"]
    tpu = pod("pretrain", executors["exec-pretrain"], asked["exec-pretrain"])["spec"]
    assert tpu["containers"][0]["resources"]["limits"] == {"cpu": "24", "memory": "96Gi", "google.com/tpu": "4"}
    assert tpu["nodeSelector"] == {
        "cloud.google.com/gke-spot": "true",
        "cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice",
        "cloud.google.com/gke-tpu-topology": "2x2",
    }
    gpu = pod("finetune", executors["exec-finetune"], asked["exec-finetune"])["spec"]
    assert gpu["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert [label for label, told in asked.items() if "secretAsEnv" in told] == ["exec-summarize"]
    assert not asked["exec-push"].get("nodeSelector")


def test_the_pipeline_for_vertex_is_the_same_but_for_what_kubernetes_is_asked(documents, tmp_path):
    settings = yaml.safe_load(SETTINGS.read_text())
    for name in ("accelerator", "accelerators", "topology"):
        settings["steps"]["pretrain"].pop(name)
    (tmp_path / "cluster.yaml").write_text(yaml.safe_dump(settings))
    spec, platform = compiling.documents(compiling.placed("vertex", cluster.read(str(tmp_path / "cluster.yaml"))))
    assert platform == {}
    executors = spec["deploymentSpec"]["executors"]
    assert executors["exec-finetune"]["container"]["resources"]["accelerator"]["type"] == "NVIDIA_L4"
    other = copy.deepcopy(documents[0])
    for one in (spec, other):
        for executor in one["deploymentSpec"]["executors"].values():
            executor["container"]["resources"].pop("accelerator", None)
    assert spec == other
    with pytest.raises(UserError, match="the step pretrain asks for a TPU"):
        compiling.placed("vertex", cluster.read(str(SETTINGS)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("step: {}", "unknown section 'step'; did you mean 'steps'"),
        ("steps: {pretrian: {}}", "unknown step 'pretrian'; did you mean 'pretrain'"),
        ("steps: {pretrain: {gpus: 1}}", "steps: pretrain: unknown setting 'gpus'"),
        ("steps: {pretrain: {memory: 4 gigabytes}}", "memory is '4 gigabytes', wanted is a quantity"),
        ("steps: {pretrain: {accelerator: nvidia-l4}}", "accelerators is 0, wanted is both or neither"),
        ("steps: {pretrain: {accelerator: tpu-v5-lite-podslice, accelerators: 4}}", "topology is ''"),
        ("steps: {pretrain: {hours: 0}}", "hours is 0.0, wanted is more than 0"),
        ("labels: {team: 'a b'}", "the label team: a b has other characters"),
        ("secrets: {XLNET_WEBHOOK: {name: 'https://hooks/T0/abc', key: url}}", "its name, never its content"),
        ("steps: {pretrain: {image: 'x; rm -rf /'}}", "image is 'x; rm -rf /', wanted is REGISTRY/NAME"),
        ("image: 'x; rm -rf /'", "image is 'x; rm -rf /', wanted is REGISTRY/NAME"),
    ],
)
def test_settings_of_a_cluster_that_cannot_be_are_one_line(tmp_path, text, message):
    (tmp_path / "cluster.yaml").write_text(text)
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        cluster.read(str(tmp_path / "cluster.yaml"))
    assert "\n" not in str(caught.value)


def test_an_image_that_is_given_on_the_command_line_is_that_of_every_step():
    given = cluster.read(str(SETTINGS)).with_image("example/mine:1")
    assert {given.image, *(step.image for step in given.steps.values())} == {"example/mine:1", ""}


def test_the_picture_of_the_docs_shows_every_step():
    page = (ROOT / "docs/kubeflow.md").read_text()
    picture = page.partition("```\n")[2].partition("```")[0]
    shown = {"train_vocabulary": "vocabulary", "finetune": "fine-tune", "report_tasks": "report"}
    for step in STEPS:
        assert shown.get(step, step.replace("_", " ")) in picture, step


@pytest.mark.parametrize("name", readme.names())
def test_the_page_of_each_component_is_current(name):
    page = (readme.HERE / name / "README.md").read_text()
    assert page == readme.page(name), "write the pages anew: python -m components.readme"


def test_a_pipeline_that_says_what_is_not_understood_is_refused():
    task = {"inputs": {"parameters": {"x": {"somethingNew": 1}}}}
    with pytest.raises(UserError, match="not understood here"):
        graph.inputs(task, outer=graph.Values(), done={}, job={})
    with pytest.raises(UserError, match="not understood here"):
        graph.holds({"triggerPolicy": {"condition": "size(x) > 3"}}, graph.Values())


def test_every_step_is_of_the_image_that_is_asked_for():
    spec, _ = compiling.documents(compiling.placed("kubeflow", cluster.Cluster()), image="example/mine:1")
    assert {each["container"]["image"] for each in spec["deploymentSpec"]["executors"].values()} == {"example/mine:1"}
