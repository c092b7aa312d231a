"""Fixtures of the object store's tests: stores of a new bucket, and nobody else's credentials."""

from __future__ import annotations

import os

import pytest

from producer.contract.config.settings import Settings
from producer.storage.object_store import ObjectStore
from tests.integration.object_store.stored_objects import credentials_file


@pytest.fixture(autouse=True)
def no_credentials_around(monkeypatch, tmp_path):
    """Only the file that a test names may let it in."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))


@pytest.fixture
def new_store(s3_server, s3_bucket, tmp_path):
    """Make stores of the bucket, each with what the test sets differently."""
    stores = []

    def make(**overrides):
        given = {
            "s3_endpoint_url": s3_server.endpoint_url,
            "s3_bucket": s3_bucket,
            "s3_addressing_style": "path",
            "s3_prefix": "renders",
            "s3_credentials_file": credentials_file(
                tmp_path, s3_server.access_key, s3_server.secret_key
            ),
        }
        stores.append(ObjectStore(Settings(**(given | overrides))))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def store(new_store):
    return new_store()


@pytest.fixture(scope="module")
def s3(s3_server):
    with s3_server.client() as client:
        yield client
