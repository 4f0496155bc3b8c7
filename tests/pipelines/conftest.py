"""Dataflow and Google Cloud Storage on this machine."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from apache_beam.internal.gcp import auth
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from pipelines import dataflow_jobs
from xlnet import buckets


def server(name):
    """A module beside the tests, which are no package."""
    if name not in sys.modules:
        path = Path(__file__).parent.parent / f"{name}.py"
        spec = importlib.util.spec_from_file_location(name, path)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="session")
def key():
    return (
        rsa.generate_private_key(public_exponent=65537, key_size=2048)
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        .decode()
    )


@pytest.fixture
def objects(monkeypatch):
    """What the storage service of these tests holds: one bucket."""
    objects = server("storage_objects").Objects("bucket")
    with server("storage_server").serving(objects) as store:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", store.address)
        monkeypatch.setattr(buckets, "_clients", {})
        yield objects


@pytest.fixture
def bucket(objects):
    """The bucket's objects by name."""
    return objects.buckets["bucket"]


@pytest.fixture
def service(key, bucket, tmp_path, monkeypatch):
    """Dataflow, as far as a launcher sees it."""
    service = server("dataflow_server").Service()
    with server("dataflow_server").serving(service) as address:
        account = {
            "type": "service_account",
            "project_id": "test-project",
            "private_key_id": "1",
            "private_key": key,
            "client_email": "launcher@test-project.iam",
            "client_id": "1",
            "token_uri": f"{address}/token",
        }
        (tmp_path / "account.json").write_text(json.dumps(account))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))
        monkeypatch.setenv("NO_GCE_CHECK", "true")
        monkeypatch.setattr(auth._Credentials, "_credentials_init", False)
        # Else the library asks a machine outside which regions the account may use.
        lookup = "CredentialsWithRegionalAccessBoundary._is_regional_access_boundary_lookup_required"
        monkeypatch.setattr(f"google.auth.credentials.{lookup}", lambda account: False)
        monkeypatch.setattr(dataflow_jobs, "POLL", 0.02)
        monkeypatch.setattr(dataflow_jobs, "PATIENCE", 0.5)
        service.flags = [
            "--runner=DataflowRunner",
            "--project=test-project",
            "--region=europe-west1",
            "--temp_location=gs://bucket/temp",
            "--sdk_container_image=example/xlnet-beam:1",
            f"--dataflow_endpoint={address}",
        ]
        yield service
    monkeypatch.setattr(auth._Credentials, "_credentials_init", False)
