"""The files of `deploy/`, as far as tools that install can judge them."""

import re
import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from pipelines import champion, cluster, retraining

ROOT = Path(cluster.__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
OVERLAYS = sorted(path.parent for path in (DEPLOY / "kustomize").rglob("kustomization.yaml"))
KUBERNETES = "1.31"
FOREIGN = ("serving.kserve.io", "monitoring.coreos.com", "kustomize.config.k8s.io")  # of which Kubernetes has no schema


def manifests():
    for path in sorted((DEPLOY / "kustomize").rglob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            yield path, document


def of_kind(kind):
    return [document for _, document in manifests() if document["kind"] == kind]


def test_manifests_are_valid():
    checked = 0
    for path, document in manifests():
        if document["apiVersion"].partition("/")[0] not in FOREIGN:
            kubernetes_validate.validate(document, KUBERNETES, strict=True)
            checked += 1
        assert document["kind"], path
    assert checked == 8


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_overlays_build(overlay):
    kubectl, kustomize = shutil.which("kubectl"), shutil.which("kustomize")
    if not kubectl and not kustomize:
        pytest.skip("neither kubectl nor kustomize is here")
    words = [kustomize, "build"] if kustomize else [kubectl, "kustomize"]
    built = subprocess.run([*words, str(overlay)], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    for document in yaml.safe_load_all(built.stdout):
        assert document["metadata"].get("namespace", "xlnet") == "xlnet"
        if document["apiVersion"].partition("/")[0] not in FOREIGN:
            kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_a_step_may_do_little_in_its_namespace_and_nothing_outside():
    assert not of_kind("ClusterRole")
    assert not of_kind("ClusterRoleBinding")
    (role,) = of_kind("Role")
    for rule in role["rules"]:
        assert "*" not in [*rule["verbs"], *rule["resources"], *rule["apiGroups"]]
        assert "secrets" not in rule["resources"]
        assert set(rule["verbs"]) <= {"get", "create", "patch"}
    accounts = {account["metadata"]["name"]: account for account in of_kind("ServiceAccount")}
    assert accounts["xlnet-serving"]["automountServiceAccountToken"] is False
    settings = cluster.read(str(ROOT / "configs/cluster.yaml"))
    assert settings.service_account in accounts


def test_alerts_and_policies_go_by_the_labels_that_the_pipeline_gives():
    text = (DEPLOY / "kustomize/alerts/prometheus-rule.yaml").read_text()
    assert 'label_app="xlnet"' in text
    steps = set(re.findall(r'label_step="([^"]+)"', text))
    assert steps == {"summarize"} <= {step.replace("_", "-") for step in retraining.STEPS}
    (policy,) = of_kind("NetworkPolicy")
    assert policy["spec"]["podSelector"]["matchLabels"] == {"app": "xlnet"}
    assert policy["spec"]["ingress"] == []


def test_what_serves_is_where_a_push_puts_an_export():
    (service,) = of_kind("InferenceService")
    uri = service["spec"]["predictor"]["model"]["storageUri"]
    found = champion.Champion("VERSION", "gs://my-project-xlnet-store/store/versions/VERSION", "")
    assert uri == found.model("part").removesuffix("model") + "export"
    assert service["spec"]["predictor"]["serviceAccountName"] == "xlnet-serving"


def test_buckets_forget_what_nobody_misses_and_are_never_public():
    text = (DEPLOY / "terraform/main.tf").read_text()
    buckets = re.findall(r'resource "google_storage_bucket" "(\w+)" \{(.*?)\n\}', text, re.DOTALL)
    assert [name for name, _ in buckets] == ["store", "corpus", "scratch"]
    for _, body in buckets:
        assert re.search(r'public_access_prevention\s+= "enforced"', body)
        assert re.search(r"uniform_bucket_level_access\s+= true", body)
    prefixes = re.findall(r'matches_prefix = \["([^"]+)"\]', dict(buckets)["store"])
    assert prefixes == ["store/work/"]  # never versions/, which are the product


def test_service_accounts_have_no_role_of_an_owner():
    roles = re.findall(r'role\s+= "([^"]+)"', (DEPLOY / "terraform/main.tf").read_text())
    assert len(roles) == 9
    assert not [role for role in roles if re.search(r"owner|editor|admin", role, re.IGNORECASE)]


def test_terraform_is_formatted_and_can_be_parsed():
    if not shutil.which("terraform"):
        pytest.skip("terraform is not here")
    words = ["terraform", f"-chdir={DEPLOY / 'terraform'}", "fmt", "-check", "-diff"]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
